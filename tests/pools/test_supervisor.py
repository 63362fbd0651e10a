from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from quarterdeck_server.config import PoolSettings
from quarterdeck_server.engine.pools import Instance, InstanceState, PoolStatus
from quarterdeck_server.engine.states import AgentState
from quarterdeck_server.pools import proctable
from quarterdeck_server.pools.host import AgentView, Load
from quarterdeck_server.pools.launcher import Ended
from quarterdeck_server.pools.process import ProcessLauncher
from quarterdeck_server.pools.supervisor import PoolSupervisor
from quarterdeck_server.runtime.clock import ManualClock

if TYPE_CHECKING:
    from tests.pools.conftest import Mailbox

STARTING, RUNNING, STOPPING, STOPPED = (int(state) for state in InstanceState)
SLEEP = ("sleep", "99")
STUBBORN = (
    sys.executable,
    "-c",
    """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], 'w').write('up')
time.sleep(99)
""",
)


class MemoryHost:
    """A server without a store: rows in dictionaries, agents as the test sets them."""

    def __init__(self) -> None:
        self.rows: dict[str, Instance] = {}
        self.history: list[Instance] = []
        self.pools: dict[str, PoolStatus] = {}
        self.agents: dict[str, AgentView] = {}
        self.drained: list[str] = []
        self.ready = 0
        self.failing = False
        self.failures = 0
        self._changed = asyncio.Condition()

    def _check(self) -> None:
        if self.failing:
            self.failures += 1
            raise OSError("the disk is full")

    async def queue_load(self, namespace: str, queue: str) -> Load:
        self._check()
        assert (namespace, queue) == ("default", "work")
        return Load(self.ready, 0)

    async def agents_of(self, pool: str) -> Sequence[AgentView]:
        return [
            agent for agent in self.agents.values() if self.rows[agent.instance_id].pool == pool
        ]

    async def drain(self, namespace: str, agent_id: str) -> None:
        self._check()
        assert namespace == "default"
        self.drained.append(agent_id)
        agent = self.agents[agent_id]
        self.agents[agent_id] = agent._replace(state=int(AgentState.DRAINING))

    async def save(self, instance: Instance) -> None:
        self._check()
        self.rows[instance.id] = instance
        self.history.append(instance)
        await self._notify()

    async def list_instances(self) -> Sequence[Instance]:
        return [row for row in self.rows.values() if row.state != STOPPED]

    async def save_pools(self, pools: Sequence[PoolStatus], replace: bool) -> None:
        self._check()
        if replace:
            self.pools.clear()
        self.pools.update((pool.name, pool) for pool in pools)
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, fact: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(fact)

    def in_state(self, state: int) -> list[Instance]:
        return [row for row in self.rows.values() if row.state == state]

    def call(self, row: Instance, running: int = 0, state: int = AgentState.ACTIVE) -> str:
        """The agent of an instance calls."""
        agent_id = f"agent of {row.id}"
        self.agents[agent_id] = AgentView(agent_id, row.id, int(state), 2, running, "default")
        return agent_id


class Fixture:
    def __init__(self) -> None:
        self.host = MemoryHost()
        self.clock = ManualClock()

    def supervisor(self, *pools: PoolSettings, grace: float = 5.0) -> PoolSupervisor:
        launchers = {"process": ProcessLauncher(os.environ)}
        return PoolSupervisor(
            pools, self.host, launchers, self.clock, server="127.0.0.1:7400", grace=grace
        )

    @asynccontextmanager
    async def running(
        self, *pools: PoolSettings, grace: float = 5.0
    ) -> AsyncIterator[PoolSupervisor]:
        supervisor = self.supervisor(*pools, grace=grace)
        await supervisor.start()
        try:
            yield supervisor
        finally:
            self.host.failing = False
            await supervisor.stop()
        assert not self.host.in_state(STARTING)
        assert not self.host.in_state(RUNNING)
        assert not self.host.in_state(STOPPING)
        assert not any(is_alive(row) for row in self.host.rows.values())


