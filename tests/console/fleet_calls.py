"""The pretended server's calls about agents, queues and pools."""

from __future__ import annotations

from typing import Any

import grpc
from tests.console.calls import Calls
from tests.console.speech import abort

from quarterdeck.v1 import agent_pb2, fleet_service_pb2, queue_pb2


class FleetCalls(Calls):
    """The RPCs of FleetService that the console calls."""

    async def ListAgents(self, request: Any, context: Any) -> Any:
        self._note("ListAgents", request)
        await self._terms(request.filter, context)
        return fleet_service_pb2.ListAgentsResponse()

    async def DrainAgent(self, request: Any, context: Any) -> Any:
        self._note("DrainAgent", request)
        item = agent_pb2.Agent()
        item.CopyFrom(self._fleet.items["agent"][request.agent_id])
        item.state = agent_pb2.AGENT_STATE_DRAINING
        self._fleet.put("agent", request.agent_id, item)
        return fleet_service_pb2.DrainAgentResponse(agent=item)

    async def ListQueues(self, request: Any, context: Any) -> Any:
        self._note("ListQueues", request)
        await self._terms(request.filter, context)
        return fleet_service_pb2.ListQueuesResponse()

    async def UpdateQueue(self, request: Any, context: Any) -> Any:
        self._note("UpdateQueue", request)
        item = queue_pb2.Queue()
        item.CopyFrom(self._fleet.items["queue"][request.queue])
        if request.etag not in ("", item.etag):
            await abort(
                context, grpc.StatusCode.ABORTED, "ETAG_MISMATCH", "it was changed meanwhile"
            )
        if request.HasField("paused"):
            item.paused, item.pause_note = request.paused, request.reason
        if request.HasField("limits"):
            item.limits.CopyFrom(request.limits)
        if request.paused_arrivals:
            item.paused_arrivals = request.paused_arrivals
        self._fleet.put("queue", request.queue, item)
        return fleet_service_pb2.UpdateQueueResponse(queue=item)

    async def ListPools(self, request: Any, context: Any) -> Any:
        self._note("ListPools", request)
        return fleet_service_pb2.ListPoolsResponse()
