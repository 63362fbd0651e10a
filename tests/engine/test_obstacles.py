"""Each obstacle in full: its sentence, who is behind it, when it ends, and which tasks and agents it is about."""

from __future__ import annotations

import pytest

from quarterdeck_server.engine.explain.facts import Ahead, Facts, Runners
from quarterdeck_server.engine.explain.obstacles import Kind, Obstacle, obstacles
from quarterdeck_server.engine.flow.lane import LaneKey, lane_text
from quarterdeck_server.engine.flow.limits import Concurrency, QueueLimits, Rate
from quarterdeck_server.engine.flow.meters import Meter
from quarterdeck_server.engine.model import Pause, encode, new_queue
from quarterdeck_server.engine.policy import Policy, policy_text
from quarterdeck_server.engine.pools import PoolStatus
from quarterdeck_server.engine.states import BLOCKED, RUNNING, SCHEDULED, AgentState, HoldKind

from .make import NOW, SECOND
from .test_explain import facts, handler, hold, task

GPU = (("gpu", "a100"), ("zone", "eu"))
MINUTE = 60 * SECOND
SLOW = Rate(1, MINUTE)
PAUSED = new_queue("default", "red", NOW)._replace(paused=1)
KEYED = task(lane=lane_text(LaneKey("acme")))
NEEDY = task(lane=lane_text(LaneKey("", GPU)), policy=policy_text(Policy(required=GPU)))
CHOOSY = task(
    lane=lane_text(LaneKey("", GPU)),
    policy=policy_text(Policy(preferred=GPU)),
    wake_at=NOW + 4 * SECOND,
)
FAITHFUL = task(
    lane=lane_text(LaneKey("", (), "a9")),
    policy=policy_text(Policy(same_agent_as=1)),
    wake_at=NOW + 4 * SECOND,
)


def pool(
    name: str, queue: str = "red", instances: int = 0, detail: str | None = None
) -> PoolStatus:
    """A pool of up to 4 agents."""
    return PoolStatus("default", name, queue, 0, 4, 1, MINUTE, "process", instances, detail, 1)


