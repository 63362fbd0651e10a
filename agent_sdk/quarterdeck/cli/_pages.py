"""Pages of a list, put together into one answer."""

from __future__ import annotations

from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from quarterdeck.cli._call import PATIENCE, Connection

Response = TypeVar("Response", bound=Message)

PAGE = 1000
"""Items asked for at once: the most that a server gives."""


def collect(
    connection: Connection,
    method: grpc.UnaryUnaryMultiCallable[Any, Response],
    request: Any,
    field: str,
    *,
    limit: int = 0,
) -> Response:
    """The pages of a list as one answer, true at the first one's watch token.

    Args:
        connection: The server.
        method: A list method of one of the stubs.
        request: What it is asked, from the first page that is wanted on.
        field: Name of the items in the answer.
        limit: Items at most; 0 means all.
    """
    found: Any = None
    while True:
        room = limit - len(getattr(found, field)) if limit and found else limit or PAGE
        request.page_size = min(room, PAGE)
        page: Any = connection.call(method, request, patience=PATIENCE)
        if found is None:
            found = page
        else:
            getattr(found, field).extend(getattr(page, field))
            found.next_page_token = page.next_page_token
        full = limit and len(getattr(found, field)) >= limit
        if full or not page.next_page_token:
            answer: Response = found
            return answer
        request.page_token = page.next_page_token
