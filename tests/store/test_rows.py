"""What is written is read back: tasks, payloads, logs, fleet, lists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.filters import QUEUE_FIELDS, TASK_FIELDS, parse
from quarterdeck_server.engine.model import Payload, Task
from quarterdeck_server.engine.pools import Instance, InstanceState, PoolStatus
from quarterdeck_server.engine.states import AgentState
from quarterdeck_server.store.base import Store

from ..engine import make
from ..engine.make import NOW
from .desk import Desk


async def test_a_task_is_read_with_all_that_belongs_to_it(desk: Desk) -> None:
    first, second = await desk.submit(make.spec(data=b"in"), make.spec(depends_on=(-1,)))
    (task,) = await desk.claim()
    await desk.do(make.report(task.id, task.lease_token, make.fail(retry_delay=0)))
    (task,) = await desk.claim()
    await desk.finish(task, b"out")
    detail = await desk.store.get_task("default", first)
    assert detail is not None
    assert detail.input == Payload("application/octet-stream", b"in")
    assert detail.result == Payload("text/plain", b"out")
    assert [(a.attempt, a.outcome) for a in detail.attempts] == [(1, 2), (2, 1)]
    dependent = await desk.store.get_task("default", second)
    assert dependent is not None and dependent.depends_on == [first]
    assert await desk.store.get_result(first) == detail.result
    assert await desk.store.get_tasks([first]) == [detail.task]


async def test_another_namespace_sees_nothing(desk: Desk) -> None:
    (task_id,) = await desk.submit(make.spec())
    assert await desk.store.get_task("other", task_id) is None
    assert (
        await desk.store.list_tasks("other", None, "create_time", False, 9, None, NOW)
    ).rows == []
    assert (await desk.store.count_tasks("other", None, NOW))[0] == {}


@pytest.mark.parametrize("size", [0, 1, 16 * 1024 - 1, 16 * 1024, 1024 * 1024])
async def test_a_payload_of_any_size_comes_back(desk: Desk, size: int) -> None:
    data = b"x" * size
    (task_id,) = await desk.submit(make.spec(data=data))
    claim = make.claim()
    result = await desk.group(claims=[claim])
    assert result.inputs == {task_id: Payload("application/octet-stream", data)}
    await desk.finish(claim.taken[0], data)
    assert await desk.store.get_result(task_id) == Payload("text/plain", data)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    "order_by", ["create_time", "run_at", "end_time", "priority", "name", "state"]
)
async def test_pages_give_every_row_once_and_in_order(
    desk: Desk, order_by: str, descending: bool
) -> None:
    specs = [make.spec(name=f"n{i % 3}", priority=i % 4, delay=i % 2) for i in range(17)]
    ids = await desk.submit(*specs)
    for task in await desk.claim(5):
        await desk.finish(task)
    found: list[Task] = []
    key = None
    while True:
        page = await desk.store.list_tasks("default", None, order_by, descending, 4, key, NOW)
        found += page.rows
        key = page.next_key
        if key is None:
            break
    assert sorted(task.id for task in found) == ids

    def place(task: Task) -> tuple[object, int]:
        return ((getattr(task, order_by) or 0), task.id)

    assert found == sorted(found, key=place, reverse=descending)


async def test_pages_lose_no_row_while_rows_change_and_come(desk: Desk) -> None:
    ids = await desk.submit(*(make.spec() for _ in range(20)))
    found: list[int] = []
    key = None
    while True:
        page = await desk.store.list_tasks("default", None, "create_time", False, 3, key, NOW)
        found += [task.id for task in page.rows]
        key = page.next_key
        if key is None:
            break
        (task,) = await desk.claim()
        await desk.finish(task)
        if len(ids) < 24:
            ids += await desk.submit(make.spec())
    assert found == ids


async def test_a_page_says_at_which_revision_it_is_true(desk: Desk) -> None:
    await desk.submit(make.spec())
    page = await desk.store.list_tasks("default", None, "create_time", False, 3, None, NOW)
    assert page.revision == await desk.store.revision() == (await desk.changes())[-1].revision


async def test_a_filter_restricts_lists_and_counts(desk: Desk) -> None:
    ids = await desk.submit(*(make.spec(name=f"n{i % 2}") for i in range(6)))
    flt = parse("name:n1 state:ready", TASK_FIELDS)
    page = await desk.store.list_tasks("default", flt, "create_time", False, 9, None, NOW)
    assert [task.id for task in page.rows] == ids[1::2]
    assert (await desk.store.count_tasks("default", flt, NOW))[0] == {3: 3}
    assert (await desk.store.count_tasks("default", None, NOW))[0] == {3: 6}


async def test_queues_are_listed_with_their_counts(desk: Desk) -> None:
    await desk.submit(*(make.spec(queue=f"q{i}", name=name) for i in range(5) for name in "ab"))
    await desk.do(c.UpdateQueue("default", "q3", True, "stop"))
    first = await desk.store.list_queues("default", None, 3, None, NOW)
    rest = await desk.store.list_queues("default", None, 3, first.next_key, NOW)
    queues = first.rows + rest.rows
    assert [queue.name for queue in queues] == ["q0", "q1", "q2", "q3", "q4"]
    assert all(sorted(queue.counts) == [("a", 3, 1), ("b", 3, 1)] for queue in queues)
    only = parse("paused:true", QUEUE_FIELDS)
    page = await desk.store.list_queues("default", only, 1, None, NOW)
    assert [queue.name for queue in page.rows] == ["q3"] and page.next_key is None
    ready = await desk.store.ready_counts()
    assert ("default", "q3") not in ready and ready["default", "q1"] == {"a": 1, "b": 1}


async def test_agents_and_schedules_are_listed_in_pages(desk: Desk) -> None:
    await desk.do(c.PutAgents([make.agent(f"a{i}") for i in range(5)]))
    first = await desk.store.list_agents("default", None, 3, None, NOW)
    rest = await desk.store.list_agents("default", None, 3, first.next_key, NOW)
    assert [row.id for row in first.rows + rest.rows] == ["a0", "a1", "a2", "a3", "a4"]
    await desk.do(c.SetAgentState("default", ["a1"], int(AgentState.GONE)))
    assert [row.id for row in await desk.store.live_agents()] == ["a0", "a2", "a3", "a4"]
    gone = await desk.store.get_agent("default", "a1")
    assert gone is not None and gone.state == AgentState.GONE
    for i in range(4):
        await desk.do(c.PutSchedule(make.interval(f"s{i}")))
    head = await desk.store.list_schedules("default", None, 3, None, NOW)
    tail = await desk.store.list_schedules("default", None, 3, head.next_key, NOW)
    assert [row.id for row in head.rows + tail.rows] == ["s0", "s1", "s2", "s3"]
    assert await desk.store.get_schedule("default", "s2") == head.rows[2]
    assert await desk.store.get_schedule("default", "s9") is None


async def test_holds_are_listed_in_pages_by_kind_and_subject(desk: Desk) -> None:
    for kind, subject in ((3, "a1"), (2, "mail"), (2, "index"), (1, "")):
        await desk.do(c.PutHold("default", kind, subject, "ann", "why"))
    await desk.do(c.PutHold("other", 2, "mail", "ann", "why"))
    first = await desk.store.list_holds("default", 2, None)
    rest = await desk.store.list_holds("default", 2, first.next_key)
    assert rest.next_key is None
    found = [(row.kind, row.subject) for row in first.rows + rest.rows]
    assert found == [(1, ""), (2, "index"), (2, "mail"), (3, "a1")]


async def test_a_task_is_read_with_the_key_that_let_it_in(desk: Desk) -> None:
    plain, keyed = await desk.submit(make.spec(), make.spec(admission=c.Unique("k", 2, 1, 0)))
    detail = await desk.store.get_task("default", plain)
    assert detail is not None and detail.keys == []
    detail = await desk.store.get_task("default", keyed)
    assert detail is not None
    ((key, row),) = detail.keys
    assert (key.kind, key.name, key.key, row.task_id) == (1, detail.task.name, "k", keyed)


async def test_pools_and_instances_are_kept(desk: Desk) -> None:
    pool = PoolStatus("default", "p", "default", 0, 2, 1, 60, "process", 0, None, 0)
    up = Instance("i1", "default", "p", int(InstanceState.RUNNING), None, 7, 8, NOW, None, None, 0)
    down = up._replace(id="i2", state=int(InstanceState.STOPPED), end_time=NOW)
    await desk.group(c.PutPools([pool]), c.PutInstance(up), c.PutInstance(down))
    assert [row.id for row in await desk.store.list_instances(None)] == ["i1"]
    assert [row.id for row in await desk.store.list_instances("default", ended=True)] == [
        "i1",
        "i2",
    ]
    assert [row.name for row in await desk.store.list_pools("default")] == ["p"]
    await desk.do(c.PutPools([], replace=True))
    assert await desk.store.list_pools("default") == []


def _lines(task: Task, offset: int, *texts: str) -> c.AppendLogs:
    lines = [c.Line(None, "info", "log", text) for text in texts]
    return c.AppendLogs("default", [c.LogItem(task.id, task.lease_token or 0, offset, lines)])


async def test_the_tail_of_a_log_is_the_tail_of_the_attempt_that_is_asked_for(desk: Desk) -> None:
    await desk.submit(make.spec())
    (first,) = await desk.claim()
    await desk.do(_lines(first, 0, "a", "b", "c"))
    await desk.do(make.report(first.id, first.lease_token, make.fail(retry_delay=0)))
    (second,) = await desk.claim()
    await desk.do(_lines(second, 0, "d", "e", "f", "g"))

    async def texts(after: int, attempt: int, limit: int = 99) -> str:
        rows = await desk.store.read_logs("default", first.id, after, attempt, limit)
        return "".join(row.text for row in rows)

    assert await texts(0, 0) == "abcdefg"
    assert await texts(2, 0, 3) == "cde"
    assert await texts(-2, 0) == "fg"
    assert await texts(-2, 1) == "bc"
    assert await texts(-9, 2) == "defg"
    assert await texts(0, 2, 2) == "de"
    assert await desk.store.read_logs("other", first.id, 0, 0, 9) == []


async def test_a_repeated_chunk_of_a_log_is_kept_once(desk: Desk) -> None:
    await desk.submit(make.spec())
    (task,) = await desk.claim()
    await desk.do(_lines(task, 0, "a", "b"))
    await desk.do(_lines(task, 1, "b", "c"))
    rows = await desk.store.read_logs("default", task.id, 0, 0, 9)
    assert [(row.sequence, row.offset, row.text) for row in rows] == [
        (1, 0, "a"),
        (2, 1, "b"),
        (3, 2, "c"),
    ]


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancelled_reader_leaves_no_old_snapshot_behind(desk: Desk, steps: int) -> None:
    await desk.submit(make.spec())
    store = desk.store

    async def page() -> list[Task]:
        return (await store.list_tasks("default", None, "create_time", False, 9, None, NOW)).rows

    for _ in range(4):
        reader = asyncio.create_task(page())
        for _ in range(steps):
            await asyncio.sleep(0)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    for count in range(2, 6):
        await desk.submit(make.spec())
        assert [len(await page()) for _ in range(4)] == [count] * 4


async def test_a_store_that_was_closed_and_opened_has_everything(
    make_store: Callable[[], Store],
) -> None:
    store = make_store()
    await store.open()
    desk = Desk(store)
    await desk.submit(*(make.spec(data=b"x" * 20_000) for _ in range(3)))
    (task,) = await desk.claim()
    before, identity = await desk.changes(), store.store_id
    await store.close()
    store = make_store()
    await store.open()
    desk = Desk(store)
    assert store.store_id == identity
    assert [(x.revision, x.row) for x in await desk.changes()] == [
        (x.revision, x.row) for x in before
    ]
    assert await store.running_tasks() == [task]
    await desk.finish(task)
    assert await store.revision() > before[-1].revision
    await store.close()
    await store.close()
