"""Filters of requests."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from quarterdeck_server.engine.commands import Refusal
from quarterdeck_server.engine.filters import TASK_FIELDS, FieldTable, Filter, parse
from quarterdeck_server.engine.filters.ast import All, Any, Equals, Node, Not, TextTerm
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.errors import ApiError

_HINTED = 1000
"""Queues among which one is looked for that may be meant."""


def parse_filter(text: str, table: FieldTable) -> Filter | None:
    """The filter of a request; None when it takes everything.

    Raises:
        FilterError: it cannot be understood.
    """
    if not text.strip():
        return None
    found = parse(text, table)
    return None if found.takes_everything else found


async def task_filter(core: Core, namespace: str, text: str) -> Filter | None:
    """A filter over tasks that names only queues that exist, so that a slip is told from an empty
    queue.

    Raises:
        FilterError: it cannot be understood.
        ApiError: QUEUE_NOT_FOUND.
    """
    found = parse_filter(text, TASK_FIELDS)
    if found is None:
        return None
    named = set(_queues(found.root))
    if not named:
        return found
    known = {queue.name for queue in await core.store.get_queues(namespace, list(named))}
    unknown = sorted(named - known)
    if unknown:
        page = await core.store.list_queues(namespace, None, _HINTED, None, core.clock.now())
        raise _queue_not_found(unknown[0], [queue.name for queue in page.rows])
    return found


def _queues(node: Node) -> Iterator[str]:
    """The queues that a filter names in full."""
    match node:
        case Not(child):
            yield from _queues(child)
        case All(children) | Any(children):
            for child in children:
                yield from _queues(child)
        case TextTerm(field, tests) if field.name == "queue":
            yield from (test.text for test in tests if isinstance(test, Equals))


def _queue_not_found(queue: str, known: list[str]) -> ApiError:
    close = difflib.get_close_matches(queue[:256], known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "; a queue exists from its first use"
    message = f"filter: there is no queue {queue[:256]!r}{hint}"
    return ApiError(Refusal("QUEUE_NOT_FOUND", message, (("queue", queue),)))