@pytest.fixture
def fix() -> Fixture:
    return Fixture()


def pool(
    least: int = 0, most: int = 4, slots: int = 2, argv: tuple[str, ...] = SLEEP, **more: object
) -> PoolSettings:
    values = {"name": "p", "queue": "work", "min": least, "max": most, "slots": slots}
    return PoolSettings.model_validate({**values, "argv": argv, **more})


def is_alive(row: Instance) -> bool:
    seen = None if row.pid is None else proctable.look(row.pid)
    return seen is not None and not seen.ended and seen.start == row.process_start


async def test_ready_work_starts_instances_and_each_step_is_a_change(fix: Fixture) -> None:
    async with fix.running(pool()) as supervisor:
        assert fix.host.pools["p"].instances == 0
        fix.host.ready = 3
        supervisor.poke()
        await fix.host.until(lambda: fix.host.pools["p"].instances == 2)
        first, second = fix.host.in_state(STARTING)
        assert is_alive(first)
        assert is_alive(second)
        fix.host.ready = 0
        agent_id = fix.host.call(first, running=1)
        supervisor.poke()
        await fix.host.until(lambda: len(fix.host.in_state(RUNNING)) == 1)
        assert fix.host.rows[first.id].agent_id == agent_id
    states = [row.state for row in fix.host.history if row.id == first.id]
    assert states == [STARTING, STARTING, RUNNING, STOPPING, STOPPED]
    assert fix.host.rows[first.id].detail == "the server stops; killed by signal 15"
    assert fix.host.rows[first.id].end_time == fix.clock.now()


async def test_instance_is_written_down_before_it_is_started(fix: Fixture) -> None:
    async with fix.running(pool(least=1)):
        await fix.host.until(lambda: len(fix.host.history) == 2)
        assert [row.pid is None for row in fix.host.history] == [True, False]
        fix.host.failing = True
        before = len(fix.host.history)
        (row,) = fix.host.rows.values()
        os.kill(row.pid or 0, signal.SIGKILL)
    assert len(fix.host.history) == before + 1


async def test_idle_instance_is_drained_then_ended(fix: Fixture) -> None:
    async with fix.running(pool(idle_timeout=60)) as supervisor:
        fix.host.ready = 1
        supervisor.poke()
        await fix.host.until(lambda: len(fix.host.rows) == 1)
        fix.host.ready = 0
        (row,) = fix.host.rows.values()
        agent_id = fix.host.call(row)
        await supervisor.reconcile()
        fix.clock.advance(59)
        await supervisor.reconcile()
        assert fix.host.drained == []
        fix.clock.advance(1)
        supervisor.poke()
        await fix.host.until(lambda: len(fix.host.in_state(STOPPED)) == 1)
        assert fix.host.drained == [agent_id]
        assert fix.host.rows[row.id].detail == "idle for 60 s; killed by signal 15"
        assert fix.host.pools["p"].detail is None


async def test_crashed_instance_is_replaced_after_its_backoff(fix: Fixture) -> None:
    async with fix.running(pool(least=1)) as supervisor:
        await fix.host.until(lambda: fix.host.pools["p"].instances == 1)
        (row,) = fix.host.rows.values()
        os.kill(row.pid or 0, signal.SIGSEGV)
        await fix.host.until(lambda: fix.host.pools["p"].detail is not None)
        assert fix.host.rows[row.id].detail == "killed by signal 11"
        assert fix.host.pools["p"].detail == (
            "1 crash in a row, the last: killed by signal 11; starts again at 2026-01-01T00:00:01Z"
        )
        await supervisor.reconcile()
        assert len(fix.host.rows) == 1
        fix.clock.advance(1)
        supervisor.poke()
        await fix.host.until(lambda: fix.host.pools["p"].detail is None)
        await fix.host.until(lambda: len(fix.host.in_state(STARTING)) == 1)


