"""What matched a filter earlier is found again by undoing what changed since."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.filters import TASK_FIELDS, compile_predicate, parse
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.selection import Selection, as_of

from . import make
from .bench import Bench
from .make import NOW, SECOND
from .memory import Memory

FILTERS = ("id:*", "state:ready", "state:running,cancelled", "name:b !state:ended", "attempt>1")
STEPS = st.lists(
    st.tuples(st.sampled_from("sscccfkkrp"), st.integers(0, 7)), min_size=1, max_size=25
)


class Life:
    """Tasks to which things happen, and what they were at every revision."""

    def __init__(self) -> None:
        self.bench = Bench(Memory())
        self.ids: list[int] = []
        self.past: dict[int, dict[int, Task]] = {0: {}}

    def step(self, what: str, which: int) -> None:
        """Let one thing happen, in one group; some of it twice to one task."""
        bench, tasks = self.bench, self.bench.driver.tasks
        task_id = self.ids[which % len(self.ids)] if self.ids else 0
        match what:
            case "s":
                self.ids += bench.submit(make.spec(name="ab"[which % 2]), make.spec(name="b"))
                bench.do(c.Submit("other", [make.spec(name="b")]))
            case "c":
                bench.claim(max_tasks=which)
            case "f" if task_id in tasks:
                token = tasks[task_id].lease_token
                bench.group(make.report(task_id, token, make.fail()), make.cancel(task_id))
            case "k":
                bench.group(make.cancel(task_id), make.retry(task_id))
            case "r":
                bench.group(make.retry(task_id), make.cancel(task_id))
            case "p":
                later = bench.now + SECOND
                bench.do(c.Prune(later, later, 0, 1_000_000))
        changes = bench.driver.changes
        self.past[changes[-1].revision if changes else 0] = dict(bench.driver.tasks)


@given(STEPS, st.sampled_from(FILTERS))
def test_the_selection_of_every_revision_is_found_again(
    steps: list[tuple[str, int]], text: str
) -> None:
    life = Life()
    for step in steps:
        life.step(*step)
    passes = compile_predicate(parse(text, TASK_FIELDS))

    def matches(task: Task) -> bool:
        return passes(task, NOW)

    def ids(tasks: dict[int, Task]) -> list[int]:
        return sorted(
            i for i, task in tasks.items() if task.namespace == "default" and matches(task)
        )

    changes = life.bench.driver.changes
    last, now = max(life.past), ids(life.past[max(life.past)])
    for revision, tasks in life.past.items():
        later = [change for change in changes if change.revision > revision]
        found = as_of(Selection(array("q", now), len(now), last), later, "default", matches)
        assert found.ids.tolist() == ids(tasks)
        assert found.total == len(found.ids)
        # Where not all ids are kept they are still counted.
        cut = as_of(Selection(array("q", now[:1]), len(now), last), later, "default", matches)
        assert cut.total == found.total
