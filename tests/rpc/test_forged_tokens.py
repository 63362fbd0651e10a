"""Forged page and watch tokens over a real channel: each ends with what is wrong, none as a defect of the server."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from quarterdeck_server.rpc.tokens import page_scope

from .api import Api, agent, agents_pb, fleet_pb, refused, schedules_pb, spec, tasks_pb, watch_pb
from .conftest import Server

_PARTS: list[Any] = [
    *(None, True, 0, -1, 2**63, -(2**63) - 1, 10**30, 1.5, float("inf"), float("nan")),
    *("", "a", "\0", "\ud800", "x\udc00", [], [1], {}, {"a": 1}),
]


class Listing(NamedTuple):
    """A list, and a position in it that its store could have given."""

    name: str
    call: Callable[..., Any]
    request: Callable[..., Any]
    key: list[Any]
    order_by: str = ""


def listings(api: Api) -> list[Listing]:
    """Every list that has page tokens."""
    tasks = (api.tasks.ListTasks, tasks_pb.ListTasksRequest)
    return [
        Listing("tasks create_time True", *tasks, [5]),
        Listing("tasks name False", *tasks, ["n", 5], "name"),
        Listing("tasks priority True", *tasks, [5, 5], "priority desc"),
        Listing("tasks end_time False", *tasks, [5, 5], "end_time"),
        Listing("agents", api.fleet.ListAgents, fleet_pb.ListAgentsRequest, [5, "a"]),
        Listing("queues", api.fleet.ListQueues, fleet_pb.ListQueuesRequest, ["a"]),
        Listing("holds", api.fleet.ListHolds, fleet_pb.ListHoldsRequest, [1, "a"]),
        Listing("audit", api.fleet.ListAuditEntries, fleet_pb.ListAuditEntriesRequest, [5]),
        Listing("schedules", api.schedules.ListSchedules, schedules_pb.ListSchedulesRequest, ["a"]),
    ]


def forge(kind: str, body: bytes) -> str:
    """A token whose checksum is right."""
    checksum = hashlib.blake2b(body, digest_size=6, person=kind.encode()).digest()
    return base64.urlsafe_b64encode(checksum + body).rstrip(b"=").decode()


def damaged(kind: str) -> Iterator[str]:
    """Tokens of nothing."""
    chance = random.Random(7)
    for size in (1, 2, 5, 6, 7, 40, 3000, 5000):
        data = chance.randbytes(size)
        yield base64.urlsafe_b64encode(data).rstrip(b"=").decode()
        yield forge(kind, data)
    yield from ("\0", "A\0B", "é", "=", "%00", " ", "A" * 100_000)
    yield base64.urlsafe_b64encode(b'["tasks",[1]]').decode()
    message = agents_pb.ClaimRequest(agent=agent("a1"))
    yield base64.urlsafe_b64encode(message.SerializeToString()).decode()
    for body in (b"", b"{}", b"[]", b"null", b"[" * 2000, b"9" * 2900, b"NaN", b'"\\ud800"'):
        yield forge(kind, body)


def wrong(key: list[Any]) -> Iterator[Any]:
    """Positions of another shape, each but a little."""
    yield from ({}, "a", 5, None, [], [*key, 5], key[:-1], [key])
    for place, right in enumerate(key):
        for part in _PARTS:
            large = isinstance(part, int) and abs(part) >= 2**63
            if large or type(part) is not type(right) or part in ("\0", "\ud800", "x\udc00"):
                yield [*key[:place], part, *key[place + 1 :]]


async def test_a_forged_page_token_is_refused_by_every_list(api: Api) -> None:
    await api.submit(*(spec() for _ in range(3)))
    every = listings(api)
    for name, call, request, key, order in every:
        scope = page_scope(name, "default", "")
        own = [forge("page", json.dumps([scope, position]).encode()) for position in wrong(key)]
        others = [
            forge("page", json.dumps([page_scope(o.name, "default", ""), o.key]).encode())
            for o in every
            if o.name != name
        ]
        for token in [*damaged("page"), *own, *others]:
            error = await refused(
                call(request(page_token=token, **({"order_by": order} if order else {})))
            )
            assert (error.code, error.reason) == (3, "INVALID_PAGE_TOKEN"), (name, token)
            assert error.metadata == {"field": "page_token"}
            assert list(error.fields) == ["page_token"]
            assert error.message.startswith("page_token: damaged, or of another list")


async def test_a_page_token_that_could_be_the_stores_own_is_answered(api: Api) -> None:
    for name, call, request, key, order in listings(api):
        body = json.dumps([page_scope(name, "default", ""), key]).encode()
        await call(
            request(page_token=forge("page", body), **({"order_by": order} if order else {}))
        )


@pytest.mark.parametrize("method", ["watch", "act"])
async def test_a_forged_watch_token_has_expired(api: Api, server: Server, method: str) -> None:
    await api.submit()
    own = server.core.store.store_id
    forged = [forge("watch", json.dumps(body).encode()) for body in wrong([own, 2**63])]
    forged += [forge("watch", json.dumps([own, 1, part]).encode()) for part in _PARTS if part != 0]
    for token in [*damaged("watch"), *forged]:
        if method == "watch":
            call = api.watches.Watch(watch_pb.WatchRequest(resume_token=token))
            expected = (11, "WATCH_TOKEN_EXPIRED")
        else:
            act = tasks_pb.ActOnTasksRequest(
                filter="id:*", max_count=9, watch_token=token, cancel={}, dry_run=True
            )
            call = api.tasks.ActOnTasks(act)
            expected = (10, "LIST_TOO_OLD")
        error = await refused(call.read())
        assert (error.code, error.reason) == expected, token
