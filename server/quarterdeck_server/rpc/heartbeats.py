"""Heartbeat: leases renewed, directives delivered."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from quarterdeck.v1 import agent_service_pb2 as pb
from quarterdeck.v1 import task_pb2
from quarterdeck_server.engine.commands import Beat, RecordBeats
from quarterdeck_server.engine.ids import decode_task_id, encode_task_id
from quarterdeck_server.engine.model import Progress
from quarterdeck_server.rpc import convert, validate
from quarterdeck_server.rpc.backend import Core, Lease
from quarterdeck_server.rpc.claims import read_agent
from quarterdeck_server.rpc.methods import Context
from quarterdeck_server.rpc.validate import Violations
from quarterdeck_server.rpc.waits import wait_of, within_deadline

MAX_LEASES = 10_000
_LEASE_SHARE = 0.45
"""Of a lease, how long a heartbeat may be held back: two must fit."""


class Heartbeats:
    """Answers Heartbeat."""

    def __init__(self, core: Core) -> None:
        self._core = core

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
        cancels, directives, beats = self._renew(request.leases)
        if any(beat.acknowledged for beat in beats):
            # Before the answer, because the report may follow at once and would end the lease first.
            await core.execute(RecordBeats(beats))
        elif beats:
            core.beats(beats)
        if request.goodbye:
            await core.agents.goodbye(namespace, agent.id)
            return self._response(directives, drain)
        wait = min(within_deadline(wait, context), core.leases.duration * _LEASE_SHARE)
        if wait and not (directives or drain or core.draining):
            lapsed = await core.leases.wait_directive(namespace, agent.id, wait)
            directives += [_lost_directive(encode_task_id(x.task_id), x.attempt) for x in lapsed]
            # No contact: an agent that said goodbye meanwhile must not come back by it.
            drain = core.agents.draining(namespace, agent.id)
        new = list(core.leases.undelivered(namespace, agent.id))
        # One that was delivered is told again, in case its answer was lost, until the agent
        # acknowledges it.
        cancels.update((lease.task_id, lease) for lease in new)
        directives += await self._deliver(cancels.values(), new)
        return self._response(directives, drain)

    def _renew(
        self, beats: Sequence[pb.LeaseBeat]
    ) -> tuple[dict[int, Lease], list[pb.LeaseDirective], list[Beat]]:
        """Renew what is named.

        Returns:
            The leases to cancel by task, directives for those that are lost, and what to record.
        """
        now = self._core.clock.now()
        cancels: dict[int, Lease] = {}
        lost: list[pb.LeaseDirective] = []
        recorded: list[Beat] = []
        for beat in beats:
            proof = convert.read_lease_token(beat.lease_token)
            lease = None if proof is None else self._find(beat.task_id, proof[0])
            if lease is None:
                lost.append(_lost_directive(beat.task_id, 0 if proof is None else proof[1]))
                continue
            acknowledged = beat.cancel_acknowledged
            progress = _progress(beat.progress, now) if beat.HasField("progress") else None
            if progress is not None or acknowledged:
                record = Beat(lease.task_id, lease.token, progress, False, acknowledged)
                recorded.append(record)
            cancel = lease.cancel
            if cancel is not None and cancel.acknowledge_time is None and not acknowledged:
                cancels[lease.task_id] = lease
        return cancels, lost, recorded

    def _find(self, task_id: str, token: int) -> Lease | None:
        try:
            return self._core.leases.renew(decode_task_id(task_id), token)
        except ValueError:
            return None

    async def _deliver(
        self, cancels: Iterable[Lease], new: Sequence[Lease]
    ) -> list[pb.LeaseDirective]:
        """Directives for cancels; the new ones are on disk as delivered before the answer says
        so."""
        if new:
            delivered = [Beat(lease.task_id, lease.token, delivered=True) for lease in new]
            await self._core.execute(RecordBeats(delivered))
        directives = []
        for lease in cancels:
            # Looked up again: the delivery sets the deadline.
            now = self._core.leases.renew(lease.task_id, lease.token)
            if now is not None and now.cancel is not None:
                directives.append(_cancel_directive(now, now.cancel.reason))
        return directives

    def _response(self, directives: list[pb.LeaseDirective], drain: bool) -> pb.HeartbeatResponse:
        response = pb.HeartbeatResponse(directives=directives, drain=drain)
        convert.set_span(response.lease_duration, round(self._core.leases.duration * 1e6))
        convert.set_span(response.interval, round(self._core.settings.heartbeat_interval * 1e6))
        return response


def _lost_directive(task_id: str, attempt: int) -> pb.LeaseDirective:
    return pb.LeaseDirective(task_id=task_id, directive=pb.DIRECTIVE_LOST, attempt=attempt)


def _cancel_directive(lease: Lease, reason: str) -> pb.LeaseDirective:
    directive = pb.LeaseDirective(
        task_id=encode_task_id(lease.task_id),
        directive=pb.DIRECTIVE_CANCEL,
        reason=reason,
        attempt=lease.attempt,
    )
    convert.set_time(directive.cancel_deadline, lease.cancel_deadline)
    return directive


def _progress(progress: task_pb2.Progress, now: int) -> Progress:
    done = progress.done if math.isfinite(progress.done) else 0.0
    total = progress.total if math.isfinite(progress.total) else 0.0
    return Progress(validate.kept(progress.message, 256), done, total, now)
