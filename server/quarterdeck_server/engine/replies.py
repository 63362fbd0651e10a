"""Replies as bytes, kept for requests that a client repeats."""

from __future__ import annotations

from typing import Any

import msgpack

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.schedule.schedules import Schedule


def encode_reply(reply: Any) -> bytes:
    """Encode the reply of a command that carries a request id."""
    return bytes(msgpack.packb(reply))


def decode_reply(command: c.Command, data: bytes) -> Any:
    """Decode the kept reply of `command`."""
    raw = msgpack.unpackb(data)
    if isinstance(command, c.Submit):
        return [_submitted(item) for item in raw]
    if isinstance(command, c.Cancel | c.Retry | c.UpdateTasks | c.PauseTasks | c.ResumeTasks):
        return [c.ItemResult(state, _refusal(refusal)) for state, refusal in raw]
    if isinstance(command, c.Rerun):
        return [
            c.Rerunning(task_id, tuple(copies), _refusal(refusal))
            for task_id, copies, refusal in raw
        ]
    if isinstance(command, c.PutSchedule):
        return Schedule._make(raw[0]), raw[1]
    assert isinstance(command, c.TriggerSchedule)
    return _submitted(raw)


def _submitted(raw: list[Any]) -> c.Submitted:
    return c.Submitted(raw[0], raw[1], _refusal(raw[2]))


def _refusal(raw: list[Any] | None) -> c.Refusal | None:
    if raw is None:
        return None
    return c.Refusal(raw[0], raw[1], tuple((key, value) for key, value in raw[2]))
