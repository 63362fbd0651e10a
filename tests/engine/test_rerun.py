"""Running ended tasks again; on dicts and on SQLite."""

from __future__ import annotations

from typing import Any

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine import rerun
from quarterdeck_server.engine.admission import ACTIVE, AFTER_EXISTING
from quarterdeck_server.engine.model import Payload, Task
from quarterdeck_server.engine.policy import Policy, policy_text
from quarterdeck_server.engine.states import BLOCKED, CANCELLED, READY, SUCCEEDED
from quarterdeck_server.store.sqlite import load

from . import make
from .bench import Bench


def ended(bench: Bench, spec: c.Spec | None = None, *, good: bool = True) -> Task:
    """A task that ran and ended."""
    task = bench.running(spec)
    return bench.end(task, make.succeed() if good else make.fail(final=True))


def again(bench: Bench, *task_ids: int, **fields: Any) -> list[c.Rerunning]:
    results: list[c.Rerunning] = bench.do(c.Rerun("default", task_ids, **fields))
    return results


def waits_for(bench: Bench, task_id: int) -> set[int]:
    return {edge[1] for edge, met in bench.driver.edges.items() if edge[0] == task_id and not met}


class TestOne:
    """A copy without its history."""

    def test_a_copy_is_fresh_and_names_its_origin(self, bench: Bench) -> None:
        parent = bench.one(make.spec(queue="else"))
        spec = make.spec(
            priority=7,
            policy=Policy(max_attempts=4),
            data=b"x" * 20_000,
            key="k",
            parent_id=parent,
            labels='{"a":"b"}',
            attributes='{"n":1}',
            admission=c.Unique("u", ACTIVE, 1, 0),
        )
        old = ended(bench, spec, good=False)
        ((new_id, dependents, refusal),) = again(bench, old.id)
        new = bench.task(new_id)
        assert (dependents, refusal) == ((), None)
        assert (new.origin_id, new.state, new.attempt, new.max_attempts) == (old.id, READY, 0, 4)
        assert (new.parent_id, new.idempotency_key) == (parent, None)
        assert new[2:4] == old[2:4] and new.priority == 7
        assert new.policy == policy_text(Policy(max_attempts=4)), "the key is the origin's"
        assert (new.labels, new.attributes) == (old.labels, old.attributes)
        assert bench.driver.inputs[new_id] == bench.driver.inputs[old.id]
        assert bench.task(old.id) == old
        bench.one(make.spec(admission=c.Unique("u", ACTIVE, 1, 0)))

    def test_the_copy_keeps_its_input_when_the_origin_is_pruned(self, bench: Bench) -> None:
        old = ended(bench, make.spec(data=b"x" * 20_000))
        ((new_id, _, _),) = again(bench, old.id)
        bench.prune()
        assert old.id not in bench.driver.tasks
        assert bench.driver.inputs[new_id].data == b"x" * 20_000

    def test_an_edited_input_stands_instead(self, bench: Bench) -> None:
        old = ended(bench, make.spec(data=b"old"))
        ((new_id, _, _),) = again(bench, old.id, input=Payload("text/plain", b"new"))
        assert bench.driver.inputs[new_id] == Payload("text/plain", b"new")
        assert bench.driver.inputs[old.id].data == b"old"

    def test_a_copy_that_is_claimed_in_its_own_group_is_running(self, bench: Bench) -> None:
        old = ended(bench, make.spec(data=b"x"))
        claim = make.claim()
        bench.group(c.Rerun("default", [old.id]), claims=[claim])
        assert [task.origin_id for task in claim.taken] == [old.id]

    def test_what_has_not_ended_or_is_not_there_is_refused(self, bench: Bench) -> None:
        task = bench.running()
        good = bench.one(make.spec(queue="else"))
        bench.do(make.cancel(good))
        results = again(bench, task.id, 999, good)
        reasons = [item.refusal and item.refusal.reason for item in results]
        assert reasons == ["WRONG_STATE", "TASK_NOT_FOUND", None]
        ((_, _, refusal),) = bench.do(c.Rerun("other", [good]))
        assert refusal is not None and refusal.reason == "TASK_NOT_FOUND"

    def test_a_task_that_lost_its_dependency_is_run_without_it(self, bench: Bench) -> None:
        first = bench.running()
        second = bench.one(make.spec(depends_on=(first.id,)))
        bench.end(first, make.fail(final=True))
        assert bench.task(second).state == CANCELLED
        ((new_id, _, _),) = again(bench, second)
        assert bench.task(new_id).state == READY

    def test_a_repeated_request_gets_the_first_answer(self, bench: Bench) -> None:
        old = ended(bench)
        command = c.Rerun("default", [old.id, 999], request=make.request("r"))
        first = bench.do(command)
        count = len(bench.driver.tasks)
        assert bench.do(command) == first
        assert len(bench.driver.tasks) == count


