"""Claim: work for agents."""

from __future__ import annotations

import asyncio
from typing import Final

from quarterdeck.v1 import agent_pb2
from quarterdeck.v1 import agent_service_pb2 as pb
from quarterdeck_server.engine.commands import (
    Batch,
    Claim,
    Claimed,
    Profile,
    Release,
    Report,
    ReportItem,
)
from quarterdeck_server.engine.flow.holds import version_subject
from quarterdeck_server.engine.model import Agent, Task
from quarterdeck_server.engine.states import AgentState
from quarterdeck_server.logs import Log
from quarterdeck_server.rpc import convert, validate
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.claimed import add_claimed
from quarterdeck_server.rpc.errors import Violation
from quarterdeck_server.rpc.methods import Context
from quarterdeck_server.rpc.replay import ClaimReplay, Entry, Held
from quarterdeck_server.rpc.validate import Violations
from quarterdeck_server.rpc.waits import wait_of, within_deadline

_MAX_TASKS = 1000
_MAX_QUEUES = 64
_MAX_NAMES = 1000
_MAX_SLOTS = 1_000_000
_ACTIVE = int(AgentState.ACTIVE)
MAX_AGENT_NAME: Final = 256
MAX_AGENT_VERSION: Final = 128
_TASK_OVERHEAD = 1024
"""Bytes of a task in an answer beside its input and labels, at most: ids, names, times."""

_log: Final = Log(__name__)

Taken = list[tuple[Task, Claimed]]


def _agent_name(name: str, out: Violations) -> str:
    if "@" in name:
        rule = "expected a name without @, which parts it from its version in `name@version`"
        out.append(Violation("agent.name", rule))
    return validate.text(name, "agent.name", MAX_AGENT_NAME, out)


def read_agent(namespace: str, info: agent_pb2.AgentInfo, out: Violations) -> Agent:
    """An agent as it describes itself; what only the server knows is zero or None."""
    return Agent(
        namespace=namespace,
        id=validate.agent_id(info.agent_id, "agent.agent_id", out),
        name=_agent_name(info.name, out),
        version=validate.text(info.version, "agent.version", MAX_AGENT_VERSION, out),
        hostname=validate.text(info.hostname, "agent.hostname", 256, out),
        pid=validate.number(info.pid, "agent.pid", 0, 2**63 - 1, out),
        slots=validate.number(info.slots, "agent.slots", 0, _MAX_SLOTS, out),
        labels=validate.labels(info.labels, "agent.labels", out),
        queues="[]",
        instance_id=validate.text(info.instance_id, "agent.instance_id", 256, out) or None,
        pool=None,
        state=_ACTIVE,
        running=0,
        create_time=0,
        last_contact_time=0,
        revision=0,
    )


