"""The collector's tuning, in a process of its own: it is for the rest of a process."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, weakref
from quarterdeck_server.runtime import memory

class Node:
    pass

def cycle():
    node = Node()
    node.self = node
    return node

memory.tend()
young = weakref.ref(cycle())
old = cycle()
kept = [[] for _ in range(3 * memory.YOUNG)]
print(young() is None, gc.get_freeze_count() > 2 * memory.YOUNG)
reference = weakref.ref(old)
del old
kept += [[] for _ in range(3 * memory.YOUNG)]
print(reference() is not None)
memory.collect_all()
print(reference() is None)
"""


def outcome() -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    return run.stdout.splitlines()


def test_a_young_cycle_is_found_soon_and_survivors_are_set_aside() -> None:
    assert outcome()[0] == "True True"


def test_a_cycle_that_was_set_aside_is_found_by_the_look_at_all() -> None:
    assert outcome()[1:] == ["True", "True"]