class TestWithDependents:
    """A copy of all that came of it."""

    def test_the_copies_depend_on_each_other_as_the_originals_did(self, bench: Bench) -> None:
        root = bench.running(make.spec(data=b"1"))
        left, right = bench.submit(*[make.spec(depends_on=(root.id,), data=b"2")] * 2)
        last = bench.one(make.spec(depends_on=(left, right)))
        bench.end(root, make.fail(final=True))
        assert bench.task(last).state == CANCELLED
        edited = Payload("", b"new")
        ((new, copies, _),) = again(bench, root.id, with_dependents=True, input=edited)
        assert [bench.task(i).origin_id for i in copies] == [left, right, last]
        assert bench.task(new).state == READY
        assert [bench.task(i).state for i in copies] == [BLOCKED] * 3
        assert waits_for(bench, copies[0]) == waits_for(bench, copies[1]) == {new}
        assert waits_for(bench, copies[2]) == set(copies[:2])
        assert [bench.driver.inputs[i].data for i in (new, *copies[:2])] == [b"new", b"2", b"2"]
        for _ in range(4):
            (task,) = bench.claim()
            bench.end(task, make.succeed())
        assert bench.task(copies[2]).state == SUCCEEDED

    def test_what_they_depended_on_besides_is_left_as_it_is(self, bench: Bench) -> None:
        root, met = ended(bench), ended(bench)
        open_one = bench.one(make.spec(queue="else"))
        dependent = bench.one(make.spec(depends_on=(root.id, met.id, open_one)))
        ((new, (copy,), _),) = again(bench, root.id, with_dependents=True)
        assert waits_for(bench, copy) == {new, open_one}
        assert waits_for(bench, dependent) == {open_one}
        assert bench.task(copy).pending == 2

    def test_a_dependency_that_failed_besides_cancels_the_copy(self, bench: Bench) -> None:
        root = bench.running()
        other = bench.running()
        bench.one(make.spec(depends_on=(root.id, other.id)))
        bench.end(root, make.succeed())
        bench.end(other, make.fail(final=True))
        ((_, (copy,), _),) = again(bench, root.id, with_dependents=True)
        assert (bench.task(copy).state, bench.task(copy).reason) == (CANCELLED, "DEPENDENCY_FAILED")

    def test_roots_that_share_a_dependent_share_its_copy(self, bench: Bench) -> None:
        one, two = ended(bench), ended(bench)
        bench.one(make.spec(depends_on=(one.id, two.id)))
        first, second = again(bench, one.id, two.id, with_dependents=True)
        (copy,) = first.dependents
        assert second.dependents == ()
        assert waits_for(bench, copy) == {first.task_id, second.task_id}

    def test_the_chain_of_a_unique_key_is_not_copied(self, bench: Bench) -> None:
        spec = make.spec(admission=c.Unique("u", ACTIVE, AFTER_EXISTING, 0))
        first = bench.running(spec)
        second = bench.one(spec)
        bench.end(first, make.succeed())
        ((_, copies, _),) = again(bench, first.id, with_dependents=True)
        assert copies == ()
        (task,) = bench.claim()
        assert task.id == second
        bench.end(task, make.succeed())
        ((new, _, _),) = again(bench, second)
        assert bench.task(new).policy is None

    def test_a_dependent_of_the_same_group_is_copied_too(self, bench: Bench) -> None:
        root = ended(bench)
        (made,), ((new, copies, _),) = bench.group(
            make.submit(make.spec(depends_on=(root.id,))),
            c.Rerun("default", [root.id], with_dependents=True),
        )
        (copy,) = copies
        assert bench.task(copy).origin_id == made.task_id
        assert waits_for(bench, copy) == {new}

    def test_too_many_are_refused_and_nothing_is_made(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rerun, "MAX_TASKS", 3)
        root = ended(bench)
        bench.submit(*[make.spec(queue="else", depends_on=(root.id,))] * 3)
        count = len(bench.driver.tasks)
        ((_, _, refusal),) = again(bench, root.id, with_dependents=True)
        assert refusal is not None and refusal.reason == "LIMIT_EXCEEDED"
        assert len(bench.driver.tasks) == count

    def test_too_many_dependencies_are_refused_with_their_number(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (rerun, load):
            monkeypatch.setattr(module, "MAX_DEPENDENCIES", 6)
        root = ended(bench)
        first = bench.submit(*[make.spec(queue="else", depends_on=(root.id,))] * 2)
        bench.submit(*[make.spec(queue="else", depends_on=first)] * 2)
        (done,) = again(bench, root.id, with_dependents=True)
        assert done.refusal is None and len(done.dependents) == 4
        bench.submit(make.spec(queue="else", depends_on=first[:1]))
        count = len(bench.driver.tasks)
        ((_, _, refusal),) = again(bench, root.id, with_dependents=True)
        assert refusal is not None and refusal.reason == "LIMIT_EXCEEDED"
        assert "7 dependencies" in refusal.message and "at most 6" in refusal.message
        assert refusal.metadata == (("limit", "6"), ("dependencies", "7"))
        assert len(bench.driver.tasks) == count
        assert again(bench, root.id)[0].refusal is None
