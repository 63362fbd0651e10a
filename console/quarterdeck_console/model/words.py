"""States as words, glyphs and tones. A tone says what a colour means, not which colour it is."""

from __future__ import annotations

from enum import StrEnum

from quarterdeck.v1 import agent_pb2, pool_pb2, task_pb2


class Tone(StrEnum):
    """What a piece of text means to the eye; the theme gives each a colour."""

    PLAIN = "plain"
    DIM = "dim"
    STRONG = "strong"
    ACCENT = "accent"
    OK = "ok"
    RUN = "run"
    WARN = "warn"
    BAD = "bad"


BLOCKED = int(task_pb2.TASK_STATE_BLOCKED)
SCHEDULED = int(task_pb2.TASK_STATE_SCHEDULED)
READY = int(task_pb2.TASK_STATE_READY)
RUNNING = int(task_pb2.TASK_STATE_RUNNING)
WAITING = int(task_pb2.TASK_STATE_WAITING)
SUCCEEDED = int(task_pb2.TASK_STATE_SUCCEEDED)
FAILED = int(task_pb2.TASK_STATE_FAILED)
CANCELLED = int(task_pb2.TASK_STATE_CANCELLED)
EXPIRED = int(task_pb2.TASK_STATE_EXPIRED)

TERMINAL = frozenset({SUCCEEDED, FAILED, CANCELLED, EXPIRED})

TASK_STATES: dict[int, tuple[str, str, Tone]] = {
    BLOCKED: ("◌", "blocked", Tone.DIM),
    SCHEDULED: ("◔", "scheduled", Tone.PLAIN),
    READY: ("○", "ready", Tone.PLAIN),
    RUNNING: ("●", "running", Tone.RUN),
    WAITING: ("◍", "waiting", Tone.WARN),
    SUCCEEDED: ("✓", "succeeded", Tone.OK),
    FAILED: ("✗", "failed", Tone.BAD),
    CANCELLED: ("⊘", "cancelled", Tone.DIM),
    EXPIRED: ("⊗", "expired", Tone.WARN),
}

ACTIVE = int(agent_pb2.AGENT_STATE_ACTIVE)
DRAINING = int(agent_pb2.AGENT_STATE_DRAINING)
LOST = int(agent_pb2.AGENT_STATE_LOST)
GONE = int(agent_pb2.AGENT_STATE_GONE)

AGENT_STATES: dict[int, tuple[str, str, Tone]] = {
    ACTIVE: ("●", "active", Tone.OK),
    DRAINING: ("◐", "draining", Tone.WARN),
    LOST: ("✗", "lost", Tone.BAD),
    GONE: ("·", "gone", Tone.DIM),
}

STARTING = int(pool_pb2.INSTANCE_STATE_STARTING)
STOPPED = int(pool_pb2.INSTANCE_STATE_STOPPED)

INSTANCE_STATES: dict[int, tuple[str, str, Tone]] = {
    STARTING: ("◔", "starting", Tone.PLAIN),
    int(pool_pb2.INSTANCE_STATE_RUNNING): ("●", "running", Tone.OK),
    int(pool_pb2.INSTANCE_STATE_STOPPING): ("◐", "stopping", Tone.WARN),
    STOPPED: ("·", "stopped", Tone.DIM),
}

OUTCOMES: dict[int, tuple[str, str, Tone]] = {
    0: ("●", "running", Tone.RUN),
    int(task_pb2.ATTEMPT_OUTCOME_SUCCEEDED): ("✓", "succeeded", Tone.OK),
    int(task_pb2.ATTEMPT_OUTCOME_FAILED): ("✗", "failed", Tone.BAD),
    int(task_pb2.ATTEMPT_OUTCOME_CANCELLED): ("⊘", "cancelled", Tone.DIM),
    int(task_pb2.ATTEMPT_OUTCOME_RELEASED): ("↺", "released", Tone.PLAIN),
    int(task_pb2.ATTEMPT_OUTCOME_LOST): ("!", "lost", Tone.BAD),
    int(task_pb2.ATTEMPT_OUTCOME_REVOKED): ("⊗", "revoked", Tone.WARN),
}


def unknown(number: int) -> tuple[str, str, Tone]:
    """How a state reads that this console is too old to know."""
    return ("?", f"state {number}", Tone.WARN)
