"""What `quarterdeck watch` does: a stream that outlives the server's restarts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import click
import grpc

from quarterdeck._text import fit, sanitize
from quarterdeck._words import counted
from quarterdeck.cli import _format, _holds, _schedules, _tasks
from quarterdeck.cli._call import Connection
from quarterdeck.cli._options import Settings
from quarterdeck.cli._output import emit_item
from quarterdeck.cli._table import terminal_width
from quarterdeck.v1.pool_pb2 import InstanceState
from quarterdeck.v1.watch_service_pb2 import (
    Change,
    ChangeType,
    ResourceKind,
    WatchMode,
    WatchRequest,
    WatchResponse,
)

_AGAIN_SECONDS = 0.2


@dataclass(frozen=True)
class Options:
    """What is watched, and how.

    Attributes:
        filter: Which resources of the one kind.
        latest: Only the latest version of each.
        no_snapshot: Without the current state.
        resume_token: From an earlier watch.
        count: End after so many changes; None never ends.
    """

    filter: str = ""
    latest: bool = False
    no_snapshot: bool = False
    resume_token: str = ""
    count: int | None = None


def watch(settings: Settings, kinds: Sequence[str], options: Options) -> None:
    """Prints changes until interrupted, or until there were enough."""
    request = WatchRequest(
        namespace=settings.namespace,
        kinds=[ResourceKind.Value(f"RESOURCE_KIND_{kind.upper()}") for kind in kinds],
        filter=options.filter,
        mode=WatchMode.WATCH_MODE_LATEST if options.latest else WatchMode.WATCH_MODE_EVERY_CHANGE,
        skip_snapshot=options.no_snapshot,
        resume_token=options.resume_token,
    )
    left = options.count
    try:
        for response in _responses(Connection(settings), request):
            for change in response.changes[:left]:
                emit_item(settings.output, change, partial(_print, change))
            if left is not None:
                left -= len(response.changes)
                if left <= 0:
                    return
    except KeyboardInterrupt:
        if request.resume_token:
            click.echo(f"continue with --resume-token {request.resume_token}", err=True)
        raise


def _responses(connection: Connection, request: WatchRequest) -> Iterator[WatchResponse]:
    """Answers of one watch after the other; `request` is kept at the place that was reached."""
    retry = connection.retry()
    while True:
        stream = connection.watches.Watch(request)
        try:
            for response in stream:
                retry.succeeded()
                yield response
                # Only now, when it was printed: an interrupted watch continues without a gap.
                request.resume_token = response.resume_token or request.resume_token
            # The server ended it, as it does before it stops.
            connection.sleep(_AGAIN_SECONDS)
        except grpc.RpcError as error:
            retry.pause(connection.decode(error))
        finally:
            stream.cancel()


def _print(change: Change) -> None:
    kind = change.WhichOneof("resource") or "?"
    time = (
        _format.local(change.time).strftime("%H:%M:%S.%f")[:-3] if change.HasField("time") else ""
    )
    verb = _format.enum_word(ChangeType.DESCRIPTOR, change.type)
    line = f"{time:<12} {verb:<8} {kind:<8} {_describe(change, kind)}"
    line = sanitize(line)
    width = terminal_width()
    click.echo(line if width is None else fit(line, width))


def _describe(change: Change, kind: str) -> str:
    match kind:
        case "task":
            task = change.task
            state = _format.standing(task).text
            return f"{task.id} {task.name} {state} {_tasks.detail(task)}"
        case "agent":
            about = change.agent.info
            state = _format.agent_state(change.agent.state).text
            return f"{about.agent_id} {about.name} {state} {change.agent.running}/{about.slots}"
        case "queue":
            queue = change.queue
            counts = " ".join(f"{word}={n:,}" for word, n in _format.counts(queue.counts).items())
            return f"{queue.name} {_format.paused(queue.paused, queue.pause_note).text} {counts}"
        case "schedule":
            schedule = change.schedule
            following = _format.instant(schedule.next_time)
            return f"{schedule.id} {_schedules.when(schedule.spec)} next {following or 'never'}"
        case "instance":
            instance = change.instance
            state = _format.enum_word(InstanceState.DESCRIPTOR, instance.state)
            return f"{instance.id} {state} {instance.detail}"
        case "pool":
            pool = change.pool
            return f"{pool.name} {pool.instances} of {counted(pool.max, 'instance')} {pool.detail}"
        case "hold":
            return _holds.describe(change.hold)
        case _:
            return "a resource of a newer server"
