"""Heartbeat: leases renewed, directives delivered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from quarterdeck.v1 import agent_service_pb2 as pb
from quarterdeck.v1 import status_pb2, task_pb2
from quarterdeck_server.engine.commands import Beat, RecordBeats
from quarterdeck_server.engine.ids import decode_task_id, encode_task_id
from quarterdeck_server.engine.model import Progress
from quarterdeck_server.rpc import convert, validate
from quarterdeck_server.rpc.backend import Core, Lease
from quarterdeck_server.rpc.claims import read_agent
from quarterdeck_server.rpc.errors import status_of
from quarterdeck_server.rpc.methods import Context
from quarterdeck_server.rpc.validate import Violations
from quarterdeck_server.rpc.waits import wait_of, within_deadline

MAX_LEASES = 10_000
_LEASE_SHARE = 0.45
"""Of a lease, how long a heartbeat may be held back: two must fit."""
_LATE_EVERY = 1.0
"""Seconds between two late heartbeats of one lease that are counted."""
_LATE_KEPT = 10_000
"""Leases of which the last late heartbeat is known: more are not counted at once."""


@dataclass(slots=True)
class _Heard:
    """What a heartbeat said."""

    beats: list[Beat] = field(default_factory=list)
    lost: list[pb.LeaseDirective] = field(default_factory=list)
    leases: dict[int, Lease] = field(default_factory=dict)
    """Those that may be answered with a directive, by task."""
    told: dict[int, bool] = field(default_factory=dict)
    """Tasks with a cancel or pause that was not acknowledged in the beat; True where it was before."""
    resumed: set[int] = field(default_factory=set)
    """Tasks that stand still and are to go on."""
    errors: dict[int, status_pb2.Status] = field(default_factory=dict)
    """Tasks whose details were refused."""

    @property
    def urgent(self) -> bool:
        """There is an answer that does not wait."""
        return bool(self.lost or self.resumed or self.errors)


class Heartbeats:
    """Answers Heartbeat."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._late: dict[tuple[int, int], float] = {}

    async def answer(self, request: pb.HeartbeatRequest, context: Context) -> pb.HeartbeatResponse:
        """Renew leases and bring directives."""
        core = self._core
        out: Violations = []
        namespace = validate.namespace_of(request.namespace)
        agent = read_agent(namespace, request.agent, out)
        wait = wait_of(request.wait, out)
        validate.refuse(out)
        validate.batch(len(request.leases), "leases", MAX_LEASES)
        drain = core.agents.contact(namespace, agent, ())
        heard = self._hear(request.leases)
        if any(
            beat.acknowledged or beat.pause_acknowledged or beat.details for beat in heard.beats
        ):
            # Before the answer: the report may follow at once and would end the lease first, and
            # what was saved must not be lost once the agent was told so.
            await core.execute(RecordBeats(heard.beats))
        elif heard.beats:
            core.beats(heard.beats)
        if request.goodbye:
            await core.agents.goodbye(namespace, agent.id)
            return self._response(heard.lost, drain)
        wait = min(within_deadline(wait, context), core.leases.duration * _LEASE_SHARE)
        if wait and not (heard.urgent or drain or core.draining):
            lapsed = await core.leases.wait_directive(namespace, agent.id, wait)
            heard.lost += [_lost_directive(encode_task_id(x.task_id), x.attempt) for x in lapsed]
            # No contact: an agent that said goodbye meanwhile must not come back by it.
            drain = core.agents.draining(namespace, agent.id)
        orders = await self._deliver(namespace, agent.id, heard)
        return self._response(heard.lost + orders, drain)

    def _hear(self, beats: Sequence[pb.LeaseBeat]) -> _Heard:
        """Renew what is named, and take down what is said of it."""
        now = self._core.clock.now()
        heard = _Heard()
        for beat in beats:
            proof = convert.read_lease_token(beat.lease_token)
            lease = None if proof is None else self._find(beat.task_id, proof[0])
            if lease is not None:
                self._hear_one(beat, lease, now, heard)
                continue
            heard.lost.append(_lost_directive(beat.task_id, 0 if proof is None else proof[1]))
            if proof is not None:
                self._note_late(beat.task_id, proof[0], heard)
        return heard

    def _hear_one(self, beat: pb.LeaseBeat, lease: Lease, now: int, heard: _Heard) -> None:
        task_id, details = lease.task_id, None
        if beat.HasField("details"):
            out: Violations = []
            limit = self._core.settings.max_payload_bytes
            details = validate.payload(beat.details, "details", limit, out)
            if out:
                details, heard.errors[task_id] = None, status_of(validate.item_error(out, ""))
        cancel, pause = lease.cancel, lease.pause
        acknowledged, stands = beat.cancel_acknowledged, beat.pause_acknowledged
        if cancel is not None and cancel.acknowledge_time is None and not acknowledged:
            heard.told[task_id] = False
        elif cancel is None and pause is not None and not stands:
            # Of one that had acknowledged it, this is another pause than the one that it knows.
            heard.told[task_id] = pause.acknowledge_time is not None
        elif cancel is None and pause is None and stands:
            heard.resumed.add(task_id)
        # What is known is not written again, however often the agent says it.
        acknowledged = acknowledged and cancel is not None and cancel.acknowledge_time is None
        stands = stands and pause is not None and pause.acknowledge_time is None
        progress = read_progress(beat.progress, now) if beat.HasField("progress") else None
        if progress is not None or acknowledged or stands or details is not None:
            record = Beat(task_id, lease.token, progress, acknowledged=acknowledged)
            heard.beats.append(record._replace(pause_acknowledged=stands, details=details))
        if task_id in heard.errors or task_id in heard.resumed or task_id in heard.told:
            heard.leases[task_id] = lease

    def _note_late(self, task_id: str, token: int, heard: _Heard) -> None:
        """Have a beat under an ended lease counted, at most once a second."""
        try:
            key = (decode_task_id(task_id), token)
        except ValueError:
            return
        now = self._core.clock.monotonic()
        if now - self._late.get(key, -_LATE_EVERY) < _LATE_EVERY:
            return
        if len(self._late) >= _LATE_KEPT:
            self._late = {k: at for k, at in self._late.items() if now - at < _LATE_EVERY}
        if len(self._late) < _LATE_KEPT:
            self._late[key] = now
            heard.beats.append(Beat(*key, late=True))

    def _find(self, task_id: str, token: int) -> Lease | None:
        try:
            return self._core.leases.renew(decode_task_id(task_id), token)
        except ValueError:
            return None

    async def _deliver(
        self, namespace: str, agent_id: str, heard: _Heard
    ) -> list[pb.LeaseDirective]:
        """Directives for leases; what is told for the first time is on disk as delivered before the
        answer says so.

        What was told before is told again, in case its answer was lost, until the agent
        acknowledges it.
        """
        leases = self._core.leases
        new = list(leases.undelivered(namespace, agent_id))
        first = [
            Beat(x.task_id, x.token, delivered=x.cancel is not None, pause_delivered=True)
            for x in new
            if x.cancel is not None or x.pause is not None
        ]
        for lease in new:
            heard.leases[lease.task_id] = lease
            if lease.resumed:
                heard.resumed.add(lease.task_id)
                lease.resumed = False
        if first:
            await self._core.execute(RecordBeats(first))
        directives = []
        for lease in heard.leases.values():
            # Looked up again: the delivery sets the deadline, and much may have changed in the wait.
            now = leases.renew(lease.task_id, lease.token)
            directive = None if now is None else _directive(now, heard)
            if directive is not None:
                directives.append(directive)
        return directives

    def _response(self, directives: list[pb.LeaseDirective], drain: bool) -> pb.HeartbeatResponse:
        response = pb.HeartbeatResponse(directives=directives, drain=drain)
        convert.set_span(response.lease_duration, round(self._core.leases.duration * 1e6))
        convert.set_span(response.interval, round(self._core.settings.heartbeat_interval * 1e6))
        return response


