from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck_server.config import PoolSettings
from quarterdeck_server.engine.pools import InstanceState
from quarterdeck_server.engine.states import AgentState
from quarterdeck_server.pools.plan import (
    Drain,
    Health,
    Kill,
    Start,
    Terminate,
    Unit,
    healed,
    plan,
)

NOW = 1000.0
GRACE = 10.0
STARTING, RUNNING, STOPPING = (
    int(InstanceState.STARTING),
    int(InstanceState.RUNNING),
    int(InstanceState.STOPPING),
)


def rule(least: int = 0, most: int = 4, slots: int = 2) -> PoolSettings:
    return PoolSettings(
        name="p", argv=("x",), min=least, max=most, slots=slots, idle_timeout=60, start_timeout=30
    )


def starting(id: str = "s", started: float = NOW) -> Unit:
    return Unit(id, STARTING, started)


def up(
    id: str, running: int = 0, idle: float | None = None, state: int = AgentState.ACTIVE
) -> Unit:
    since = None if running else NOW - (idle or 0)
    return Unit(id, RUNNING, NOW - 900, int(state), 2, running, NOW - 900, since)


def test_ready_work_beyond_free_slots_starts_instances() -> None:
    assert plan(rule(), 3, [], Health(), GRACE, NOW) == [Start(2)]
    assert plan(rule(), 3, [up("a", 1)], Health(), GRACE, NOW) == [Start(1)]


def test_free_slots_and_those_to_come_start_nothing() -> None:
    assert plan(rule(), 2, [up("a")], Health(), GRACE, NOW) == []
    assert plan(rule(), 4, [up("a"), starting()], Health(), GRACE, NOW) == []


def test_never_more_than_max_with_the_stopping_counted() -> None:
    assert plan(rule(most=3), 100, [], Health(), GRACE, NOW) == [Start(3)]
    stopping = replace(up("b", 1), state=STOPPING)
    assert plan(rule(most=3), 100, [up("a", 2), stopping], Health(), GRACE, NOW) == [Start(1)]


def test_min_is_kept_without_work() -> None:
    assert plan(rule(least=2), 0, [], Health(), GRACE, NOW) == [Start(2)]
    assert plan(rule(least=2), 0, [up("a", idle=99), up("b", idle=99)], Health(), GRACE, NOW) == []


def test_idle_instance_is_drained_after_the_idle_timeout() -> None:
    assert plan(rule(), 0, [up("a", idle=59)], Health(), GRACE, NOW) == []
    (action,) = plan(rule(), 0, [up("a", idle=60), up("b", 1)], Health(), GRACE, NOW)
    assert action == Drain("a", "idle for 60 s")


def test_idle_instance_whose_slots_are_needed_stays() -> None:
    assert plan(rule(), 1, [up("a", idle=600)], Health(), GRACE, NOW) == []
    (action,) = plan(rule(), 1, [up("a", idle=600), up("b", idle=700)], Health(), GRACE, NOW)
    assert action == Drain("b", "idle for 60 s")


def test_stopping_instance_is_asked_only_when_its_agent_has_finished() -> None:
    unit = replace(up("a", 1, state=AgentState.DRAINING), state=STOPPING)
    assert plan(rule(), 0, [unit], Health(), GRACE, NOW) == []
    (action,) = plan(rule(), 0, [replace(unit, running=0)], Health(), GRACE, NOW)
    assert action == Terminate("a", "drained")


def test_instance_that_ignores_the_request_is_killed_once_after_the_grace() -> None:
    unit = replace(up("a"), state=STOPPING, terminated=NOW - 9)
    assert plan(rule(), 0, [unit], Health(), GRACE, NOW) == []
    (action,) = plan(rule(), 0, [unit], Health(), GRACE, NOW + 1)
    assert action == Kill("a", "did not end within 10 s")
    assert plan(rule(), 0, [replace(unit, killed=True)], Health(), GRACE, NOW + 99) == []


def test_instance_whose_agent_never_calls_is_killed_as_crashed() -> None:
    assert plan(rule(), 1, [starting(started=NOW - 29)], Health(), GRACE, NOW) == []
    actions = plan(rule(), 0, [starting(started=NOW - 30)], Health(), GRACE, NOW)
    assert actions == [Kill("s", "no agent called within 30 s", crash=True)]


def test_instance_whose_agent_is_lost_or_gone_is_ended_as_crashed() -> None:
    for state in (AgentState.LOST, AgentState.GONE):
        actions = plan(rule(), 0, [up("a", state=state)], Health(), GRACE, NOW)
        assert actions == [Terminate("a", "its agent is gone", crash=True)]


def test_adopted_instance_has_time_until_its_agent_calls() -> None:
    unit = Unit("a", RUNNING, NOW - 29, running_since=NOW - 29)
    assert plan(rule(), 0, [unit], Health(), GRACE, NOW) == []
    actions = plan(rule(), 0, [unit], Health(), GRACE, NOW + 1)
    assert actions == [Terminate("a", "its agent is not known", crash=True)]


def test_agent_drained_by_an_operator_is_replaced() -> None:
    actions = plan(rule(), 2, [up("a", 1, state=AgentState.DRAINING)], Health(), GRACE, NOW)
    assert actions == [Drain("a", "its agent was told to drain"), Start(1)]


def test_backoff_doubles_from_one_second_to_sixty() -> None:
    waits = []
    health = Health()
    for _ in range(9):
        health = health.crashed(NOW)
        waits.append(health.next_start - NOW)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert Health(10**6, NOW).next_start == NOW + 60


