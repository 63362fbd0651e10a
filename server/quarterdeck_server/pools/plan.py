"""What a pool should do next: values in, actions out. No process, no clock, no store.

All times are seconds of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from quarterdeck_server.engine.pools import InstanceState
from quarterdeck_server.engine.states import AgentState

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0
HEALTHY_AFTER = 60.0
"""An instance that ran this long shows that starting works again."""


class Rule(Protocol):
    """The settings of a pool that decide; `config.PoolSettings` is one."""

    @property
    def min(self) -> int: ...
    @property
    def max(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def idle_timeout(self) -> float: ...
    @property
    def start_timeout(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Unit:
    """An instance that has not ended, with what its agent last said."""

    id: str
    state: int
    """Of `InstanceState`; never STOPPED."""
    started: float
    agent_state: int | None = None
    """Of `AgentState`; None while no agent of the instance has called."""
    slots: int = 0
    running: int = 0
    running_since: float | None = None
    """When it became RUNNING."""
    idle_since: float | None = None
    """Since when its agent has held no lease; None while it holds one."""
    terminated: float | None = None
    """When it was asked to end."""
    killed: bool = False


class Health(NamedTuple):
    """How starting has gone lately."""

    crashes: int = 0
    """Instances that ended unasked since one was last healthy."""
    last_crash: float = 0.0

    @property
    def next_start(self) -> float:
        """The earliest moment of another start."""
        if not self.crashes:
            return self.last_crash
        # The exponent is bounded: after many crashes the power would not fit a float.
        doublings = min(self.crashes - 1, 9)
        return self.last_crash + min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0**doublings)

    def crashed(self, now: float) -> Health:
        """An instance ended unasked."""
        return Health(self.crashes + 1, now)


class Start(NamedTuple):
    """Start this many instances."""

    number: int


class Drain(NamedTuple):
    """Let the instance's agent finish what it holds and claim no more."""

    id: str
    why: str


class Terminate(NamedTuple):
    """Ask the instance to end. `crash` says that it counts as one that ended unasked."""

    id: str
    why: str
    crash: bool = False


class Kill(NamedTuple):
    """End the instance by force. `crash` says that it counts as one that ended unasked."""

    id: str
    why: str
    crash: bool = False


Stop = Drain | Terminate | Kill
Action = Start | Stop


def healed(health: Health, units: Sequence[Unit], now: float) -> Health:
    """Forget crashes once an instance has been RUNNING for `HEALTHY_AFTER` since the last one."""
    for unit in units:
        if unit.state == InstanceState.RUNNING and unit.running_since is not None:
            since = max(unit.running_since, health.last_crash)
            if health.crashes and now - since >= HEALTHY_AFTER:
                return Health()
    return health


def plan(
    rule: Rule, ready: int, units: Sequence[Unit], health: Health, grace: float, now: float
) -> list[Action]:
    """The actions that bring a pool nearer to what its rule wants.

    Args:
        rule: The pool's settings.
        ready: Tasks of its queue that could be handed out now; 0 while the queue is paused.
        units: Its instances that have not ended.
        health: How starting has gone.
        grace: Seconds from asking an instance to end to ending it by force.
        now: The present moment.
    """
    due = stops(units, grace, now) + _failures(rule, units, now)
    if any(not isinstance(action, Drain) and action.crash for action in due):
        return list(due)  # a crash holds up starts, and this one is not in `health` yet
    touched = {action.id for action in due}
    live = [unit for unit in units if _is_live(unit) and unit.id not in touched]
    count = _starts(rule, ready, live, len(units), health, now)
    if count:
        return [*due, Start(count)]
    return [*due, *_surplus(rule, ready, live, now)]


def stops(units: Sequence[Unit], grace: float, now: float) -> list[Stop]:
    """The next step of every instance that is being stopped: drained, asked, then forced."""
    actions: list[Stop] = []
    for unit in units:
        if unit.state != InstanceState.STOPPING or unit.killed:
            continue
        if unit.terminated is not None:
            if now - unit.terminated >= grace:
                actions.append(Kill(unit.id, f"did not end within {grace:g} s"))
        elif not (_in_contact(unit) and unit.running):
            actions.append(Terminate(unit.id, "drained"))
    return actions


def _failures(rule: Rule, units: Sequence[Unit], now: float) -> list[Stop]:
    """Instances that are of no more use, whatever the demand."""
    actions: list[Stop] = []
    for unit in units:
        if unit.state == InstanceState.STARTING:
            if now - unit.started >= rule.start_timeout:
                why = f"no agent called within {rule.start_timeout:g} s"
                actions.append(Kill(unit.id, why, crash=True))
        elif unit.state == InstanceState.RUNNING:
            if unit.agent_state == AgentState.DRAINING:
                actions.append(Drain(unit.id, "its agent was told to drain"))
            elif unit.agent_state is not None:
                if unit.agent_state != AgentState.ACTIVE:
                    actions.append(Terminate(unit.id, "its agent is gone", crash=True))
            # An adopted instance is RUNNING before its agent calls the new server.
            elif now - unit.started >= rule.start_timeout:
                actions.append(Terminate(unit.id, "its agent is not known", crash=True))
    return actions


def _starts(
    rule: Rule, ready: int, live: Sequence[Unit], present: int, health: Health, now: float
) -> int:
    starting = sum(unit.state == InstanceState.STARTING for unit in live)
    missing = ready - _free(live) - starting * rule.slots
    wanted = max(-(-missing // rule.slots), rule.min - len(live))
    count = min(wanted, rule.max - present)
    if health.crashes:
        # Fewer at a time the longer it has gone wrong: a program that cannot start is tried one
        # by one, and one crash in a large pool does not hold up the others.
        limit = max(1, rule.max >> min(health.crashes, 31))
        count = min(count, limit - starting) if now >= health.next_start else 0
    return max(count, 0)


def _surplus(rule: Rule, ready: int, live: Sequence[Unit], now: float) -> list[Stop]:
    """Instances that have been idle for long and whose slots are not needed."""
    actions: list[Stop] = []
    free = _free(live)
    spare = len(live) - rule.min
    idle = [unit for unit in live if unit.idle_since is not None]
    for unit in sorted(idle, key=lambda unit: (unit.idle_since or 0.0, unit.id)):
        free -= _free([unit])
        long_enough = unit.idle_since is not None and now - unit.idle_since >= rule.idle_timeout
        # With too few slots left it would have to be started again at once.
        if len(actions) >= spare or not long_enough or free < ready:
            break
        actions.append(Drain(unit.id, f"idle for {rule.idle_timeout:g} s"))
    return actions


def _is_live(unit: Unit) -> bool:
    if unit.state == InstanceState.STARTING:
        return True
    return unit.state == InstanceState.RUNNING and unit.agent_state == AgentState.ACTIVE


def _in_contact(unit: Unit) -> bool:
    return unit.agent_state in (AgentState.ACTIVE, AgentState.DRAINING)


def _free(units: Sequence[Unit]) -> int:
    return sum(
        max(unit.slots - unit.running, 0) for unit in units if unit.state == InstanceState.RUNNING
    )
