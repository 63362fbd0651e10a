"""How values look to people: ages, states, payloads, failures."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from quarterdeck._text import sanitize
from quarterdeck.cli._table import Cell
from quarterdeck.v1.agent_pb2 import AgentState
from quarterdeck.v1.payload_pb2 import Failure, Payload
from quarterdeck.v1.queue_pb2 import StateCount
from quarterdeck.v1.task_pb2 import AttributeValue, Progress, Task, TaskState

ENDED = (
    TaskState.TASK_STATE_SUCCEEDED,
    TaskState.TASK_STATE_FAILED,
    TaskState.TASK_STATE_CANCELLED,
    TaskState.TASK_STATE_EXPIRED,
)
"""States that a task does not leave by itself."""

_COLOURS = {
    "running": "cyan",
    "succeeded": "green",
    "failed": "red",
    "expired": "red",
    "cancelled": "yellow",
    "active": "green",
    "draining": "yellow",
    "lost": "red",
    "paused": "yellow",
}
_SHOWN_PAYLOAD = 65_536


def age(timestamp: Timestamp, now: dt.datetime | None = None) -> str:
    """How long ago: `12s`, `2h05m`; `in 12s` for the future, nothing for an unset timestamp."""
    if not timestamp.ByteSize():
        return ""
    now = now or dt.datetime.now(dt.UTC)
    seconds = now.timestamp() - timestamp.seconds - timestamp.nanos / 1e9
    return length(seconds) if seconds > -0.5 else f"in {length(-seconds)}"


def length(seconds: float) -> str:
    """A length of time in at most two units: `8ms`, `2.5s`, `1m05s`."""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def duration(value: Duration) -> str:
    """A duration that somebody set: `1s`, `5m`, `1h30m`; nothing for an unset one."""
    if not value.ByteSize():
        return ""
    text = length(value.seconds + value.nanos / 1e9)
    return re.sub(r"\.0(?=s$)|(?<=[a-z])00[hms]$", "", text)


def between(start: Timestamp, end: Timestamp) -> str:
    """The time between two instants; nothing while one is unset."""
    if not start.ByteSize() or not end.ByteSize():
        return ""
    return length(end.seconds - start.seconds + (end.nanos - start.nanos) / 1e9)


def instant(timestamp: Timestamp) -> str:
    """An instant in local time with its offset, to a millisecond; nothing for an unset one."""
    if not timestamp.ByteSize():
        return ""
    return local(timestamp).isoformat(sep=" ", timespec="milliseconds")


def local(timestamp: Timestamp) -> dt.datetime:
    """The instant in the local zone."""
    return timestamp.ToDatetime(dt.UTC).astimezone()


def task_state(value: TaskState.ValueType, reason: str = "") -> Cell:
    """A task's state, with its reason if it has one."""
    word = enum_word(TaskState.DESCRIPTOR, value)
    return Cell(f"{word} {reason}".rstrip(), _COLOURS.get(word))


def standing(task: Task) -> Cell:
    """A task's state; of one that runs also that it is being cancelled, paused, or stands still."""
    if task.state == TaskState.TASK_STATE_RUNNING:
        if task.HasField("cancellation"):
            return Cell("cancelling", "yellow")
        if task.HasField("pause"):
            return Cell(pause_word(task), "yellow")
    return task_state(task.state, task.reason)


def pause_word(task: Task) -> str:
    """Of a task with a pause: whether it stands still already."""
    return "paused" if task.pause.HasField("acknowledge_time") else "pausing"


def agent_state(value: AgentState.ValueType, *, held: bool = False) -> Cell:
    """An agent's state, and whether it is held."""
    word = enum_word(AgentState.DESCRIPTOR, value)
    return Cell(f"{word}, held", "yellow") if held else Cell(word, _COLOURS.get(word))


def paused(flag: bool, note: str) -> Cell:
    """`paused` with who paused it, or `active`."""
    return (
        Cell(f"paused: {note}" if note else "paused", "yellow") if flag else Cell("active", "green")
    )


def enum_word(enum: EnumDescriptor, value: int) -> str:
    """A value as a word: `TASK_STATE_RUNNING` as `running`; one of a newer server as its number."""
    known = enum.values_by_number.get(value)
    if known is None:
        return str(value)
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return known.name.removeprefix(prefix).lower()


def counts(values: Iterable[StateCount]) -> dict[str, int]:
    """Counts by the state's word."""
    return {enum_word(TaskState.DESCRIPTOR, item.state): item.count for item in values}


def quoted(text: str) -> str:
    """A text as a value of a filter, whatever is in it."""
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))


def progress(value: Progress) -> str:
    """How far an attempt has come: `3/10 reading`."""
    done = (
        f"{value.done:g}/{value.total:g}"
        if value.total
        else (f"{value.done:g}" if value.done else "")
    )
    return f"{done} {value.message}".strip()


def labels(values: Mapping[str, str]) -> str:
    """Labels as `key=value`, in the order of their keys."""
    return " ".join(f"{key}={value}" for key, value in sorted(values.items()))


def attributes(values: Mapping[str, AttributeValue]) -> str:
    """Attributes as `key=value`, in the order of their keys."""
    return " ".join(f"{key}={attribute(value)}" for key, value in sorted(values.items()))


def attribute(value: AttributeValue) -> str:
    """One typed fact; nothing for one of a newer server."""
    match value.WhichOneof("value"):
        case "text":
            return value.text
        case "number":
            return f"{value.number:g}"
        case "flag":
            return "true" if value.flag else "false"
        case _:
            return ""


def failure(value: Failure) -> str:
    """A failure in one line."""
    return f"{value.type}: {value.message}" if value.type else value.message


def payload(value: Payload) -> str:
    """A payload as text for people: JSON indented, other text as it is, bytes by their size."""
    if not value.data:
        return ""
    kind = value.content_type or "application/json"
    try:
        text = value.data.decode()
        if kind == "application/json":
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return f"{len(value.data):,} bytes of {sanitize(kind, limit=128)}"
    return sanitize(text, limit=_SHOWN_PAYLOAD, multiline=True)
