"""What `quarterdeck queue pause`, `resume` and `limits` do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import click
from google.protobuf.duration_pb2 import Duration

from quarterdeck._text import sanitize
from quarterdeck.cli import _format, _standing
from quarterdeck.cli._call import PATIENCE, Connection
from quarterdeck.cli._exit import CommandError, ExitCode
from quarterdeck.cli._fleet import queue_state
from quarterdeck.cli._options import Settings, Why
from quarterdeck.cli._output import emit
from quarterdeck.cli._table import print_fields
from quarterdeck.v1.fleet_service_pb2 import (
    ListQueuesRequest,
    UpdateQueueRequest,
    UpdateQueueResponse,
)
from quarterdeck.v1.hold_pb2 import Hold
from quarterdeck.v1.queue_pb2 import (
    ArrivalPolicy,
    ConcurrencyLimit,
    OverflowPolicy,
    Queue,
    QueueLimits,
    RateLimit,
)


def pause(settings: Settings, name: str, why: Why, *, paused: bool, drop: bool = False) -> None:
    """Pauses or resumes a queue; with `drop` what arrives meanwhile is cancelled at once.

    One that was never used can be paused, which creates it: nothing of it starts before somebody
    looked. There is nothing to resume of it.

    Raises:
        CommandError: there is no such queue to resume.
    """
    connection = Connection(settings)
    new = _find(connection, name) is None
    if new and not paused:
        raise _no_queue(name)
    request = UpdateQueueRequest(
        namespace=settings.namespace, queue=name, paused=paused, reason=why.reason, actor=why.actor
    )
    if paused:
        request.paused_arrivals = (
            ArrivalPolicy.ARRIVAL_POLICY_DROP if drop else ArrivalPolicy.ARRIVAL_POLICY_QUEUE
        )
    response = connection.call(connection.fleet.UpdateQueue, request)
    word = "paused" if response.queue.paused else "resumed"
    word += ", what arrives is dropped" if paused and drop else ""
    emit(settings.output, response, lambda: click.echo(f"{sanitize(name)} {word}"))
    _remark(name, new=new)


def _remark(name: str, *, new: bool) -> None:
    """Says that a queue was not there before: its name may be mistyped."""
    if new:
        click.echo(f"there was no queue {sanitize(name)}: it was created", err=True)


def _no_queue(name: str) -> CommandError:
    hint = "`quarterdeck queue list` lists all"
    return CommandError(f"there is no queue {sanitize(name)}", ExitCode.NOT_FOUND, hint)


def limits(
    settings: Settings, name: str, values: Mapping[str, Any], why: Why, *, clear: bool, etag: str
) -> None:
    """Changes the limits that are given, leaves the others, and prints what holds now.

    Args:
        settings: The common options.
        name: The queue; one that was never used is created by a change.
        values: The limits by their options' names.
        why: For the audit log.
        clear: Remove those that are not given.
        etag: Change only the queue that has it; empty for whatever it is.
    """
    connection = Connection(settings)
    given = {key: value for key, value in values.items() if value not in (None, ())}
    queue = _find(connection, name)
    if not given and not clear:
        if queue is None:
            raise _no_queue(name)
        response = UpdateQueueResponse(queue=queue)
    else:
        wanted = QueueLimits() if clear or queue is None else queue.limits
        _change(wanted, given)
        request = UpdateQueueRequest(
            namespace=settings.namespace,
            queue=name,
            limits=wanted,
            etag=etag,
            reason=why.reason,
            actor=why.actor,
        )
        if not clear:
            parts: list[str] = [field for option, field in _FIELDS.items() if option in given]
            if "weights" in given:
                # They are one limit, and those of other keys stand here as they were read.
                parts.append("weights")
                request.etag = etag or (queue.etag if queue is not None else "")
            request.update_mask.paths.extend(f"limits.{part}" for part in parts)
        response = connection.call(connection.fleet.UpdateQueue, request)
    emit(
        settings.output,
        response,
        lambda: _print(response.queue, _standing.ask(connection).freeze),
    )
    _remark(name, new=queue is None)


def _find(connection: Connection, name: str) -> Queue | None:
    wanted = f"name:{_format.quoted(name)}"
    request = ListQueuesRequest(namespace=connection.namespace, filter=wanted)
    found = connection.call(connection.fleet.ListQueues, request, patience=PATIENCE)
    return next((queue for queue in found.queues if queue.name == name), None)


_Field = Literal["concurrency", "concurrency_per_key", "rate", "rate_per_key", "ageing"]
_FIELDS: dict[str, _Field] = {
    "concurrency": "concurrency",
    "per_key": "concurrency_per_key",
    "rate": "rate",
    "key_rate": "rate_per_key",
    "ageing": "ageing",
}


def _change(limits: QueueLimits, given: Mapping[str, Any]) -> None:
    for option, field in _FIELDS.items():
        if option in given:
            limits.ClearField(field)
            if new := _limit(given[option]):
                getattr(limits, field).CopyFrom(new)
    for key, weight in given.get("weights", ()):
        limits.weights.pop(key, None)
        if weight:
            limits.weights[key] = weight


def _limit(value: Any) -> ConcurrencyLimit | RateLimit | Duration | None:
    """What an option says; None for one that removes the limit."""
    match value:
        case (0, *_):
            return None
        case (int(limit), str(overflow)):
            word = overflow.upper().replace("-", "_")
            return ConcurrencyLimit(
                limit=limit, overflow=OverflowPolicy.Value(f"OVERFLOW_POLICY_{word}")
            )
        case (int(units), period, int(burst)):
            rate = RateLimit(units=units, burst=burst)
            rate.period.FromTimedelta(period)
            return rate
        case _:
            ageing = Duration()
            ageing.FromTimedelta(value)
            return ageing if value else None


def _print(queue: Queue, freeze: Hold | None) -> None:
    now = queue.limits
    print_fields(
        [
            ("queue", queue.name),
            ("state", queue_state(queue, freeze)),
            ("concurrency", _concurrency(now.concurrency)),
            ("per key", _concurrency(now.concurrency_per_key)),
            ("rate", _rate(now.rate)),
            ("key rate", _rate(now.rate_per_key)),
            ("ageing", _format.duration(now.ageing)),
            ("weights", _format.labels({key: str(n) for key, n in now.weights.items()})),
            ("rests until", _rest(queue)),
        ]
    )


def _rest(queue: Queue) -> str:
    """Until when the queue rests; nothing once that is over."""
    over = not _format.age(queue.back_off_until).startswith("in ")
    return "" if over else _format.instant(queue.back_off_until)


_OVER: dict[int, str] = {
    OverflowPolicy.OVERFLOW_POLICY_WAIT: "tasks wait",
    OverflowPolicy.OVERFLOW_POLICY_REJECT: "new tasks are refused",
    OverflowPolicy.OVERFLOW_POLICY_CANCEL_OLDEST: "the oldest task is cancelled",
    OverflowPolicy.OVERFLOW_POLICY_CANCEL_NEWEST: "new tasks are cancelled",
}


def _concurrency(limit: ConcurrencyLimit) -> str:
    if not limit.limit:
        return ""
    over = _OVER.get(limit.overflow or 1, "")
    return f"{limit.limit:,}{over and f'; over it {over}'}"


def _rate(limit: RateLimit) -> str:
    if not limit.units:
        return ""
    burst = f", burst {limit.burst:,}" if limit.burst else ""
    return f"{limit.units:,} in {_format.duration(limit.period) or '1s'}{burst}"
