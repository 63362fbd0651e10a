"""The rest that an agent asks for: its provider refuses everybody for a while. What it is when clocks are set back."""

from __future__ import annotations

from quarterdeck_server.engine.commands import Fail
from quarterdeck_server.engine.flow.lane import lane_of
from quarterdeck_server.engine.flow.meters import back_off, one_key
from quarterdeck_server.engine.model import Task, new_queue
from quarterdeck_server.engine.world import World


def rest(world: World, task: Task, outcome: Fail) -> None:
    """Let the queue of a failed task, or its group key there, rest as its agent says; never shorter than before."""
    if outcome.back_off is None:
        return
    until = world.now + outcome.back_off
    if outcome.key_only:
        key = one_key(task.namespace, task.queue, lane_of(task.lane).group_key)
        world.meters.put(key, back_off(world.meters.get(key), until))
        return
    place = (task.namespace, task.queue)
    queue = world.queues.get(place) or new_queue(*place, world.now)
    if until > (queue.back_off_until or 0):
        world.put_queue(queue._replace(back_off_until=until))


def bring_forward(world: World, by: int) -> None:
    """Let nothing wait longer because the wall clock was ahead and has been set back.

    Rates and rests have as long to go as they had when the clock was last looked at. The queues that rest must be
    loaded.
    """
    world.set_back = by
    world.meters.bring_forward(by, world.now)
    for queue in list(world.queues.values()):
        until = queue.back_off_until
        if until is not None and until > world.now:
            world.put_queue(queue._replace(back_off_until=until - by))