def test_nothing_starts_before_the_backoff_is_over() -> None:
    health = Health(3, NOW)
    assert plan(rule(least=1), 9, [], health, GRACE, NOW + 3.9) == []
    assert plan(rule(least=1), 9, [], health, GRACE, NOW + 4) == [Start(1)]


def test_after_crashes_fewer_are_started_at_once() -> None:
    big = rule(most=16, slots=1)
    assert plan(big, 99, [], Health(1, NOW - 9), GRACE, NOW) == [Start(8)]
    assert plan(big, 99, [], Health(3, NOW - 9), GRACE, NOW) == [Start(2)]
    assert plan(big, 99, [starting()], Health(99, NOW - 99), GRACE, NOW) == []


def test_crashes_are_forgotten_after_a_minute_of_health() -> None:
    unit = replace(up("a"), running_since=NOW)
    health = Health(4, NOW - 10)
    assert healed(health, [unit], NOW + 59) == health
    assert healed(health, [unit], NOW + 60) == Health()
    later = Health(5, NOW + 30)
    assert healed(later, [unit], NOW + 60) == later


class World:
    """A fleet that does what it is told, and some things that it is not."""

    def __init__(self, pool: PoolSettings) -> None:
        self.pool = pool
        self.now = NOW
        self.ready = 0
        self.units: dict[str, Unit] = {}
        self.health = Health()
        self.made = 0
        self.acts = 0

    def step(self) -> None:
        self.health = healed(self.health, list(self.units.values()), self.now)
        for action in plan(
            self.pool, self.ready, list(self.units.values()), self.health, GRACE, self.now
        ):
            self.acts += 1
            if isinstance(action, Start):
                assert action.number > 0
                assert self.now >= self.health.next_start
                for _ in range(action.number):
                    self.made += 1
                    self.units[str(self.made)] = Unit(str(self.made), STARTING, self.now)
                continue
            unit = self.units[action.id]
            if isinstance(action, Drain):
                self.units[unit.id] = replace(
                    unit, state=STOPPING, agent_state=int(AgentState.DRAINING)
                )
                if action.why.startswith("idle"):
                    assert unit.running == 0
                    assert self.alive() >= self.pool.min
            elif isinstance(action, Terminate):
                self.units[unit.id] = replace(unit, state=STOPPING, terminated=self.now)
            else:
                self.units[unit.id] = replace(unit, state=STOPPING, killed=True)
            if getattr(action, "crash", False):
                self.health = self.health.crashed(self.now)
        assert len(self.units) <= self.pool.max

    def alive(self) -> int:
        return sum(unit.state != STOPPING for unit in self.units.values())

    def move(self, what: str, which: int) -> None:
        ids = sorted(self.units)
        if not ids:
            return
        unit = self.units[ids[which % len(ids)]]
        if what == "come up" and unit.state == STARTING:
            unit = replace(
                unit,
                state=RUNNING,
                agent_state=int(AgentState.ACTIVE),
                slots=self.pool.slots,
                running_since=self.now,
                idle_since=self.now,
            )
        elif what == "claim" and unit.agent_state == AgentState.ACTIVE:
            count = min(self.ready, unit.slots - unit.running)
            if count and unit.state == RUNNING:
                self.ready -= count
                unit = replace(unit, running=unit.running + count, idle_since=None)
        elif what == "finish" and unit.running:
            unit = replace(unit, running=0, idle_since=self.now)
        elif what == "get lost" and unit.state == RUNNING:
            unit = replace(unit, agent_state=int(AgentState.LOST), running=0)
        elif what == "end" and (unit.killed or unit.terminated is not None):
            del self.units[unit.id]
            return
        elif what == "crash":
            del self.units[unit.id]
            if unit.state != STOPPING:
                self.health = self.health.crashed(self.now)
            return
        self.units[unit.id] = unit

    def settle(self, seconds: int) -> None:
        """Let time pass in which everything goes well."""
        for _ in range(seconds):
            self.now += 1
            for what in ("end", "come up", "finish", "claim"):
                for which in range(len(self.units)):
                    self.move(what, which)
            self.step()


MOVES = st.tuples(
    st.sampled_from(["come up", "claim", "finish", "get lost", "end", "crash", "work", "wait"]),
    st.integers(0, 90),
)


@st.composite
def pools(draw: st.DrawFn) -> PoolSettings:
    most = draw(st.integers(1, 6))
    return rule(draw(st.integers(0, most)), most, draw(st.integers(1, 4)))


@settings(max_examples=150, deadline=None)
@given(pool=pools(), moves=st.lists(MOVES, max_size=60))
def test_whatever_happens_the_pool_keeps_its_bounds_and_comes_to_rest(
    pool: PoolSettings, moves: list[tuple[str, int]]
) -> None:
    world = World(pool)
    for what, number in moves:
        if what == "work":
            world.ready += number
        elif what == "wait":
            world.now += number
        else:
            world.move(what, number)
        world.step()
    world.settle(700)
    assert world.ready == 0
    assert len(world.units) == world.alive() == pool.min
    acts = world.acts
    world.settle(60)
    assert world.acts == acts


@settings(max_examples=50, deadline=None)
@given(pool=pools(), ready=st.integers(1, 40))
def test_work_that_no_agent_takes_does_not_make_the_pool_flap(
    pool: PoolSettings, ready: int
) -> None:
    world = World(pool)
    world.ready = ready
    for _ in range(300):
        world.now += 1
        for which in range(len(world.units)):
            world.move("come up", which)
        world.step()
    assert all(unit.state == RUNNING for unit in world.units.values())
    assert world.made == len(world.units)