CASES: list[tuple[Facts, list[Obstacle]]] = [
    (
        facts(task(state=BLOCKED, pending=1), unmet=(1,)),
        [Obstacle(Kind.DEPENDENCIES, "waits for 1 task to end: task_0000000000001", task_ids=(1,))],
    ),
    (
        facts(task(state=BLOCKED, pending=4), unmet=(1, 2, 3, 4)),
        [
            Obstacle(
                Kind.DEPENDENCIES,
                "waits for 4 tasks to end: task_0000000000001, task_0000000000002, task_0000000000003 and others",
                task_ids=(1, 2, 3, 4),
            )
        ],
    ),
    (
        facts(task(state=SCHEDULED, run_at=NOW + MINUTE)),
        [Obstacle(Kind.DELAY, "is to start in 59 s, as submitted", until=NOW + 60 * SECOND)],
    ),
    (facts(task(state=SCHEDULED, run_at=NOW + SECOND)), []),
    (
        facts(
            task(
                state=SCHEDULED, run_at=NOW + MINUTE, attempt=2, reason="BACKOFF", error_type="Busy"
            )
        ),
        [
            Obstacle(
                Kind.BACKOFF,
                "waits 59 s before attempt 3, after attempt 2 failed: Busy",
                until=NOW + 60 * SECOND,
            )
        ],
    ),
    (
        facts(
            task(
                state=SCHEDULED,
                run_at=NOW + MINUTE,
                attempt=1,
                reason="BACKOFF",
                error_type="Busy",
                error_message="429 of the provider",
            )
        ),
        [
            Obstacle(
                Kind.BACKOFF,
                "waits 59 s before attempt 2, after attempt 1 failed: Busy: 429 of the provider",
                until=NOW + 60 * SECOND,
            )
        ],
    ),
    (
        facts(task(state=SCHEDULED, run_at=NOW + MINUTE, attempt=1, reason="BACKOFF")),
        [
            Obstacle(
                Kind.BACKOFF,
                "waits 59 s before attempt 2, after attempt 1 failed",
                until=NOW + 60 * SECOND,
            )
        ],
    ),
    (
        facts(task(), holds=[hold(HoldKind.NAMESPACE, "")]),
        [
            Obstacle(
                Kind.FROZEN,
                "namespace default is frozen by ann: too many 500s; thaw it",
                actor="ann",
            )
        ],
    ),
    (
        facts(task(), queue=PAUSED._replace(pause_note="deploy")),
        [Obstacle(Kind.QUEUE_PAUSED, "queue red is paused: deploy; resume it")],
    ),
    (facts(task(), queue=PAUSED), [Obstacle(Kind.QUEUE_PAUSED, "queue red is paused; resume it")]),
    (
        facts(task(), holds=[hold(HoldKind.TASK_NAME, "work")]),
        [
            Obstacle(
                Kind.NAME_PAUSED,
                "task name work is paused by ann: too many 500s; release it",
                actor="ann",
            )
        ],
    ),
    (
        facts(task(), holds=[hold(HoldKind.TASK_NAME, "work", quarantined=1)]),
        [
            Obstacle(
                Kind.NAME_QUARANTINED,
                "task name work is in quarantine: too many 500s; release it",
                actor="ann",
            )
        ],
    ),
    (
        facts(
            task(),
            limits=QueueLimits(concurrency=Concurrency(2000)),
            in_queue=Runners(2000, tuple(range(1, 30))),
        ),
        [
            Obstacle(
                Kind.QUEUE_CONCURRENCY,
                "queue red may run 2,000 at once and 2,000 run",
                task_ids=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
            )
        ],
    ),
    (
        facts(task(), limits=QueueLimits(Concurrency(1)), in_queue=Runners(1, (5,))),
        [Obstacle(Kind.QUEUE_CONCURRENCY, "queue red may run 1 at once and 1 runs", task_ids=(5,))],
    ),
    (
        facts(
            KEYED, limits=QueueLimits(concurrency_per_key=Concurrency(1)), of_key=Runners(1, (3,))
        ),
        [
            Obstacle(
                Kind.KEY_CONCURRENCY,
                "group key 'acme' in queue red may run 1 at once and 1 runs",
                task_ids=(3,),
            )
        ],
    ),
    (
        facts(task(), limits=QueueLimits(rate=SLOW), meter=Meter(NOW + MINUTE)),
        [
            Obstacle(
                Kind.QUEUE_RATE,
                "queue red may start 1 unit in 1 min; there is enough for this task in 59 s",
                until=NOW + 60 * SECOND,
            )
        ],
    ),
    (
        facts(KEYED, limits=QueueLimits(rate_per_key=SLOW), key_meter=Meter(NOW + MINUTE)),
        [
            Obstacle(
                Kind.KEY_RATE,
                "group key 'acme' in queue red may start 1 unit in 1 min; there is enough for this task in 59 s",
                until=NOW + 60 * SECOND,
            )
        ],
    ),
    (
        facts(task(), key_meter=Meter(0, NOW + 5 * SECOND)),
        [
            Obstacle(
                Kind.BACK_OFF,
                "an agent asked for a rest of 4 s more, for its provider's sake",
                until=NOW + 5 * SECOND,
            )
        ],
    ),
    (
        facts(task(), queue=PAUSED._replace(paused=0, back_off_until=NOW + 9 * SECOND)),
        [
            Obstacle(
                Kind.BACK_OFF,
                "an agent asked for a rest of 8 s more, for its provider's sake",
                until=NOW + 9 * SECOND,
            )
        ],
    ),
    (
        facts(task(), handler(state=AgentState.LOST)),
        [Obstacle(Kind.NO_AGENT_FOR_QUEUE, "no agent in contact takes from queue red; start one")],
    ),
    (
        facts(
            task(),
            handler("b1", queues=("blue",)),
            pools=(
                pool("reds", detail="2 crashes in a row, the last: exit 2"),
                pool("more", instances=1),
                pool("idle"),
                pool("blues", queue="blue", detail="else"),
            ),
        ),
        [
            Obstacle(
                Kind.NO_AGENT_FOR_QUEUE,
                "no agent in contact takes from queue red; "
                "pool reds: 2 crashes in a row, the last: exit 2; "
                "pool more has 1 instance that did not call yet; pool idle starts agents for it",
                agent_ids=("b1",),
            )
        ],
    ),
    (
        facts(task(), handler("b1", queues=("blue",)), handler("b2", queues=("blue",))),
        [
            Obstacle(
                Kind.NO_AGENT_FOR_QUEUE,
                "no agent in contact takes from queue red; 2 agents take from others",
                agent_ids=("b1", "b2"),
            )
        ],
    ),
    (
        facts(task(), handler("a1", frozenset({"x", "y"})), handler("a2", frozenset({"z"}))),
        [
            Obstacle(
                Kind.NO_AGENT_FOR_NAME,
                "no agent of queue red handles work; they handle x, y, z",
                agent_ids=("a1", "a2"),
            )
        ],
    ),
    (
        facts(NEEDY, handler("far"), handler("near", gpu="a100", zone="us")),
        [
            Obstacle(
                Kind.NO_AGENT_WITH_LABELS,
                "no agent that handles work has the labels gpu=a100, zone=eu",
                agent_ids=("near",),
            )
        ],
    ),
    (
        facts(CHOOSY, handler("near", gpu="a100", zone="us")),
        [
            Obstacle(
                Kind.PREFERRED_AGENT,
                "prefers an agent with gpu=a100, zone=eu and waits for it for 3 s more",
                until=NOW + 4 * SECOND,
            )
        ],
    ),
    (
        facts(FAITHFUL),
        [
            Obstacle(
                Kind.PREFERRED_AGENT,
                "prefers agent a9 and waits for it for 3 s more",
                until=NOW + 4 * SECOND,
                agent_ids=("a9",),
            )
        ],
    ),
    (
        facts(FAITHFUL._replace(wake_at=None)),
        [Obstacle(Kind.PREFERRED_AGENT, "prefers agent a9 and waits for it", agent_ids=("a9",))],
    ),
    (
        facts(task(), handler(state=AgentState.DRAINING)),
        [
            Obstacle(
                Kind.AGENTS_HELD,
                "the agents that could take it (1) are given nothing: 1 draining",
                agent_ids=("a1",),
            )
        ],
    ),
    (
        facts(task(), handler(), holds=[hold(HoldKind.AGENT, "a1", quarantined=1)]),
        [
            Obstacle(
                Kind.AGENTS_HELD,
                "the agents that could take it (1) are in quarantine: too many 500s; release a1",
                actor="ann",
                agent_ids=("a1",),
            )
        ],
    ),
    (
        facts(
            task(),
            handler("a1"),
            handler("a2"),
            holds=[hold(HoldKind.AGENT_VERSION, "worker@1.2")],
        ),
        [
            Obstacle(
                Kind.AGENTS_HELD,
                "the agents that could take it (2) are held by ann: too many 500s; release worker@1.2",
                actor="ann",
                agent_ids=("a1", "a2"),
            )
        ],
    ),
    (
        facts(
            task(),
            handler("a1", state=AgentState.DRAINING),
            handler("a2"),
            handler("a3"),
            holds=[hold(HoldKind.AGENT, "a2"), hold(HoldKind.AGENT, "a3", quarantined=1)],
        ),
        [
            Obstacle(
                Kind.AGENTS_HELD,
                "the agents that could take it (3) are given nothing: 1 draining, 1 held, 1 in quarantine",
                agent_ids=("a1", "a2", "a3"),
            )
        ],
    ),
    (
        facts(task(), handler("a1", running=2), handler("a2", running=2)),
        [
            Obstacle(
                Kind.AGENTS_BUSY,
                "the agents that could take it are busy: 2 agents, 4 slots",
                agent_ids=("a1", "a2"),
            )
        ],
    ),
    (
        facts(task(), handler(running=2), ahead=Ahead(9), pace=2.0),
        [
            Obstacle(
                Kind.AGENTS_BUSY,
                "the agents that could take it are busy: 1 agent, 2 slots",
                agent_ids=("a1",),
            ),
            Obstacle(
                Kind.POSITION,
                "9 tasks of queue red come before it, or in turn with it",
                until=NOW + 6 * SECOND,
            ),
        ],
    ),
    (
        facts(task(), ahead=Ahead(10_000, minimum=True), pace=1.0),
        [
            Obstacle(
                Kind.POSITION,
                "at least 10,000 tasks of queue red come before it, or in turn with it",
            )
        ],
    ),
    (
        facts(task(), ahead=Ahead(1)),
        [Obstacle(Kind.POSITION, "1 task of queue red comes before it, or in turn with it")],
    ),
    (facts(task(state=RUNNING, attempt=1)), []),
    (
        facts(task(state=RUNNING, attempt=1, pause=encode(Pause(NOW, "ann", "lunch")))),
        [
            Obstacle(
                Kind.TASK_PAUSED,
                "attempt 1 was asked to stand still: paused by ann: lunch; resume it",
                actor="ann",
            )
        ],
    ),
    (
        facts(task(state=RUNNING, attempt=1, pause=encode(Pause(NOW, "ann", "", NOW, NOW)))),
        [
            Obstacle(
                Kind.TASK_PAUSED, "attempt 1 stands still: paused by ann; resume it", actor="ann"
            )
        ],
    ),
]


@pytest.mark.parametrize(("known", "expected"), CASES)
def test_obstacles_in_full(known: Facts, expected: list[Obstacle]) -> None:
    assert obstacles(known) == expected
