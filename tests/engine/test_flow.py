"""Whatever happens: no limit is passed, and nobody who might be served waits beside what he might have."""

from __future__ import annotations

import tempfile
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from quarterdeck_server.engine.commands import Profile, Sweep, UpdateQueue
from quarterdeck_server.engine.flow.limits import Concurrency, QueueLimits, Rate
from quarterdeck_server.engine.policy import Policy

from . import make
from .bench import Bench
from .flow import KEY, Flow, key_of, set_limits
from .make import SECOND
from .memory import Memory
from .profiles import SETTINGS
from .sqlite import Sqlite

NAMES = ("one", "two", "three")
LABELS = (("gpu", "a"), ("gpu", "b"), ("region", "eu"))
QUEUES = ("default",)

specs = st.builds(
    make.spec,
    name=st.sampled_from(NAMES),
    priority=st.integers(0, 9),
    delay=st.sampled_from((0, 0, SECOND)),
    group_key=st.sampled_from(("", "a", "b", "c")),
    needs=st.lists(st.sampled_from(LABELS), max_size=2, unique_by=lambda pair: pair[0]),
    policy=st.sampled_from((None, Policy(max_attempts=2))),
)
profiles = st.builds(
    lambda names: Profile("default", QUEUES, names),
    st.one_of(st.none(), st.frozensets(st.sampled_from(NAMES), min_size=1)),
)
limits = st.builds(
    lambda whole, each, rate, ageing, weights: QueueLimits(
        Concurrency(whole), Concurrency(each), rate[0], rate[1], ageing, weights
    ),
    whole=st.sampled_from((0, 0, 1, 3)),
    each=st.sampled_from((0, 0, 1, 2)),
    rate=st.sampled_from(
        (
            (Rate(), Rate()),
            (Rate(), Rate()),
            (Rate(2, SECOND), Rate()),
            (Rate(), Rate(1, SECOND, 2)),
            (Rate(5, SECOND), Rate(1, SECOND)),
        )
    ),
    ageing=st.sampled_from((0, SECOND)),
    weights=st.sampled_from(((), (("a", 3),))),
)


class FlowMachine(RuleBasedStateMachine):
    """Submits, claims, reports, cancels, edits of limits and restarts, one group after the other."""

    flow: Flow
    allowed: QueueLimits

    def make_flow(self) -> Flow:
        """A new engine; every id and token is used once."""
        return Flow(Bench(Memory()))

    @initialize()
    def begin(self) -> None:
        self.flow = self.make_flow()
        self.ran: tuple[int, Counter[str]] = (0, Counter())
        self.agents = count(1)

    @rule(batch=st.lists(specs, min_size=1, max_size=6))
    def submit(self, batch: list[object]) -> None:
        self.flow.group(make.submit(*batch))  # type: ignore[arg-type]

    @rule(
        profile=profiles,
        most=st.integers(1, 4),
        labels=st.lists(st.sampled_from(LABELS), max_size=2, unique_by=lambda pair: pair[0]),
    )
    def claim(self, profile: Profile, most: int, labels: list[tuple[str, str]]) -> None:
        self.flow.park(make.claim(f"g{next(self.agents)}", most, profile, labels=labels))
        self.flow.group()

    @rule(pick=st.integers(0, 99), good=st.booleans())
    def report(self, pick: int, good: bool) -> None:
        running = self.flow.running
        if running:
            task = running[pick % len(running)]
            outcome = make.succeed() if good else make.fail()
            self.flow.group(make.report(task.id, task.lease_token, outcome))

    @rule(pick=st.integers(0, 99))
    def cancel(self, pick: int) -> None:
        ready = self.flow.ready
        if ready:
            self.flow.group(make.cancel(ready[pick % len(ready)].id))

    @rule(value=limits)
    def limit(self, value: QueueLimits) -> None:
        self.flow.group(set_limits(value))

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.flow.group(UpdateQueue("default", "default", paused, ""))

    @rule(tenths=st.integers(1, 50))
    def wait(self, tenths: int) -> None:
        self.flow.bench.now += tenths * SECOND // 10
        self.flow.group(Sweep())

    @rule()
    def restart(self) -> None:
        self.flow.bench.driver.restart()

    @rule(batch=st.lists(specs, min_size=1, max_size=3), pick=st.integers(0, 99))
    def several_at_once(self, batch: list[object], pick: int) -> None:
        commands = [make.submit(*batch)]  # type: ignore[arg-type]
        running = self.flow.running
        if running:
            task = running[pick % len(running)]
            commands.append(make.report(task.id, task.lease_token, make.succeed()))  # type: ignore[arg-type]
        self.flow.group(*commands)

    @invariant()
    def limits_are_kept(self) -> None:
        """No more than the limit runs, or than ran before: a lower limit leaves what runs alone."""
        if not hasattr(self, "flow"):
            return
        limits, running = self.flow.limits, self.flow.running
        keys = Counter(key_of(task) for task in running)
        before, keys_before = self.ran
        whole, each = limits.concurrency.limit, limits.concurrency_per_key.limit
        assert not whole or len(running) <= max(whole, before)
        for key, n in keys.items():
            assert not each or n <= max(each, keys_before[key])
        self.ran = (len(running), keys)

    @invariant()
    def nobody_is_forgotten(self) -> None:
        """What is ready and who might have it wait side by side for tokens only, and until they are there."""
        if not hasattr(self, "flow"):
            return
        limits = self.flow.limits
        if not limits.rate.units and not limits.rate_per_key.units:
            assert self.flow.unserved() == []
        elif self.flow.unserved():
            assert self.flow.reopen[KEY] > self.flow.bench.now


class SqliteFlowMachine(FlowMachine):
    """The same on the store."""

    def make_flow(self) -> Flow:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "quarterdeck.db"
        self.driver = Sqlite(path)
        return Flow(Bench(self.driver))

    def teardown(self) -> None:
        if hasattr(self, "driver"):
            self.driver.close()
            self.folder.cleanup()


FlowMachine.TestCase.settings = SETTINGS
TestFlow = pytest.mark.timeout(3600)(FlowMachine.TestCase)
SqliteFlowMachine.TestCase.settings = settings(SETTINGS, max_examples=SETTINGS.max_examples // 10)
TestSqliteFlow = pytest.mark.timeout(3600)(SqliteFlowMachine.TestCase)
