"""Requests that name several tasks, with a result for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from quarterdeck.v1 import status_pb2
from quarterdeck_server.engine.commands import Audit, Command, ItemResult, Refusal, RequestKey
from quarterdeck_server.engine.ids import decode_task_id
from quarterdeck_server.rpc import validate
from quarterdeck_server.rpc.audit import Who, read_who
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.errors import Violation, refusal_status
from quarterdeck_server.rpc.requests import execute, request_key
from quarterdeck_server.rpc.validate import Violations

Reply = TypeVar("Reply")
Result = TypeVar("Result")


class Named(NamedTuple):
    """The tasks that an operator names in a request, and who he is and why."""

    namespace: str
    ids: list[int]
    missing: list[str | None]
    """In the order of the request: what is no task's id, else None."""
    who: Who
    audit: Audit
    key: RequestKey | None


def read_named(
    request: Any, action: str, wrong: Sequence[Violation] = (), limit: int = validate.MAX_BATCH
) -> Named:
    """Read what all requests have that do something to tasks by their ids.

    Args:
        request: Has `namespace`, `task_ids`, `reason`, `actor` and `request_id`.
        action: The name of the RPC.
        wrong: What is not allowed in the rest of the request.
        limit: How many tasks it may name.

    Raises:
        ApiError: something of it is not allowed.
    """
    out: Violations = [*wrong]
    namespace = validate.namespace_of(request.namespace)
    who = read_who(request, out)
    validate.refuse(out)
    validate.batch(len(request.task_ids), "task_ids", limit)
    key = request_key(namespace, action, request)
    ids, missing = split_ids(request.task_ids)
    return Named(namespace, ids, missing, who, who.audit(action, request.task_ids), key)


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
    core: Core, command: Command, named: Named, result: Callable[..., Result]
) -> list[Result]:
    """Carry out a command that is answered with a list of ItemResult.

    Args:
        core: The server.
        command: About the ids of `named`.
        named: What the request names.
        result: Makes the message of an item, from its `state` or its `error`.
    """

    def of_reply(reply: ItemResult) -> Result:
        if reply.refusal is None:
            return result(state=reply.state)
        return result(state=reply.state, error=refusal_status(reply.refusal))

    def of_error(status: status_pb2.Status) -> Result:
        return result(error=status)

    replies = await execute(core, command) if named.ids else []
    return merged(replies, named.missing, of_reply, of_error)
