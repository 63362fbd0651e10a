"""What becomes of new tasks for which there is no room, or which arrive where it is paused.

Only what is submitted is an arrival: a task that is retried, released or rerun by an operator never overflows its
queue, and is not dropped. A task that is not ready when it is submitted is not looked at for the limits of its queue,
neither then nor when it gets ready; it waits for its turn. One that an operator moves into a queue is refused where a
new one would be, and stays where it was; but nothing is cancelled because of a move.
"""

from __future__ import annotations

from collections.abc import Iterator

from quarterdeck_server.engine import transitions
from quarterdeck_server.engine.audit import SERVER
from quarterdeck_server.engine.commands import Refusal, Spec
from quarterdeck_server.engine.flow.holds import name_held
from quarterdeck_server.engine.flow.lane import lane_of
from quarterdeck_server.engine.flow.limits import (
    CANCEL_NEWEST,
    CANCEL_OLDEST,
    REJECT,
    Concurrency,
    QueueLimits,
    limits_of,
)
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.states import CANCELLED, READY, Reason
from quarterdeck_server.engine.world import World


def _caps(limits: QueueLimits, group_key: str) -> Iterator[tuple[str | None, Concurrency]]:
    """Yield the limits that a task of a group key is under, with their scope."""
    for scope, cap in ((None, limits.concurrency), (group_key, limits.concurrency_per_key)):
        if cap.limit:
            yield scope, cap


def refusal(world: World, namespace: str, spec: Spec) -> Refusal | None:
    """Refuse a spec whose task would be ready at once, when its queue or key is full and rejects; None lets it in."""
    return _full(world, namespace, spec.queue, spec.lane, "submit")


def refused_move(world: World, task: Task) -> Refusal | None:
    """Refuse to move a task, here as it would be, that is ready into a queue that is full and rejects."""
    if task.state != READY:
        return None
    return _full(world, task.namespace, task.queue, task.lane, "move it")


def _full(world: World, namespace: str, queue: str, lane: str | None, what: str) -> Refusal | None:
    key = (namespace, queue)
    active = world.active.get(key)
    if active is None:
        return None
    limits = limits_of(world.queues[key].limits)
    for scope, cap in _caps(limits, lane_of(lane).group_key):
        count = active.count(scope)
        if cap.overflow == REJECT and count >= cap.limit:
            of_key = "" if scope is None else f" of group key {scope!r}"
            oldest = encode_task_id(active.oldest(scope))
            return Refusal(
                "LIMIT_EXCEEDED",
                f"queue {queue!r} is full (active tasks{of_key}: {count}, limit: {cap.limit}); "
                f"{what} again when one has ended: {oldest} is the oldest",
                (
                    ("limit", str(cap.limit)),
                    ("queue", queue),
                    ("group_key", scope or ""),
                    ("task_id", oldest),
                ),
            )
    return None


def set_aside(world: World, task: Task) -> None:
    """Let the place of a task be free that another one, which is about to be made, will replace."""
    active = world.active.get((task.namespace, task.queue))
    if active is not None:
        active.remove(task.id)


def put_back(world: World, task: Task) -> None:
    """Give its place back to a task that is not replaced."""
    active = world.active.get((task.namespace, task.queue))
    if active is not None:
        active.put(task)


def arrived(world: World, task: Task) -> Task:
    """Do to a new task, or for it, what the policies of its queue and its name say; return it as it is then."""
    if task.origin_id is not None:
        return task
    key = (task.namespace, task.queue)
    queue = world.queues.get(key)
    limits = limits_of(None if queue is None else queue.limits)
    held = name_held(world.holds, task.namespace, task.name) if world.holds else None
    if (held is not None and held.drops) or (queue is not None and queue.paused and queue.drops):
        return world.put(transitions.turned_away(task, Reason.DROPPED, world.now))
    active = world.active.get(key)
    if active is None or task.state != READY:
        return task
    caps = list(_caps(limits, lane_of(task.lane).group_key))
    for scope, cap in caps:
        # A schedule's task cannot be refused, as nobody waits for the answer; so it is seen to be cancelled.
        if cap.overflow in (CANCEL_NEWEST, REJECT) and active.count(scope) > cap.limit:
            return world.put(transitions.turned_away(task, Reason.OVERFLOW, world.now))
    for scope, cap in caps:
        if cap.overflow == CANCEL_OLDEST and active.staying(scope) > cap.limit:
            (oldest,) = active.oldest_staying(scope, 1)
            _make_room(world, oldest)
    return task


def _make_room(world: World, task_id: int) -> None:
    """Request the cancel of the oldest."""
    if task_id not in world.tasks:
        world.fetch([task_id])
    task = world.tasks[task_id]
    after = transitions.cancel_requested(task, SERVER, Reason.OVERFLOW, world.now)
    world.put(after._replace(reason=Reason.OVERFLOW) if after.state == CANCELLED else after)
