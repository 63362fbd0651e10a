"""Lists, page by page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar

from google.protobuf.message import Message

from quarterdeck_server.engine.filters import Filter
from quarterdeck_server.rpc import tokens, validate
from quarterdeck_server.store.base import Page

Item = TypeVar("Item", bound=Message)
Row = TypeVar("Row")

Read = Callable[[int, "list[Any] | None"], Awaitable[Page[Row]]]
"""Reads at most so many rows after a position."""


class Call(NamedTuple):
    """What a client asks for."""

    listing: str
    """The kind of list and its order."""
    namespace: str
    filter: Filter | None
    page_size: int
    page_token: str
    key: tokens.Key
    """What the store's positions in it are made of."""


class Answer(NamedTuple, Generic[Item]):
    """A page as its client gets it."""

    items: list[Item]
    next_token: str
    revision: int


async def read_page(call: Call, read: Read[Row], convert: Callable[[Row], Item]) -> Answer[Item]:
    """Read and convert one page; one that is too large for a client is read again with fewer rows.

    Raises:
        ApiError: INVALID_FIELD or INVALID_PAGE_TOKEN.
    """
    fingerprint = "" if call.filter is None else call.filter.fingerprint()
    scope = tokens.page_scope(call.listing, call.namespace, fingerprint)
    limit = validate.page_size(call.page_size)
    after = tokens.read_page_token(call.page_token, scope, call.key)
    while True:
        page = await read(limit, after)
        items = [convert(row) for row in page.rows]
        size = sum(item.ByteSize() for item in items)
        if size <= validate.MAX_ANSWER or len(items) < 2:
            return Answer(items, tokens.page_token(scope, page.next_key), page.revision)
        limit = max(1, len(items) * validate.MAX_ANSWER // size // 2)