class Claims:
    """Answers Claim."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._replay = ClaimReplay()
        self._releases: set[asyncio.Task[object]] = set()

    async def answer(self, request: pb.ClaimRequest, context: Context) -> pb.ClaimResponse:
        """Wait for work and lease it."""
        core = self._core
        claim, agent, wait = _read(request)
        if core.agents.contact(claim.profile.namespace, agent, claim.profile.queues):
            return self._response([], drain=True)
        core.agents.handles(claim.profile.namespace, claim.agent_id, claim.profile.names)
        wait = within_deadline(wait, context)
        if request.request_id:
            return await self._once(claim, wait, request.request_id)
        return self._response(await self._take(claim, wait))

    def forget(self, namespace: str, agent_id: str) -> None:
        """Forget what an agent that stops was given."""
        self._replay.forget((namespace, agent_id))

    async def _once(self, claim: Claim, wait: float, request_id: str) -> pb.ClaimResponse:
        """Claim, or give again what the same request was given before."""
        agent = (claim.profile.namespace, claim.agent_id)
        body = (claim.profile, claim.max_tasks)
        earlier = self._replay.find(agent, request_id, body)
        if earlier is not None:
            # The first call may still wait on behalf of a client that is gone; its end decides.
            if not await _ended(earlier, wait):
                return self._response([])
            again = await self._again(claim, earlier)
            if again:
                return self._response(again)
        entry = self._replay.begin(agent, request_id, body)
        taken: Taken = []
        try:
            taken = await self._take(claim, wait)
        finally:
            held = tuple(Held(lease.task_id, lease.token) for _, lease in taken)
            self._replay.finish(agent, entry, held)
        return self._response(taken)

    async def _again(self, claim: Claim, entry: Entry) -> Taken:
        """What is left of the leases of an earlier answer, renewed."""
        renew = self._core.leases.renew
        found: Taken = []
        for lease in entry.leases:
            if renew(lease.task_id, lease.token) is None:
                continue
            detail = await self._core.store.get_task(claim.profile.namespace, lease.task_id)
            if detail is not None and detail.task.lease_token == lease.token:
                again = detail.task.attempt > 1
                saved = await self._core.store.get_details(lease.task_id) if again else None
                held = Claimed(lease.task_id, lease.token, detail.input, saved)
                found.append((detail.task, held))
        return found

    async def _take(self, claim: Claim, wait: float) -> Taken:
        """Claim, and give back what does not fit into one answer.

        Nothing is awaited after the claim: a handler that is cancelled then would strand its
        leases.
        """
        taken = await self._core.claim(claim, wait)
        count = _fitting(taken)
        if count < len(taken):
            surplus = [
                ReportItem(lease.task_id, lease.token, Release("the answer was full"))
                for _, lease in taken[count:]
            ]
            self._give_back(Report(claim.profile.namespace, claim.agent_id, surplus))
        return taken[:count]

    def _give_back(self, report: Report) -> None:
        task = asyncio.create_task(self._core.execute(report))
        self._releases.add(task)
        task.add_done_callback(self._given_back)

    def _given_back(self, task: asyncio.Task[object]) -> None:
        self._releases.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.warning("surplus leases could not be released", error=repr(task.exception()))

    def _response(self, taken: Taken, *, drain: bool = False) -> pb.ClaimResponse:
        lease = round(self._core.leases.duration * 1e6)
        response = pb.ClaimResponse(drain=drain)
        add_claimed(response, taken, lease)
        convert.set_span(response.lease_duration, lease)
        return response


def _read(request: pb.ClaimRequest) -> tuple[Claim, Agent, float]:
    out: Violations = []
    namespace = validate.namespace_of(request.namespace)
    queues = list(dict.fromkeys(request.queues)) or ["default"]
    if len(request.queues) > _MAX_QUEUES:
        rule = f"expected at most {_MAX_QUEUES}, got {len(request.queues)}"
        out.append(Violation("queues", rule))
    for place, queue in enumerate(request.queues[:_MAX_QUEUES]):
        validate.name(queue, f"queues[{place}]", out)
    names = frozenset(request.names)
    if len(request.names) > _MAX_NAMES:
        rule = f"expected at most {_MAX_NAMES}, got {len(request.names)}"
        out.append(Violation("names", rule))
    for place, name in enumerate(request.names[:_MAX_NAMES]):
        validate.name(name, f"names[{place}]", out)
    max_tasks = validate.number(request.max_tasks, "max_tasks", 1, _MAX_TASKS, out, default=1)
    batch = _read_batch(request, out)
    validate.text(request.request_id, "request_id", validate.MAX_REQUEST_ID, out)
    agent = read_agent(namespace, request.agent, out)
    wait = wait_of(request.wait, out)
    validate.refuse(out)
    profile = Profile(namespace, tuple(queues), names or None, batch)
    version = version_subject(agent.name, agent.version)
    labels = frozenset(request.agent.labels.items())
    claim = Claim(profile, agent.id, max_tasks, agent_version=version, labels=labels)
    return claim, agent, wait


def _read_batch(request: pb.ClaimRequest, out: Violations) -> Batch | None:
    if not request.HasField("batch"):
        return None
    size = validate.number(request.batch.size, "batch.size", 1, _MAX_TASKS, out)
    return Batch(size, validate.span(request.batch.linger, "batch.linger", out))


def _fitting(taken: Taken) -> int:
    """How many of the tasks fit into one answer, at least one."""
    size = 0
    for count, (task, lease) in enumerate(taken):
        size += _TASK_OVERHEAD
        size += 0 if lease.input is None else len(lease.input.data)
        size += 0 if lease.details is None else len(lease.details.data)
        size += 0 if task.labels is None else len(task.labels.encode())
        if size > validate.MAX_ANSWER and count:
            return count
    return len(taken)


async def _ended(entry: Entry, wait: float) -> bool:
    try:
        async with asyncio.timeout(wait):
            await entry.done.wait()
    except TimeoutError:
        return False
    return True
