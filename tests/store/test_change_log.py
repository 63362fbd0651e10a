"""The change log is complete, in order, and says what the rows say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quarterdeck_server.engine import changes as log
from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.model import MAX_NAMES
from quarterdeck_server.engine.pools import Instance, InstanceState
from quarterdeck_server.engine.states import READY, AgentState
from quarterdeck_server.store.base import Store

from ..engine import make
from ..engine.make import NOW, SECOND
from .desk import Desk


async def _busy(desk: Desk) -> None:
    """A bit of everything."""
    await desk.do(c.PutAgents([make.agent()]))
    await desk.do(c.PutSchedule(make.interval()))
    await desk.submit(*(make.spec(name=f"n{i}") for i in range(5)), make.spec(depends_on=(-1,)))
    for task in await desk.claim(3):
        await desk.finish(task)
    desk.now += 60 * SECOND
    await desk.do(c.Sweep())
    await desk.do(c.UpdateQueue("default", "default", True, "stop"))


async def test_revisions_have_no_gap_and_the_last_image_is_the_row(desk: Desk) -> None:
    await _busy(desk)
    changes = await desk.changes()
    assert [x.revision for x in changes] == list(range(1, len(changes) + 1))
    last = {(x.kind, x.row[0] if x.kind == log.TASK else x.row[:2]): x.row for x in changes}
    store = desk.store
    tasks = await store.get_tasks([key for kind, key in last if kind == log.TASK])
    assert {task.id: task for task in tasks} == {
        key: row for (kind, key), row in last.items() if kind == log.TASK
    }
    assert last[log.AGENT, ("default", "a1")] == await store.get_agent("default", "a1")
    assert last[log.SCHEDULE, ("default", "tick")] == await store.get_schedule("default", "tick")
    (queue,) = (await store.list_queues("default", None, 9, None, NOW)).rows
    image = last[log.QUEUE, ("default", "default")]
    assert image[:-1] == queue[:-1] and sorted(image.counts) == sorted(queue.counts)


async def test_what_a_group_returns_is_what_the_log_keeps(desk: Desk) -> None:
    result = await desk.group(make.submit(make.spec(), make.spec()), claims=[make.claim()])
    kept = await desk.changes()
    assert [(x.revision, x.kind, x.op, x.time, x.row) for x in kept] == [
        (x.revision, x.kind, x.op, x.time, x.row) for x in result.changes
    ]


async def test_the_bounds_of_the_log(desk: Desk) -> None:
    store = desk.store
    assert await store.changes_after(0, 10) == []
    for _ in range(4):
        await desk.submit(make.spec())
        desk.now += SECOND
    last = await store.revision()
    await desk.prune(ended=0, changes_before=NOW + 2 * SECOND)
    oldest = 5
    revisions = [x.revision for x in await store.changes_after(oldest - 1, 100) or ()]
    assert revisions == list(range(oldest, last + 1))
    assert [x.revision for x in await store.changes_after(oldest, 100) or ()] == revisions[1:]
    assert await store.changes_after(last, 10) == []
    assert await store.changes_after(0, 10) is None
    assert await store.changes_after(oldest - 2, 10) is None
    assert await store.changes_after(last + 1, 10) is None


async def test_a_group_of_many_changes_is_read_from_any_position(desk: Desk) -> None:
    await desk.submit(*(make.spec() for _ in range(2500)))
    assert await desk.store.revision() == 2501
    for position in (0, 1, 999, 1000, 1001, 1999, 2500):
        part = await desk.store.changes_after(position, 10)
        assert part is not None and part[0].revision == position + 1


async def test_many_small_groups_are_read_in_one_portion(desk: Desk) -> None:
    for _ in range(20):
        await desk.submit(make.spec())
    part = await desk.store.changes_after(0, 30)
    assert part is not None and [x.revision for x in part] == list(range(1, 31))


async def test_an_idle_day_does_not_set_revisions_back(make_store: Callable[[], Store]) -> None:
    store = make_store()
    await store.open()
    desk = Desk(store)
    await desk.submit(make.spec())
    last = await store.revision()
    desk.now += 100 * SECOND
    await desk.prune(ended=0, changes_before=desk.now)
    assert await store.revision() == last
    assert await store.changes_after(last, 10) == []
    await store.close()
    store = make_store()
    await store.open()
    assert await store.revision() == last
    (change, *_) = (await store.run_group([make.submit()], make.waiting([]), NOW)).changes
    assert change.revision == last + 1
    await store.close()


async def test_the_log_keeps_a_number_of_entries(desk: Desk) -> None:
    for _ in range(10):
        await desk.submit(make.spec())
    last = await desk.store.revision()
    await desk.prune(ended=0, keep=4)
    assert await desk.store.changes_after(last - 5, 10) is None
    assert len(await desk.store.changes_after(last - 4, 10) or ()) == 4


async def test_a_queue_with_a_million_names_makes_a_short_image(desk: Desk) -> None:
    await desk.submit(*(make.spec(name=f"n{i:03}") for i in range(MAX_NAMES + 5)))
    image = (await desk.changes())[-1].row
    assert len(image.counts) == MAX_NAMES + 1
    assert image.counts[-1] == ("", READY, 5)
    (queue,) = (await desk.store.list_queues("default", None, 9, None, NOW)).rows
    assert len(queue.counts) == MAX_NAMES + 5


async def test_an_image_keeps_every_state_of_the_names_it_keeps(desk: Desk) -> None:
    names = MAX_NAMES // 2 + 1
    await desk.submit(*(make.spec(name=f"n{i:03}") for _ in range(2) for i in range(names)))
    await desk.claim(names)
    image = (await desk.changes())[-1].row
    (queue,) = await desk.store.get_queues("default", ["default", "none"])
    assert len(image.counts) > MAX_NAMES and set(image.counts) == set(queue.counts)


async def test_what_retention_removes_is_told(desk: Desk) -> None:
    await desk.do(c.PutAgents([make.agent("gone"), make.agent("here")]))
    await desk.do(c.SetAgentState("default", ["gone"], int(AgentState.GONE)))
    stopped = int(InstanceState.STOPPED)
    old = Instance("i1", "default", "p", stopped, None, 7, 8, NOW, NOW, None, 0)
    await desk.do(c.PutInstance(old))
    (task_id,) = await desk.submit(make.spec())
    (task,) = await desk.claim(agent_id="here")
    await desk.finish(task)
    desk.now += SECOND
    assert await desk.prune() == 1
    deleted = [x for x in await desk.changes() if x.op == log.DELETED]
    assert [(x.kind, x.row[0] if x.kind != log.AGENT else x.row.id) for x in deleted] == [
        (log.TASK, task_id),
        (log.AGENT, "gone"),
        (log.INSTANCE, "i1"),
    ]
    assert await desk.store.get_agent("default", "gone") is None
    assert await desk.store.get_agent("default", "here") is not None
    assert await desk.store.list_instances(None, ended=True) == []


async def test_an_agent_that_comes_back_as_it_is_removed_stays(desk: Desk) -> None:
    await desk.do(c.PutAgents([make.agent()]))
    await desk.do(c.SetAgentState("default", ["a1"], int(AgentState.GONE)))
    desk.now += SECOND
    await desk.group(c.Prune(desk.now, desk.now, 0, 1000), c.PutAgents([make.agent()]))
    agent = await desk.store.get_agent("default", "a1")
    assert agent is not None and agent.state == AgentState.ACTIVE
    changes = [x for x in await desk.changes() if x.kind == log.AGENT]
    assert [x.op for x in changes][-2:] == [log.DELETED, log.CREATED]
    assert changes[-1].row == agent


@pytest.mark.parametrize("kind", ["results", "inputs"])
async def test_a_blob_lives_as_long_as_a_task_that_uses_it(desk: Desk, kind: str) -> None:
    shared = b"x" * 20_000
    first, second = await desk.submit(
        *(make.spec(data=shared if kind == "inputs" else None) for _ in range(2))
    )
    tasks = await desk.claim(2)
    for task in tasks:
        await desk.finish(task, shared if kind == "results" else None)
        desk.now += 10 * SECOND
    assert await desk.prune(ended=desk.now - 15 * SECOND) == 1
    assert await desk.store.get_task("default", first) is None
    detail = await desk.store.get_task("default", second)
    assert detail is not None
    kept = detail.input if kind == "inputs" else detail.result
    assert kept is not None and kept.data == shared
    assert await desk.prune() == 1
    (again,) = await desk.submit(make.spec(data=shared))
    claim = make.claim()
    result = await desk.group(claims=[claim])
    assert result.inputs[again].data == shared


async def test_a_dependency_is_kept_while_somebody_waits_for_it(desk: Desk) -> None:
    ids = await desk.submit(make.spec(), make.spec(delay=SECOND), make.spec(depends_on=(-1, -2)))
    (task,) = await desk.claim()
    await desk.finish(task)
    assert await desk.prune() == 1, "the dependency is met: nobody needs it any more"
    dependent = await desk.store.get_task("default", ids[2])
    assert dependent is not None and dependent.task.pending == 1


async def test_a_pruned_task_frees_its_idempotency_key(desk: Desk) -> None:
    (first,) = await desk.submit(make.spec(key="k"))
    (task,) = await desk.claim()
    await desk.finish(task)
    assert await desk.submit(make.spec(key="k")) == [first]
    await desk.prune()
    assert await desk.submit(make.spec(key="k")) != [first]


async def test_pruning_is_bounded(desk: Desk) -> None:
    await desk.submit(*(make.spec() for _ in range(10)))
    for task in await desk.claim(10):
        await desk.finish(task)
    later = desk.now + SECOND
    assert await desk.do(c.Prune(later, later, 0, 1000, limit=4)) == 4
    assert (await desk.store.count_tasks("default", None, NOW))[0] == {6: 6}


async def test_a_full_portion_of_any_kind_says_that_more_may_be_left(desk: Desk) -> None:
    for place in range(5):
        await desk.do(make.submit(request=make.request(f"r{place}")))
    old = c.Prune(0, 0, desk.now + SECOND, 1000, limit=2)
    assert await desk.do(old) == 2
    desk.now += 2 * 86_400 * SECOND
    assert await desk.do(c.Prune(0, 0, 0, 10_000, limit=5)) == 5


async def test_a_clock_that_jumps_makes_no_gap_in_the_log(desk: Desk) -> None:
    ahead = desk.now + 100 * SECOND
    for now in (ahead, desk.now, desk.now, ahead):
        desk.now = now
        await desk.submit(make.spec())
    await desk.prune(ended=0, changes_before=ahead)
    kept = await desk.store.changes_after(6, 100)
    assert kept is not None and [x.revision for x in kept] == [7, 8]
    assert await desk.store.changes_after(5, 100) is None


async def test_what_a_command_answers_is_the_row_of_the_log(desk: Desk) -> None:
    await desk.do(c.PutAgents([make.agent()]))
    result = await desk.group(
        c.UpdateQueue("default", "default", True, "stop"),
        c.SetAgentState("default", ["a1", "nobody"], int(AgentState.DRAINING)),
        make.submit(make.spec()),
    )
    rows = {(change.kind, change.revision): change.row for change in result.changes}
    queue, (agent, refusal), _ = result.replies
    assert rows[log.QUEUE, queue.revision] == queue and queue.counts
    assert rows[log.AGENT, agent.revision] == agent
    assert refusal.reason == "AGENT_NOT_FOUND"