def _lost_directive(task_id: str, attempt: int) -> pb.LeaseDirective:
    return pb.LeaseDirective(task_id=task_id, directive=pb.DIRECTIVE_LOST, attempt=attempt)


def _directive(lease: Lease, heard: _Heard) -> pb.LeaseDirective | None:
    """What the agent is to do with a lease; None for nothing but to go on."""
    task_id, order, reason = lease.task_id, pb.DIRECTIVE_CONTINUE, ""
    cancel, pause = lease.cancel, lease.pause
    if cancel is not None and cancel.acknowledge_time is None:
        order, reason = pb.DIRECTIVE_CANCEL, cancel.reason
    elif cancel is not None:
        pass
    elif pause is not None and (pause.acknowledge_time is None or heard.told.get(task_id)):
        order, reason = pb.DIRECTIVE_PAUSE, pause.reason
    elif pause is None and task_id in heard.resumed:
        order = pb.DIRECTIVE_RESUME
    error = heard.errors.get(task_id)
    if order == pb.DIRECTIVE_CONTINUE and error is None:
        return None
    directive = pb.LeaseDirective(
        task_id=encode_task_id(task_id),
        directive=order,
        reason=reason,
        attempt=lease.attempt,
        details_error=error,
    )
    if order == pb.DIRECTIVE_CANCEL:
        convert.set_time(directive.cancel_deadline, lease.cancel_deadline)
    return directive


def read_progress(progress: task_pb2.Progress, now: int) -> Progress:
    """What an agent says of its progress, as far as it can be kept."""
    done = progress.done if math.isfinite(progress.done) else 0.0
    total = progress.total if math.isfinite(progress.total) else 0.0
    return Progress(validate.kept(progress.message, 256), done, total, now)
