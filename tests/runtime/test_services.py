"""What acts by itself, one round at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.model import Progress
from quarterdeck_server.runtime.agents import AgentRegistry
from quarterdeck_server.runtime.clock import ManualClock
from quarterdeck_server.runtime.leases import LeaseTable
from quarterdeck_server.runtime.services import LeaseExpirer, Pruner, Recorder, Service, Timers
from quarterdeck_server.store.base import StoreUnavailable

from ..engine import make
from ..engine.make import NOW, SECOND
from .test_leases import _running


class Executed:
    """Takes commands and answers as it is told."""

    def __init__(self) -> None:
        self.commands: list[c.Command] = []
        self.reply: Any = None
        self.error: Exception | None = None

    async def __call__(self, command: c.Command) -> Any:
        if self.error is not None:
            raise self.error
        self.commands.append(command)
        return self.reply


@pytest.fixture
def executed() -> Executed:
    """What the services ask for."""
    return Executed()


def _registry(clock: ManualClock, executed: Executed) -> AgentRegistry:
    return AgentRegistry(clock, 30.0, executed, lambda *key: None, lambda instance: None)


class TestTimers:
    """Sweeps when a row's time has come, and only then."""

    async def test_the_first_round_looks_at_the_store(
        self, executed: Executed, clock: ManualClock
    ) -> None:
        timers = Timers(executed, clock)
        assert await timers.round() == 0.0
        assert executed.commands == [c.Sweep()]
        assert await timers.round() == 60.0, "no row wants anything"

    async def test_it_sweeps_at_the_instant_and_not_before(
        self, executed: Executed, clock: ManualClock
    ) -> None:
        timers = Timers(executed, clock)
        await timers.round()
        timers.note(NOW + 5 * SECOND)
        timers.note(NOW + 9 * SECOND)
        timers.note(None)
        assert await timers.round() == 1.0, "in short waits, for the wall clock may jump"
        clock.advance(4.75)
        assert await timers.round() == pytest.approx(0.25)
        assert len(executed.commands) == 1
        clock.advance(0.25)
        executed.reply = NOW + 9 * SECOND
        await timers.round()
        assert len(executed.commands) == 2
        assert await timers.round() == 1.0

    async def test_a_jump_of_the_wall_clock_is_noticed(
        self, executed: Executed, clock: ManualClock
    ) -> None:
        timers = Timers(executed, clock)
        await timers.round()
        timers.note(NOW + 3600 * SECOND)
        clock.jump(3600)
        await timers.round()
        assert len(executed.commands) == 2

    async def test_a_sweep_that_could_not_be_done_is_done_again(
        self, executed: Executed, clock: ManualClock
    ) -> None:
        timers = Timers(executed, clock)
        executed.error = StoreUnavailable("disk full")
        with pytest.raises(StoreUnavailable):
            await timers.round()
        executed.error = None
        await timers.round()
        assert executed.commands == [c.Sweep()]


class TestRecorder:
    """Writes what agents say in between."""

    async def test_of_two_beats_the_later_progress_and_every_step_count(
        self, executed: Executed, clock: ManualClock
    ) -> None:
        recorder = Recorder(executed, _registry(clock, executed))
        early, late = (Progress(text, 0, 0, NOW) for text in ("early", "late"))
        recorder.beats([c.Beat(1, 7, early, acknowledged=True), c.Beat(2, 8, early)])
        recorder.beats([c.Beat(1, 7, late), c.Beat(2, 8, delivered=True)])
        await recorder.round()
        (command,) = executed.commands
        assert isinstance(command, c.RecordBeats)
        assert command.beats == [
            c.Beat(1, 7, late, delivered=False, acknowledged=True),
            c.Beat(2, 8, early, delivered=True),
        ]
        await recorder.round()
        assert len(executed.commands) == 1

    async def test_what_could_not_be_written_is_written_later(
        self, executed: Executed, clock: ManualClock
    ) -> None:
        registry = _registry(clock, executed)
        recorder = Recorder(executed, registry)
        registry.contact("default", make.agent(), ["default"])
        recorder.beats([c.Beat(1, 7, acknowledged=True)])
        executed.error = StoreUnavailable("disk full")
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await recorder.round()
        executed.error = None
        registry.take_dirty()
        executed.error = StoreUnavailable("disk full")
        with pytest.raises(StoreUnavailable):
            await recorder.round()
        executed.error = None
        recorder.beats([c.Beat(1, 7, delivered=True)])
        await recorder.round()
        assert executed.commands == [c.RecordBeats([c.Beat(1, 7, None, True, True)])]


async def test_the_expirer_ends_leases_and_notes_silence(
    executed: Executed, clock: ManualClock
) -> None:
    registry = _registry(clock, executed)
    leases = LeaseTable(clock, 30.0)
    dismissed: list[tuple[str, str]] = []
    expirer = LeaseExpirer(
        executed,
        leases,
        registry,
        lambda namespace, agent_id: dismissed.append((namespace, agent_id)),
    )
    registry.contact("default", make.agent(), ["default"])
    registry.contact("default", make.agent("a2"), ["default"])
    assert await expirer.round() == 0.5 and executed.commands == []
    for _ in range(59):
        clock.advance(0.5)
        await expirer.round()
    assert not dismissed
    registry.contact("default", make.agent("a2"), ())
    clock.advance(0.5)
    await expirer.round()
    assert executed.commands[-1] == c.SetAgentState("default", ["a1"], 3)
    assert dismissed == [("default", "a1")]


async def test_an_agent_that_loses_a_lease_is_given_nothing_by_the_claims_it_left_waiting(
    executed: Executed, clock: ManualClock
) -> None:
    leases = LeaseTable(clock, 30.0)
    leases.start([_running(7, "stopped", 1), _running(7, "alive", 2)])
    dismissed: list[tuple[str, str, int]] = []

    def dismiss(namespace: str, agent_id: str) -> None:
        dismissed.append((namespace, agent_id, len(executed.commands)))

    expirer = LeaseExpirer(executed, leases, _registry(clock, executed), dismiss)
    for second in range(30):
        if second == 20:
            leases.renew(2, 7)
        clock.advance(1)
        await expirer.round()
    assert dismissed == [("default", "stopped", 0)], "before its tasks are ready again"
    assert executed.commands == [c.Expire([(1, 7)])]


async def test_the_pruner_takes_portions(executed: Executed, clock: ManualClock) -> None:
    pruner = Pruner(
        executed, clock, finished=7, failed=30, change_age=1, change_entries=10, audit=90
    )
    executed.reply = 500
    assert await pruner.round() < 1, "a full portion: there is more"
    executed.reply = 3
    assert await pruner.round() == 10.0
    assert executed.commands[0] == c.Prune(
        NOW - 7 * SECOND, NOW - 30 * SECOND, NOW - SECOND, 10, audit_before=NOW - 90 * SECOND
    )


class _Failing(Service):
    """Fails at first."""

    name = "failing"
    pause = 0.0

    def __init__(self, errors: list[Exception]) -> None:
        super().__init__()
        self._errors = errors
        self.well = asyncio.Event()

    async def round(self) -> float:
        """Fail, or be well."""
        if self._errors:
            raise self._errors.pop()
        self.well.set()
        return 60.0


async def test_an_error_ends_no_service_and_a_bug_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = _Failing([RuntimeError("a bug"), StoreUnavailable("disk full")])
    service.start()
    await service.well.wait()
    (logged,) = caplog.records
    assert logged.exc_info is not None and str(logged.exc_info[1]) == "a bug"
    service.well.clear()
    service.poke()
    await service.well.wait()
    await service.stop()
    await service.stop()
