"""Requests that name several tasks, with a result for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from quarterdeck.v1 import status_pb2
from quarterdeck_server.engine.commands import Command, ItemResult, Refusal
from quarterdeck_server.engine.ids import decode_task_id
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.errors import refusal_status
from quarterdeck_server.rpc.requests import execute

Reply = TypeVar("Reply")
Result = TypeVar("Result")


def split_ids(texts: Sequence[str]) -> tuple[list[int], list[str | None]]:
    """The ids of tasks, and in the order of the texts those that are none."""
    ids: list[int] = []
    missing: list[str | None] = []
    for text in texts:
        try:
            ids.append(decode_task_id(text))
            missing.append(None)
        except ValueError:
            missing.append(text)
    return ids, missing


def no_task(text: str) -> Refusal:
    """Refuse a text that is no task's id."""
    shown = text[:40]
    message = f"there is no task {shown!r}: an id is task_ and 13 characters of 0-9 a-z"
    return Refusal("TASK_NOT_FOUND", message, (("task_id", shown),))


def merged(
    replies: Sequence[Reply],
    missing: Sequence[str | None],
    result: Callable[[Reply], Result],
    error: Callable[[status_pb2.Status], Result],
) -> list[Result]:
    """Results in the order of the request: of the replies, and of the texts that are no task's id."""
    answers = iter(replies)
    return [
        result(next(answers)) if text is None else error(refusal_status(no_task(text)))
        for text in missing
    ]


async def item_results(
    core: Core, command: Command, wanted: bool, missing: Sequence[str | None]
) -> list[tuple[int, status_pb2.Status | None]]:
    """Carry out a command that is answered with a list of ItemResult; state and error of every item."""

    def result(reply: ItemResult) -> tuple[int, status_pb2.Status | None]:
        return reply.state, None if reply.refusal is None else refusal_status(reply.refusal)

    def error(status: status_pb2.Status) -> tuple[int, status_pb2.Status | None]:
        return 0, status

    replies = await execute(core, command) if wanted else []
    return merged(replies, missing, result, error)