async def test_last_words_of_a_crashed_instance_are_kept(fix: Fixture) -> None:
    argv = (sys.executable, "-c", "raise RuntimeError('no key')")
    async with fix.running(pool(least=1, argv=argv)):
        await fix.host.until(lambda: len(fix.host.in_state(STOPPED)) == 1)
        (row,) = fix.host.rows.values()
        await fix.host.until(lambda: fix.host.pools["p"].detail is not None)
        assert fix.host.pools["p"].detail == (
            "1 crash in a row, the last: exit 1: RuntimeError: no key; "
            "starts again at 2026-01-01T00:00:01Z"
        )
    assert row.detail is not None
    assert row.detail.startswith("exit 1\nTraceback")
    assert row.detail.endswith("RuntimeError: no key")


def test_last_line_of_an_instance_is_told_on_one_line_that_a_terminal_shows() -> None:
    assert Ended("exit 1").why == "exit 1"
    assert Ended("exit 1", "\n \n").why == "exit 1"
    assert Ended("exit 1", "first\n  \x1b[2Jlast\n\n").why == "exit 1:  [2Jlast"
    assert Ended("exit 1", "x" * 300).why == f"exit 1: {'x' * 200}"


async def test_program_that_cannot_be_started_counts_as_crashes(fix: Fixture) -> None:
    async with fix.running(pool(least=2, argv=("/nonexistent/agent",))) as supervisor:
        await fix.host.until(lambda: fix.host.pools["p"].detail is not None)
        (row,) = fix.host.rows.values()
        assert row.state == STOPPED
        assert row.detail == (
            "cannot start '/nonexistent/agent': "
            "[Errno 2] No such file or directory: '/nonexistent/agent'"
        )
        fix.clock.advance(1)
        await supervisor.reconcile()
        assert len(fix.host.rows) == 2
        fix.clock.advance(1)
        await supervisor.reconcile()
        assert len(fix.host.rows) == 2


async def test_killed_agent_is_replaced_without_backoff(fix: Fixture) -> None:
    async with fix.running(pool(least=1)) as supervisor:
        await fix.host.until(lambda: fix.host.pools["p"].instances == 1)
        (row,) = fix.host.rows.values()
        agent_id = fix.host.call(row, running=1)
        assert not await supervisor.kill_agent("other", agent_id, "a namesake of another tenant")
        assert await supervisor.kill_agent("default", agent_id, "a cancel was escalated")
        await fix.host.until(lambda: len(fix.host.rows) == 2)
        assert fix.host.rows[row.id].state == STOPPED
        assert fix.host.rows[row.id].detail == "a cancel was escalated; killed by signal 9"
        assert fix.host.pools["p"].detail is None
        assert not await supervisor.kill_agent("default", agent_id, "again")
        assert not await supervisor.kill_agent("default", "started by hand", "why")


async def test_instance_whose_agent_never_calls_is_killed(fix: Fixture) -> None:
    async with fix.running(pool(least=1, start_timeout=30)) as supervisor:
        await fix.host.until(lambda: fix.host.pools["p"].instances == 1)
        fix.clock.advance(30)
        supervisor.poke()
        await fix.host.until(lambda: len(fix.host.in_state(STOPPED)) == 1)
        (row,) = fix.host.in_state(STOPPED)
    assert row.detail == "no agent called within 30 s; killed by signal 9"


async def test_stop_kills_what_does_not_end_in_its_grace(fix: Fixture, mailbox: Mailbox) -> None:
    argv = (*STUBBORN, str(mailbox.path))
    async with fix.running(pool(least=1, argv=argv), grace=0.01):
        assert await mailbox.read() == "up"
    (row,) = fix.host.rows.values()
    assert row.detail == "the server stops; killed by signal 9"


async def test_passes_do_not_overlap(fix: Fixture) -> None:
    supervisor = fix.supervisor(pool(most=4, slots=1))
    fix.host.ready = 2
    await asyncio.gather(supervisor.reconcile(), supervisor.reconcile())
    assert len(fix.host.rows) == 2
    await supervisor.stop()
    assert len(fix.host.in_state(STOPPED)) == 2


