"""The rules of the state machine by which tasks come into being."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, multiple, rule

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.admission import (
    ACTIVE,
    AFTER_EXISTING,
    PENDING,
    PERIOD,
    REJECT,
    REPLACE_PENDING,
    RETURN_EXISTING,
)
from quarterdeck_server.engine.policy import DEFAULT_POLICY, Policy
from quarterdeck_server.engine.states import BLOCKED, ENDED, SCHEDULED

from . import make
from .machine_base import QUEUES, Machine, tasks
from .make import SECOND

POLICIES = (
    None,
    Policy(max_attempts=1),
    Policy(max_attempts=2, all_ended=True, initial_backoff=5 * SECOND),
    Policy(schedule_to_start=20 * SECOND, task_timeout=60 * SECOND),
    Policy(attempt_timeout=10 * SECOND, stall_timeout=4 * SECOND, max_crashes=1),
    Policy(non_retryable_types=("Fatal",), cancel_grace=3 * SECOND, units=2),
)
NEEDS = ((), (), (("gpu", "a"),), (("gpu", "b"),), (("gpu", "a"), ("region", "eu")))
PREFERRED = ((), (("region", "eu"),), (("gpu", "b"),))
ADMITTED = (
    *(
        make.spec(name="unique", admission=c.Unique("k", ACTIVE, policy, 0))
        for policy in (REJECT, RETURN_EXISTING, REPLACE_PENDING, AFTER_EXISTING, AFTER_EXISTING)
    ),
    *(
        make.spec(name="pending", group_key="a", admission=c.Unique("k", PENDING, policy, 0))
        for policy in (REJECT, REPLACE_PENDING)
    ),
    make.spec(name="once", admission=c.Unique("k", PERIOD, RETURN_EXISTING, 9 * SECOND)),
    make.spec(name="late", data=b"1", admission=c.Debounce("k", 3 * SECOND, 5 * SECOND)),
    make.spec(name="late", data=b"y" * 20_000, admission=c.Debounce("k", 3 * SECOND, None)),
    make.spec(name="few", admission=c.Throttle("k", 3, 9 * SECOND)),
    make.spec(name="kept", key="ttl", key_ttl=9 * SECOND),
)


def made(reply: list[c.Submitted]) -> Any:
    """The tasks of a reply, for the bundle."""
    return multiple(*(item.task_id for item in reply if item.refusal is None))


class Submits(Machine):
    """Submits of every sort."""

    @rule(
        target=tasks,
        names=st.lists(st.sampled_from("ab"), min_size=1, max_size=4),
        queue=st.sampled_from(QUEUES),
        priority=st.integers(4, 6),
        delay=st.sampled_from([0, 0, 0, 3 * SECOND]),
        policy=st.sampled_from(POLICIES),
        data=st.sampled_from([None, b"x", b"y" * 20_000]),
    )
    def submit(
        self,
        names: list[str],
        queue: str,
        priority: int,
        delay: int,
        policy: Policy | None,
        data: bytes | None,
    ) -> Any:
        """Submit some tasks now."""
        specs = [
            make.spec(
                queue=queue, name=name, priority=priority, delay=delay, policy=policy, data=data
            )
            for name in names
        ]
        did = self.run([make.submit(*specs)])
        return made(did.replies[-1])

    @rule(
        target=tasks,
        keys=st.lists(st.sampled_from(("", "a", "b")), min_size=1, max_size=8),
        name=st.sampled_from("ab"),
        priority=st.sampled_from([5, 5, 8]),
        needs=st.sampled_from(NEEDS),
        policy=st.sampled_from(POLICIES),
        delay=st.sampled_from([0, 0, 2 * SECOND]),
    )
    def submit_keyed(
        self,
        keys: list[str],
        name: str,
        priority: int,
        needs: tuple[tuple[str, str], ...],
        policy: Policy | None,
        delay: int,
    ) -> Any:
        """Submit tasks of some group keys, which only some agents may have."""
        policy = (policy or DEFAULT_POLICY)._replace(required=needs)
        specs = [
            make.spec(
                name=name, priority=priority, policy=policy, group_key=key, needs=needs, delay=delay
            )
            for key in keys
        ]
        did = self.run([make.submit(*specs)])
        return made(did.replies[-1])

    @rule(
        target=tasks,
        origin=tasks,
        sticks=st.booleans(),
        preferred=st.sampled_from(PREFERRED),
        needs=st.sampled_from(NEEDS),
        key=st.sampled_from(["", "a"]),
        patience=st.sampled_from([SECOND, 5 * SECOND]),
    )
    def submit_affine(
        self,
        origin: int,
        sticks: bool,
        preferred: tuple[tuple[str, str], ...],
        needs: tuple[tuple[str, str], ...],
        key: str,
        patience: int,
    ) -> Any:
        """Submit a task that would rather be given to some agents than to others."""
        policy = Policy(
            required=needs,
            preferred=preferred,
            same_agent_as=origin if sticks else None,
            patience=patience,
        )
        spec = make.spec(policy=policy, group_key=key, needs=needs)
        did = self.run([make.submit(spec)])
        return made(did.replies[-1])

    @rule(
        target=tasks,
        parents=st.lists(tasks, min_size=1, max_size=3),
        policy=st.sampled_from(POLICIES[:3]),
        chained=st.booleans(),
    )
    def submit_dependents(self, parents: list[int], policy: Policy | None, chained: bool) -> Any:
        """Submit a task that waits, and perhaps one that waits for that."""
        specs = [make.spec(policy=policy, depends_on=parents, parent_id=parents[0])]
        if chained:
            specs.append(make.spec(depends_on=(-1, *parents)))
        did = self.run([make.submit(*specs)])
        return made(did.replies[-1])

    @rule(key=st.sampled_from(["k1", "k2"]), content=st.sampled_from([b"1", b"2"]))
    def submit_with_key(self, key: str, content: bytes) -> None:
        """Submit a task that may exist, and one that depends on it."""
        pair = (make.spec(key=key, content=content), make.spec(depends_on=(-1,)))
        self.group.append(make.submit(*pair))

    @rule()
    def submit_twice(self) -> None:
        """Repeat a request."""
        request = make.request(f"r{next(self.requests)}")
        once = make.submit(request=request)
        did = self.run([once, once])
        again = self.run([once])
        assert did.replies[-1] == did.replies[-2] == again.replies[-1]

    @rule()
    def submit_broken(self) -> None:
        """A command that fails unexpectedly must fail alone."""
        self.group.append(make.submit(make.spec()._replace(policy="broken")))

    @rule(spec=st.sampled_from(ADMITTED), now=st.booleans())
    def submit_admitted(self, spec: c.Spec, now: bool) -> None:
        """Submit a task with a key that others may have."""
        self.group.append(make.submit(spec, spec))
        if now:
            self.run([])

    @rule(place=st.integers(0, 3), how=st.sampled_from(["cancel", "update"]))
    def disturb_unique(self, place: int, how: str) -> None:
        """Cancel or change a task with a unique key."""
        alive = self.alive("unique")
        if alive:
            task_id = alive[place % len(alive)].id
            change = c.UpdateTasks("default", [task_id], c.TaskChange(priority=5, delay=0))
            self.group.append(make.cancel(task_id) if how == "cancel" else change)

    @rule(place=st.integers(0, 5))
    def retry_unique(self, place: int) -> None:
        """Retry two that have ended: at most one has the key again."""
        ended = [
            task.id
            for task in self.driver.tasks.values()
            if task.name in ("unique", "pending") and task.state in ENDED
        ]
        if ended:
            two = {ended[place % len(ended)], ended[(place + 1) % len(ended)]}
            self.group.append(make.retry(*sorted(two)))

    @invariant()
    def one_task_has_the_unique_key(self) -> None:
        """Of those that wait for nobody, and who has it is one that has not ended, if there is one."""
        if not hasattr(self, "checker"):
            return
        alive = self.alive("unique")
        assert sum(task.state != BLOCKED for task in alive) <= 1
        assert not alive or any(task.state != BLOCKED for task in alive), "the chain goes on"
        if alive:
            rows = [r for k, r in self.driver.admissions.items() if k.name == "unique"]
            assert [row.task_id in {task.id for task in alive} for row in rows] == [True]
        assert sum(task.attempt == 0 for task in self.alive("pending")) <= 1
        waiting = [t for t in self.alive("late") if t.state == SCHEDULED and t.attempt == 0]
        assert len(waiting) <= 1
