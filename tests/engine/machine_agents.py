"""The rules of the state machine for what agents do: claim, report, and speak under leases that they may not have."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.model import Failure, Payload, Progress, Task
from quarterdeck_server.engine.states import ENDED, RUNNING, AgentState

from . import make
from .checker import LABELS
from .machine_base import QUEUES, Machine, claim_of, leases
from .make import SECOND

PROFILES = (
    make.DEFAULT,
    c.Profile("default", QUEUES, None),
    c.Profile("default", QUEUES, None),
    c.Profile("default", QUEUES, frozenset({"a"})),
    c.Profile("default", ("default",), None, c.Batch(2, 5 * SECOND)),
    c.Profile("default", QUEUES, frozenset({"a", "late"}), c.Batch(3, 0)),
)
BAD = Failure("Busy", "the provider has enough", "", False)
OUTCOMES = st.sampled_from(
    [
        make.succeed(),
        make.succeed(b"result"),
        make.fail(),
        make.fail("Fatal"),
        make.fail(final=True),
        make.fail(retry_delay=0),
        c.Fail(BAD, back_off=2 * SECOND),
        c.Fail(BAD, retry_delay=0, back_off=4 * SECOND, key_only=True),
        c.StopCancelled(""),
        c.Release(""),
    ]
)
AGENTS = st.sampled_from(sorted(LABELS))


class Agents(Machine):
    """What agents do."""

    @rule(
        target=leases,
        wants=st.lists(
            st.tuples(AGENTS, st.sampled_from(PROFILES), st.integers(1, 6)), min_size=1, max_size=3
        ),
    )
    def claim(self, wants: list[tuple[str, c.Profile, int]]) -> Any:
        """Let claims wait; the checker says whether each was given what it should."""
        claims = [claim_of(*want, place) for place, want in enumerate(wants)]
        agents = dict.fromkeys(agent_id for agent_id, _, _ in wants)
        self.run([c.PutAgents([make.agent(agent_id) for agent_id in agents])], claims)
        taken = [task for one in claims for task in one.taken]
        return multiple(*((task.id, task.lease_token or 0) for task in taken))

    @rule(lease=leases, outcome=OUTCOMES, now=st.booleans())
    def report(self, lease: tuple[int, int], outcome: Any, now: bool) -> None:
        """Report an attempt: the running one, or one that ended long ago."""
        command = make.report(*lease, outcome)
        if not now:
            self.group.append(command)
            return
        if self.group:
            self.run([])
        before = self.checker.tasks.get(lease[0])
        ((result,),) = self.run([command]).replies
        self.check_report(lease[1], before, result)

    @rule(
        target=leases,
        place=st.integers(0, 9),
        outcome=OUTCOMES,
        want=st.tuples(AGENTS, st.sampled_from(PROFILES[:4]), st.integers(1, 6)),
    )
    def report_while_a_claim_waits(
        self, place: int, outcome: Any, want: tuple[str, c.Profile, int]
    ) -> Any:
        """End an attempt that runs; what that makes room for, or closes, is seen by a claim at once."""
        running = [task for task in self.checker.tasks.values() if task.state == RUNNING]
        if not running:
            return multiple()
        task = running[place % len(running)]
        claim = claim_of(*want, 0)
        report = make.report(task.id, task.lease_token, outcome)
        self.run([c.PutAgents([make.agent(want[0])]), report], [claim])
        return multiple(*((task.id, task.lease_token or 0) for task in claim.taken))

    def check_report(self, token: int, before: Task | None, result: c.ItemResult) -> None:
        """A report is accepted with the lease, and without it changes nothing but a counter."""
        if before is None:
            assert result.refusal is not None and result.refusal.reason == "TASK_NOT_FOUND"
            return
        after = self.checker.tasks[before.id]
        if before.lease_token == token:
            assert result.refusal is None and after.state == result.state != RUNNING
            assert before.cancel is None or after.state in ENDED
        else:
            same = before._replace(late_reports=after.late_reports, revision=after.revision)
            assert after == same, "a stale report changes nothing"
            late = after.late_reports > before.late_reports
            assert (result.refusal is not None) or not late

    @rule(lease=leases, delivered=st.booleans(), done=st.floats(0, 1))
    def beat(self, lease: tuple[int, int], delivered: bool, done: float) -> None:
        """Say that an attempt goes on, and perhaps that it heard of its cancel."""
        progress = Progress("on it", done, 1.0, self.now)
        self.group.append(
            c.RecordBeats(
                [c.Beat(*lease, progress, delivered=delivered, acknowledged=not delivered)]
            )
        )

    @rule(lease=leases, data=st.sampled_from([b"", b"x", b"y" * 20_000]), late=st.booleans())
    def save(self, lease: tuple[int, int], data: bytes, late: bool) -> None:
        """Save details, or come too late."""
        details = None if late else Payload("t", data)
        self.group.append(c.RecordBeats([c.Beat(*lease, details=details, late=late)]))

    @rule(lease=leases, told=st.booleans(), stands=st.booleans())
    def stand_still(self, lease: tuple[int, int], told: bool, stands: bool) -> None:
        """Say that a pause was heard of, and perhaps that the handler stands still."""
        beat = c.Beat(*lease, pause_delivered=told, pause_acknowledged=stands)
        self.group.append(c.RecordBeats([beat]))

    @rule(lease=leases, offset=st.integers(0, 3))
    def append_logs(self, lease: tuple[int, int], offset: int) -> None:
        """Send lines, some of them again."""
        lines = [c.Line(None, "info", "log", str(offset + i)) for i in range(2)]
        self.group.append(c.AppendLogs("default", [c.LogItem(*lease, offset, lines)]))

    @rule(lease=leases)
    def lose(self, lease: tuple[int, int]) -> None:
        """Nobody renewed a lease."""
        self.group.append(c.Expire([lease]))

    @rule(agent_id=AGENTS, state=st.sampled_from(list(AgentState)))
    def agent(self, agent_id: str, state: AgentState) -> None:
        """An agent comes, or its state changes."""
        self.group.append(c.PutAgents([make.agent(agent_id)]))
        self.group.append(c.SetAgentState("default", [agent_id], int(state)))