async def test_agents_are_told_where_they_belong(fix: Fixture, mailbox: Mailbox) -> None:
    code = (
        "import os, sys\n"
        "names = sorted(name for name in os.environ if name.startswith('QUARTERDECK_'))\n"
        "open(sys.argv[1], 'w').write(' '.join(f'{name}={os.environ[name]}' for name in names))"
    )
    argv = (sys.executable, "-c", code, str(mailbox.path))
    async with fix.running(pool(least=1, argv=argv, env={"QUARTERDECK_POOL": "forged"})):
        told = await mailbox.read()
    (row,) = fix.host.rows.values()
    assert told.split() == [
        f"QUARTERDECK_INSTANCE_ID={row.id}",
        "QUARTERDECK_NAMESPACE=default",
        "QUARTERDECK_POOL=p",
        "QUARTERDECK_QUEUE=work",
        "QUARTERDECK_SERVER=127.0.0.1:7400",
        "QUARTERDECK_SLOTS=2",
    ]


async def test_store_that_is_away_loses_no_instance(fix: Fixture) -> None:
    async with fix.running(pool(least=1)) as supervisor:
        await fix.host.until(lambda: fix.host.pools["p"].instances == 1)
        (row,) = fix.host.rows.values()
        fix.host.failing = True
        os.kill(row.pid or 0, signal.SIGKILL)
        while not fix.host.failures:
            supervisor.poke()
            await asyncio.sleep(0)
        fix.host.failing = False
        supervisor.poke()
        await fix.host.until(lambda: fix.host.rows[row.id].state == STOPPED)
        await fix.host.until(lambda: fix.host.pools["p"].detail is not None)
    crashes = [row for row in fix.host.history if row.detail == "killed by signal 9"]
    assert len(crashes) == 1


async def test_next_server_takes_over_what_still_runs(fix: Fixture) -> None:
    process = await asyncio.create_subprocess_exec(*SLEEP, start_new_session=True)
    seen = proctable.look(process.pid)
    assert seen is not None
    alive = Instance(
        "alive", "default", "p", RUNNING, "a", process.pid, seen.start, 1, None, None, 0
    )
    dead = alive._replace(id="dead", pid=2**22 - 1, state=STOPPING, detail="idle for 60 s")
    fix.host.rows = {"alive": alive, "dead": dead}
    async with fix.running(pool(least=1)) as supervisor:
        assert fix.host.rows["dead"].state == STOPPED
        assert fix.host.rows["dead"].detail == "idle for 60 s; ended while the server was away"
        fix.host.call(alive, running=1)
        await supervisor.reconcile()
        assert len(fix.host.rows) == 2
        assert fix.host.rows["alive"].state == RUNNING
        assert fix.host.pools["p"].instances == 1
    await process.wait()


async def test_instance_of_a_pool_that_is_no_more_is_drained_and_ended(fix: Fixture) -> None:
    process = await asyncio.create_subprocess_exec(*SLEEP, start_new_session=True)
    seen = proctable.look(process.pid)
    assert seen is not None
    row = Instance(
        "old", "default", "gone", RUNNING, None, process.pid, seen.start, 1, None, None, 0
    )
    fix.host.rows = {"old": row}
    agent_id = fix.host.call(row, running=1)
    async with fix.running(pool()) as supervisor:
        await fix.host.until(lambda: fix.host.rows["old"].state == STOPPING)
        assert list(fix.host.pools) == ["p"]
        assert is_alive(row)
        fix.host.agents[agent_id] = fix.host.agents[agent_id]._replace(running=0)
        supervisor.poke()
        await fix.host.until(lambda: fix.host.rows["old"].state == STOPPED)
    assert fix.host.drained == [agent_id]
    assert (fix.host.rows["old"].detail or "").startswith("its pool is not in the settings")
    await process.wait()
