"""The one writer: groups, failure and recovery, callers that go away, claims that wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.states import READY, RUNNING
from quarterdeck_server.runtime import committer as module
from quarterdeck_server.runtime.clock import ManualClock
from quarterdeck_server.runtime.committer import Committer, Draining
from quarterdeck_server.store.base import GroupResult, StoreUnavailable

from ..engine import make
from .disk import FlakyStore


class Followed:
    """What the rest of the server was told."""

    def __init__(self) -> None:
        self.results: list[GroupResult] = []
        self.available: list[bool] = []
        self.error: Exception | None = None
        self.turned = asyncio.Event()

    def __call__(self, commands: Sequence[c.Command], result: GroupResult) -> None:
        self.results.append(result)
        if self.error is not None:
            raise self.error

    def turn(self, available: bool) -> None:
        """Availability changed."""
        self.available.append(available)
        self.turned.set()


@pytest.fixture
def followed() -> Followed:
    """The follower of the committer."""
    return Followed()


@pytest.fixture
async def committer(
    store: FlakyStore, clock: ManualClock, followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Committer]:
    """A running committer."""
    made = Committer(store, clock, followed)
    made.availability_changed = followed.turn
    made.start()
    yield made
    store.gate.set()
    store.broken = False
    await made.stop()


async def _submit(committer: Committer, count: int = 1) -> list[int]:
    items = await committer.execute(make.submit(*(make.spec() for _ in range(count))))
    return [item.task_id for item in items]


def _later(work: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(work)


async def _blocked(committer: Committer, store: FlakyStore) -> asyncio.Task[Any]:
    """Start a group that waits at the gate."""
    store.gate.clear()
    store.started.clear()
    first = _later(_submit(committer))
    await store.started.wait()
    return first


def _after(function: Callable[..., Any], act: Callable[[], object]) -> Callable[..., Any]:
    """The function, with something that happens right after it."""

    def both(*arguments: Any) -> Any:
        result = function(*arguments)
        act()
        return result

    return both


async def _turns() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_gathers_while_a_group_is_written_is_the_next_group(
    committer: Committer, store: FlakyStore
) -> None:
    first = await _blocked(committer, store)
    rest = [_later(_submit(committer)) for _ in range(20)]
    await _turns()
    store.gate.set()
    await asyncio.gather(first, *rest)
    assert [len(group) for group in store.groups] == [1, 20]


async def test_a_group_is_bounded_and_a_large_command_makes_one_alone(
    committer: Committer, store: FlakyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GROUP_ITEMS", 5)
    first = await _blocked(committer, store)
    rest = [_later(_submit(committer, n)) for n in (2, 3, 9, 1)]
    await _turns()
    store.gate.set()
    await asyncio.gather(first, *rest)
    assert [len(group) for group in store.groups] == [1, 2, 1, 1]


async def test_dependencies_count_in_the_size_of_a_group(
    committer: Committer, store: FlakyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GROUP_ITEMS", 5)
    (root,) = await _submit(committer)
    first = await _blocked(committer, store)
    large = make.submit(make.spec(), *(make.spec(depends_on=[root, -1]) for _ in range(2)))
    rest = [_later(committer.execute(large)), _later(_submit(committer))]
    await _turns()
    store.gate.set()
    await asyncio.gather(first, *rest)
    assert [len(group) for group in store.groups[1:]] == [1, 1, 1]


async def test_followers_know_before_callers(committer: Committer, followed: Followed) -> None:
    seen: list[int] = []
    work = _later(_submit(committer))
    work.add_done_callback(lambda done: seen.append(len(followed.results)))
    await work
    await _turns()
    assert seen == [1]


async def test_a_caller_that_is_cancelled_cuts_no_write(
    committer: Committer, store: FlakyStore
) -> None:
    first = await _blocked(committer, store)
    gone = _later(_submit(committer))
    await _turns()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    first.cancel()
    store.gate.set()
    await _submit(committer)
    assert (await store.count_tasks("default", None, 0))[0] == {READY: 3}


async def test_a_full_disk_refuses_until_a_probe_succeeds(
    committer: Committer, store: FlakyStore, followed: Followed
) -> None:
    await _submit(committer)
    store.broken = True
    with pytest.raises(StoreUnavailable):
        await _submit(committer)
    await store.probed.wait()
    assert followed.available == [False] and not committer.available
    with pytest.raises(StoreUnavailable):
        await _submit(committer)
    followed.turned.clear()
    store.broken = False
    await followed.turned.wait()
    assert followed.available == [False, True]
    await _submit(committer)
    assert (await store.count_tasks("default", None, 0))[0] == {READY: 2}
    assert await store.revision() == followed.results[-1].changes[-1].revision


async def test_a_probe_that_fails_unexpectedly_is_tried_again(
    committer: Committer,
    store: FlakyStore,
    followed: Followed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problems, probe = [RuntimeError("not of the disk")], store.probe

    async def failing() -> None:
        if problems:
            raise problems.pop()
        await probe()

    monkeypatch.setattr(store, "probe", failing)
    store.errors = [StoreUnavailable("disk full")]
    with pytest.raises(StoreUnavailable):
        await _submit(committer)
    async with asyncio.timeout(10):
        while followed.available != [False, True]:
            followed.turned.clear()
            await followed.turned.wait()
    await _submit(committer)


async def test_what_waits_behind_a_failed_group_fails_too(
    committer: Committer, store: FlakyStore
) -> None:
    first = await _blocked(committer, store)
    second = _later(_submit(committer))
    await _turns()
    store.broken = True
    store.gate.set()
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 2


async def test_ready_work_is_handed_out_after_a_recovery(
    committer: Committer, store: FlakyStore, followed: Followed
) -> None:
    await _submit(committer)
    store.broken = True
    waiting = _later(committer.claim(make.claim(), 60))
    await store.probed.wait()
    store.broken = False
    ((task, _),) = await waiting
    assert task.state == RUNNING and followed.available == [False, True]


async def test_a_wait_that_ends_while_the_disk_is_full_is_answered(
    committer: Committer, store: FlakyStore
) -> None:
    await _submit(committer)
    store.broken = True
    early = _later(committer.claim(make.claim(), 60))
    await store.probed.wait()
    assert await committer.claim(make.claim("a2"), 0) == []
    early.cancel()


async def test_a_wait_that_ends_during_an_outage_is_answered_before_the_next_probe(
    committer: Committer, store: FlakyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe_again = asyncio.Event()

    async def pause(seconds: float) -> None:
        await probe_again.wait()

    store.broken = True
    failing = _later(_submit(committer))
    monkeypatch.setattr(asyncio, "sleep", pause)
    with pytest.raises(StoreUnavailable):
        await failing
    await store.probed.wait()
    async with asyncio.timeout(5):
        assert await committer.claim(make.claim(), 0) == []
    store.broken = False
    probe_again.set()


async def test_a_group_is_bounded_by_the_items_of_every_batch(
    committer: Committer, store: FlakyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GROUP_ITEMS", 3)
    first = await _blocked(committer, store)
    line = c.Line(None, "info", "log", "x")
    batches: list[c.Command] = [
        c.Cancel("default", [1, 2], "", ""),
        c.Retry("default", [1, 2]),
        c.AppendLogs("default", [c.LogItem(1, 1, 0, [line, line])]),
    ]
    work = [_later(committer.execute(command)) for command in batches]
    await _turns()
    store.gate.set()
    await asyncio.gather(first, *work)
    assert store.groups[1:] == [[command] for command in batches]


async def test_an_unexpected_error_of_a_group_ends_nothing(
    committer: Committer, store: FlakyStore
) -> None:
    store.errors = [RuntimeError("a bug")]
    with pytest.raises(RuntimeError, match="a bug"):
        await _submit(committer)
    assert len(await _submit(committer)) == 1


async def test_a_group_that_is_not_followed_is_the_last(
    committer: Committer, store: FlakyStore, followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    broken = asyncio.Event()
    committer.broken = broken.set
    followed.error = RuntimeError("a bug")
    first = await _blocked(committer, store)
    second = _later(_submit(committer))
    waiting = _later(committer.claim(make.claim(), 60))
    await _turns()
    store.gate.set()
    for refused in (first, second):
        with pytest.raises(StoreUnavailable, match="to be restarted"):
            await refused
    assert broken.is_set()
    assert await waiting == []
    with pytest.raises(StoreUnavailable):
        await _submit(committer)
    assert len(store.groups) == 1
    assert "a bug" in caplog.text


async def test_a_line_that_fails_is_told_too(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = asyncio.Event()
    committer.broken = broken.set

    def settle(*arguments: object) -> list[c.Claim]:
        raise RuntimeError("a bug")

    monkeypatch.setattr(committer.line, "settle", settle)
    with contextlib.suppress(StoreUnavailable):
        await _submit(committer)
    async with asyncio.timeout(10):
        await broken.wait()


async def test_a_command_that_fails_raises_for_its_caller_alone(committer: Committer) -> None:
    bad = make.submit(make.spec()._replace(policy="broken"))
    good, raised = _later(_submit(committer)), _later(committer.execute(bad))
    with pytest.raises(ValueError, match="Expecting value"):
        await raised
    assert len(await good) == 1


async def test_a_disk_that_fills_up_between_single_commands_keeps_what_is_done(
    committer: Committer, store: FlakyStore, followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer: Any = store._inner._writer
    real = writer._transaction
    broken = make.submit(make.spec()._replace(policy="broken"))
    failing = make.submit(make.spec(name="no room"))

    async def transaction(commands: Sequence[c.Command], *rest: Any) -> GroupResult:
        if list(commands) == [failing]:
            raise StoreUnavailable("disk full")
        done: GroupResult = await real(commands, *rest)
        return done

    monkeypatch.setattr(writer, "_transaction", transaction)
    work = [make.submit(make.spec(name="kept")), broken, failing, make.submit()]
    replies: list[Any] = await asyncio.gather(
        *(committer.execute(command) for command in work), return_exceptions=True
    )
    kept, bad, full, last = replies
    assert kept[0].task_id and isinstance(bad, ValueError)
    assert isinstance(full, StoreUnavailable) and isinstance(last, StoreUnavailable)
    assert [x.row[0] for x in followed.results[0].changes if x.kind == 1] == [kept[0].task_id]
    assert await store.revision() == followed.results[0].changes[-1].revision
    assert followed.available[0] is False


async def test_a_task_submitted_to_a_waiting_claim_is_given_in_the_same_group(
    committer: Committer, store: FlakyStore
) -> None:
    waiting = _later(committer.claim(make.claim(), 60))
    await _turns()
    (task_id,) = await _submit(committer)
    ((task, _),) = await waiting
    assert task.id == task_id and len(store.groups) == 1


async def test_a_claim_without_work_is_answered_with_nothing_when_its_wait_is_over(
    committer: Committer, store: FlakyStore
) -> None:
    assert await committer.claim(make.claim(), 0) == []
    assert len(committer.line) == 0


@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_is_given_to_a_caller_that_is_gone_is_given_back(
    committer: Committer, store: FlakyStore, when: str
) -> None:
    claim = make.claim()
    waiting = _later(committer.claim(claim, 60))
    await _turns()
    first = await _blocked(committer, store)
    if when == "before":
        waiting.cancel()
        store.gate.set()
        await first
    else:
        cancelled = _after(committer.line.settle, waiting.cancel)
        committer.line.settle = cancelled  # type: ignore[method-assign]
        store.gate.set()
        await first
    await asyncio.gather(waiting, return_exceptions=True)
    ((task, _),) = await committer.claim(make.claim("a2"), 60)
    assert (task.attempt, task.max_attempts) in ((1, 3), (2, 4)), "no attempt is consumed"


async def test_a_drained_agent_is_given_nothing_it_still_waits_for(committer: Committer) -> None:
    waiting = _later(committer.claim(make.claim("a1"), 60))
    other = _later(committer.claim(make.claim("a2"), 60))
    await _turns()
    committer.dismiss("default", "a1")
    assert await waiting == []
    await _submit(committer)
    assert len(await other) == 1


async def test_stopping_carries_out_what_waits_and_refuses_the_rest(
    committer: Committer, store: FlakyStore
) -> None:
    waiting = _later(committer.claim(make.claim(), 60))
    first = await _blocked(committer, store)
    second = _later(_submit(committer))
    await _turns()
    stopping = _later(committer.stop())
    await _turns()
    with pytest.raises(Draining):
        await _submit(committer)
    store.gate.set()
    await asyncio.gather(first, second, stopping)
    assert len(await waiting) == 1
    assert await committer.claim(make.claim(), 60) == []
