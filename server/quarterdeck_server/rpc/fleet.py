"""FleetService: what operators call about agents, queues and pools."""

from __future__ import annotations

from typing import Any, Final

from quarterdeck.v1 import fleet_service_pb2 as pb
from quarterdeck_server.engine.commands import Refusal, SetAgentState, UpdateQueue
from quarterdeck_server.engine.filters import AGENT_FIELDS, QUEUE_FIELDS
from quarterdeck_server.engine.flow.limits import QueueLimits
from quarterdeck_server.engine.model import Agent, Queue
from quarterdeck_server.engine.states import AgentState
from quarterdeck_server.rpc import convert, validate
from quarterdeck_server.rpc.audit import list_entries, read_who
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.errors import ApiError
from quarterdeck_server.rpc.filters import parse_filter
from quarterdeck_server.rpc.holds import HoldCalls
from quarterdeck_server.rpc.masks import meant, read_mask
from quarterdeck_server.rpc.methods import Context
from quarterdeck_server.rpc.namespaces import NamespaceCalls
from quarterdeck_server.rpc.pages import Call, read_page
from quarterdeck_server.rpc.queue_limits import read_arrivals, read_limits
from quarterdeck_server.rpc.requests import execute
from quarterdeck_server.rpc.tokens import watch_token
from quarterdeck_server.rpc.validate import Violations
from quarterdeck_server.store.base import Page

_DRAINING = int(AgentState.DRAINING)
_QUEUE_FIELDS: Final = {"paused": (), "paused_arrivals": (), "limits": QueueLimits._fields}


class FleetService(HoldCalls, NamespaceCalls):
    """Answers operators about agents, queues and pools."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def list_agents(
        self, request: pb.ListAgentsRequest, context: Context
    ) -> pb.ListAgentsResponse:
        """A page of agents."""
        core = self._core
        namespace = validate.namespace_of(request.namespace)
        found = parse_filter(request.filter, AGENT_FIELDS)

        async def read(limit: int, after: list[Any] | None) -> Page[Agent]:
            return await core.store.list_agents(namespace, found, limit, after, core.clock.now())

        call = Call("agents", namespace, found, request.page_size, request.page_token, (int, str))
        page = await read_page(call, read, lambda row: convert.agent(core.agents.seen(row)))
        return pb.ListAgentsResponse(
            agents=page.items,
            next_page_token=page.next_token,
            watch_token=watch_token(core.store.store_id, page.revision),
        )

    async def drain_agent(
        self, request: pb.DrainAgentRequest, context: Context
    ) -> pb.DrainAgentResponse:
        """Tell an agent to finish what it has and to claim no more."""
        out: Violations = []
        namespace = validate.namespace_of(request.namespace)
        agent_id = validate.agent_id(request.agent_id, "agent_id", out)
        who = read_who(request, out)
        validate.refuse(out)
        audit = who.audit("DrainAgent", [agent_id])
        command = SetAgentState(namespace, [agent_id], _DRAINING, audit)
        replies: list[Agent | Refusal] = await execute(self._core, command)
        (reply,) = replies
        if isinstance(reply, Refusal):
            raise ApiError(reply)
        return pb.DrainAgentResponse(agent=convert.agent(reply))

    async def list_queues(
        self, request: pb.ListQueuesRequest, context: Context
    ) -> pb.ListQueuesResponse:
        """A page of queues."""
        core = self._core
        namespace = validate.namespace_of(request.namespace)
        found = parse_filter(request.filter, QUEUE_FIELDS)

        async def read(limit: int, after: list[Any] | None) -> Page[Queue]:
            return await core.store.list_queues(namespace, found, limit, after, core.clock.now())

        call = Call("queues", namespace, found, request.page_size, request.page_token, (str,))
        page = await read_page(call, read, convert.queue)
        return pb.ListQueuesResponse(
            queues=page.items,
            next_page_token=page.next_token,
            watch_token=watch_token(core.store.store_id, page.revision),
        )

    async def update_queue(
        self, request: pb.UpdateQueueRequest, context: Context
    ) -> pb.UpdateQueueResponse:
        """Pause or resume a queue, and change its limits."""
        out: Violations = []
        namespace = validate.namespace_of(request.namespace)
        queue = validate.name(request.queue, "queue", out)
        who = read_who(request, out)
        mask = read_mask(request.update_mask, _QUEUE_FIELDS, out)
        said = request if mask is None else meant(request, mask)
        named = mask or {}
        limits = None
        if said.HasField("limits") or "limits" in named:
            limits = read_limits(said.limits, out)
        drops = read_arrivals(said.paused_arrivals, out)
        validate.refuse(out)
        command = UpdateQueue(
            namespace,
            queue,
            said.paused if said.HasField("paused") or "paused" in named else None,
            who.note,
            who.audit("UpdateQueue", [queue]),
            limits,
            False if drops is None and "paused_arrivals" in named else drops,
            named.get("limits", QueueLimits._fields),
            request.etag,
        )
        row: Queue = await execute(self._core, command)
        return pb.UpdateQueueResponse(queue=convert.queue(row))

    async def list_audit_entries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> pb.ListAuditEntriesResponse:
        """A page of the audit log."""
        return await list_entries(self._core, request)

    async def list_pools(
        self, request: pb.ListPoolsRequest, context: Context
    ) -> pb.ListPoolsResponse:
        """The pools and their instances."""
        namespace = validate.namespace_of(request.namespace)
        store = self._core.store
        return pb.ListPoolsResponse(
            pools=map(convert.pool, await store.list_pools(namespace)),
            instances=map(convert.instance, await store.list_instances(namespace)),
        )
