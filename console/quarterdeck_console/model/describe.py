"""Resources in words: what the inspector and the detail view say."""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck._words import counted
from quarterdeck_console.model import words
from quarterdeck_console.model.columns import Cell, Context
from quarterdeck_console.model.detail import AttemptRow, LogBuffer, LogRow, PayloadText, TaskDetail
from quarterdeck_console.model.flowfacts import flow_facts, limit_lines, pause_lines
from quarterdeck_console.model.format import (
    age,
    bar,
    clock,
    clock_millis,
    count,
    duration,
    instant,
    size,
    soon,
    there,
    zoned,
)
from quarterdeck_console.model.lines import (
    BLANK,
    Line,
    fact,
    heading,
    join,
    labels,
    line,
    paragraph,
    wrapped_fact,
)
from quarterdeck_console.model.parts import CancelRow
from quarterdeck_console.model.rows import AgentRow, QueueRow, ScheduleRow, TaskRow
from quarterdeck_console.model.tables import NOTHING, note, short_id, time_in_state
from quarterdeck_console.model.words import Tone

LEVELS = {"debug": Tone.DIM, "info": Tone.PLAIN, "warning": Tone.WARN, "error": Tone.BAD}


def state_cell(task: TaskRow) -> Cell:
    """Glyph, word and reason of a task's state."""
    glyph, word, tone = task.state_words()
    reason = f" ({task.reason.lower().replace('_', ' ')})" if task.reason else ""
    dead = " (dead-letter list)" if task.state == words.FAILED and not reason else ""
    return Cell(f"{glyph} {word}{reason}{dead}", tone)


def task_facts(task: TaskRow, context: Context, cells: int) -> list[Line]:
    """Where a task stands, in a few lines."""
    now = context.now
    lines = [
        fact("name", Cell(task.name, Tone.STRONG)),
        fact("id", Cell(task.id, Tone.DIM)),
        fact("state", state_cell(task), *_time(task, now)),
        fact("queue", Cell(task.queue), Cell(f"   priority {task.priority}", Tone.DIM)),
        fact("attempt", Cell(f"{task.attempt} of {task.max_attempts}"), _crashes(task)),
        fact(
            "created",
            Cell(soon(task.created, now)),
            Cell(f"   {age(now - task.created)} ago", Tone.DIM),
        ),
    ]
    if task.agent_id:
        version = Cell(context.fleet.version_of(task.agent_id), Tone.DIM)
        lines.append(fact("agent", Cell(context.fleet.agent_label(task.agent_id)), version))
    if task.deadline and task.state == words.RUNNING:
        lines.append(fact("deadline", Cell(f"in {duration(task.deadline - now)}", Tone.WARN)))
    if task.parent_id:
        lines.append(fact("parent", Cell(short_id(task.parent_id)), Cell("   J jumps", Tone.DIM)))
    if task.schedule_id:
        lines.append(fact("schedule", Cell(task.schedule_id)))
    if task.late_reports:
        lines.append(
            fact("late", Cell(f"{counted(task.late_reports, 'report')} refused", Tone.WARN))
        )
    lines += flow_facts(task, context, cells)
    return lines + labels(task.labels, cells) + progress_lines(task, cells)


def _time(task: TaskRow, now: float) -> Line:
    spent = time_in_state(task, now)
    if task.state == words.BLOCKED:
        return (Cell("  "), note(task))
    return (Cell("  "), spent) if spent != NOTHING else ()


def _crashes(task: TaskRow) -> Cell:
    return (
        Cell(f"   {counted(task.crashes, 'crash', 'crashes')}", Tone.BAD)
        if task.crashes
        else Cell("")
    )


def progress_lines(task: TaskRow, cells: int) -> list[Line]:
    """How far a running task says it is."""
    if task.state != words.RUNNING or (task.progress_share < 0 and not task.progress):
        return []
    if task.progress_share < 0:
        return wrapped_fact("progress", task.progress, cells)
    share = task.progress_share
    drawn = fact("progress", Cell(bar(share, 1.0, 20), Tone.RUN), Cell(f" {share:4.0%}"))
    return [drawn, *(wrapped_fact("", task.progress, cells, Tone.DIM) if task.progress else [])]


def failure_lines(detail: TaskDetail, cells: int, *, trace: bool) -> list[Line]:
    """The newest failure."""
    failure = detail.failure()
    if failure is None:
        return []
    lines = [heading("error", cells)]
    kind = f"{failure.type}: " if failure.type else ""
    lines += paragraph(f"{kind}{failure.message}", cells, Tone.BAD, most=40 if trace else 6)
    if failure.final:
        lines.append(line("another attempt cannot help", Tone.DIM))
    if trace and failure.trace:
        lines += [BLANK, *paragraph(failure.trace, cells, Tone.DIM, most=2_000)]
    return lines


def attempt_lines(attempts: Sequence[AttemptRow], context: Context, cells: int) -> list[Line]:
    """Attempts, the newest first."""
    if not attempts:
        return []
    lines = [heading("attempts", cells)]
    for attempt in reversed(attempts):
        glyph, word, tone = words.OUTCOMES.get(attempt.outcome) or words.unknown(attempt.outcome)
        took = (attempt.ended or context.now) - attempt.started
        why = attempt.failure.type if attempt.failure is not None else ""
        late = f"  {counted(attempt.late_reports, 'late report')}" if attempt.late_reports else ""
        if attempt.late_heartbeats:
            late += f"  {counted(attempt.late_heartbeats, 'late heartbeat')}"
        lines.append(
            (
                Cell(f"#{attempt.number:<3}", Tone.DIM),
                Cell(f"{glyph} {word:<10}", tone),
                Cell(f"{duration(took):>6}  ", Tone.PLAIN),
                Cell(context.fleet.agent_label(attempt.agent_id), Tone.DIM),
                Cell(f"  {why}{late}", Tone.BAD if why else Tone.WARN),
            )
        )
    return lines


def payload_lines(title: str, payload: PayloadText | None, cells: int, most: int) -> list[Line]:
    """A payload for reading."""
    if payload is None or not payload.bytes:
        return []
    lines = [heading(f"{title}  {payload.content_type}, {size(payload.bytes)}", cells)]
    return lines + paragraph(payload.text, cells, Tone.PLAIN, most)


def cancel_lines(cancel: CancelRow | None, now: float, cells: int) -> list[Line]:
    """A cancel's proof: each step with its instant, and what it waits for."""
    if cancel is None:
        return []
    lines = [heading("cancel", cells)]
    if cancel.reason or cancel.actor:
        lines += wrapped_fact("by", f"{cancel.actor or '?'}: {cancel.reason or 'no reason'}", cells)
    steps = (
        ("requested", cancel.requested),
        ("delivered", cancel.delivered),
        ("acknowledged", cancel.acknowledged),
        ("stopped", cancel.stopped),
    )
    waiting = not cancel.stopped and not cancel.escalated
    for name, at in steps:
        if at:
            took = f"  +{duration(at - cancel.requested)}" if name != "requested" else ""
            lines.append(
                (Cell(" ✓ ", Tone.OK), Cell(f"{name:<13}"), Cell(clock_millis(at) + took, Tone.DIM))
            )
        elif waiting:
            lines.append(
                (Cell(" ○ ", Tone.DIM), Cell(f"{name:<13}", Tone.DIM), Cell("not yet", Tone.DIM))
            )
    if cancel.escalated:
        took = duration(cancel.escalated - cancel.requested)
        when = f"{clock_millis(cancel.escalated)}  +{took}: the grace was over, lease revoked"
        lines.append((Cell(" ! ", Tone.BAD), Cell(f"{'escalated':<13}"), Cell(when, Tone.BAD)))
    elif waiting:
        lines.append(line(f"   under way for {duration(now - cancel.requested)}", Tone.WARN))
    return lines


def log_line(entry: LogRow, *, times: bool = True) -> Line:
    """One line of a log."""
    tone = LEVELS.get(entry.level, Tone.PLAIN)
    pieces = [Cell(f"{clock_millis(entry.time)} ", Tone.DIM)] if times else []
    mark = {"warning": "WARN ", "error": "ERROR"}.get(entry.level, f"{entry.level[:5].upper():<5}")
    pieces.append(Cell(f"{mark} ", tone if tone is not Tone.PLAIN else Tone.DIM))
    if entry.stream == "stderr":
        pieces.append(Cell("! ", Tone.WARN))
    pieces.append(Cell(entry.text, tone))
    return tuple(pieces)


def describe_task(
    task: TaskRow,
    detail: TaskDetail | None,
    logs: LogBuffer | None,
    context: Context,
    cells: int,
) -> list[Line]:
    """What the inspector says of a task."""
    groups = [
        task_facts(task, context, cells),
        cancel_lines(task.cancel, context.now, cells),
        pause_lines(task.pause, context.now, cells),
    ]
    if detail is None:
        if task.failure is not None:
            text = f"{task.failure.type}: {task.failure.message}"
            groups.append([heading("error", cells), *paragraph(text, cells, Tone.BAD, 6)])
        return join(groups)
    groups.append(failure_lines(detail, cells, trace=False))
    groups.append(attempt_lines(detail.attempts[-6:], context, cells))
    if logs is not None and logs.lines:
        tail = [log_line(entry, times=False) for entry in logs.lines]
        groups.append([heading("last log lines", cells), *tail])
    groups.append(payload_lines("result", detail.result, cells, 8))
    groups.append(payload_lines("input", detail.input, cells, 8))
    return join(groups)


def describe_agent(
    agent: AgentRow, tasks: Sequence[TaskRow], context: Context, cells: int
) -> list[Line]:
    """What the inspector says of an agent."""
    glyph, word, tone = agent.state_words()
    hold = context.fleet.hold_of(agent)
    facts = [
        fact("name", Cell(agent.name or agent.id, Tone.STRONG)),
        *wrapped_fact("id", agent.id, cells, Tone.DIM),
        fact("state", Cell(f"{glyph} {word}", tone)),
        fact(
            "slots",
            Cell(bar(agent.running, agent.slots, 16), Tone.RUN),
            Cell(f" {agent.running} of {agent.slots}"),
        ),
        fact(
            "heard of",
            Cell(f"{age(context.now - agent.contact)} ago"),
            Cell(f"   up {age(context.now - agent.created)}", Tone.DIM),
        ),
        *wrapped_fact("queues", ", ".join(agent.queues), cells),
        fact("host", Cell(f"{agent.hostname}   pid {agent.pid}")),
        fact("version", Cell(agent.version or "-")),
    ]
    if hold is not None:
        said = f"{hold.how} by {hold.actor}: {hold.reason or 'no reason'}   H releases"
        facts += wrapped_fact("hold", said, cells, Tone.WARN)
    if agent.pool:
        facts.append(fact("pool", Cell(agent.pool), Cell(f"   {agent.instance_id}", Tone.DIM)))
    running = [heading("running", cells)] if tasks else []
    running += [
        (
            Cell(f"{short_id(task.id)[-8:]}  ", Tone.DIM),
            Cell(f"{task.name}  "),
            Cell(duration(context.now - task.started), Tone.RUN),
        )
        for task in tasks
    ]
    return join([facts + labels(agent.labels, cells), running])


def describe_queue(queue: QueueRow, context: Context, cells: int) -> list[Line]:
    """What the inspector says of a queue."""
    facts = [fact("name", Cell(queue.id, Tone.STRONG)), *_open(queue, context, cells)]
    if queue.pause_note:
        facts += wrapped_fact("note", queue.pause_note, cells, Tone.WARN)
    facts.append(fact("created", Cell(instant(queue.created), Tone.DIM)))
    most = max(queue.counts.values(), default=0)
    states = [heading("tasks", cells)]
    for state, (glyph, word, tone) in words.TASK_STATES.items():
        number = queue.counts.get(state, 0)
        if number:
            room = max(4, cells - 26)
            states.append(
                (
                    Cell(f"{glyph} {word:<11}", tone),
                    Cell(f"{count(number):>10} "),
                    Cell(bar(number, most, room), tone),
                )
            )
    names = [heading("by name", cells)] if queue.names else []
    for name, counts in queue.names[:20]:
        parts = [Cell(f"{name[:24]:<24} ")]
        for state in (words.READY, words.RUNNING, words.SUCCEEDED, words.FAILED):
            glyph, _, tone = words.TASK_STATES[state]
            number = counts.get(state, 0)
            parts.append(Cell(f" {glyph}{count(number):>6}", tone if number else Tone.DIM))
        names.append(tuple(parts))
    agents = [agent for agent in context.fleet.agents if queue.id in agent.queues]
    held = context.fleet.taking(queue.id).held
    title = "agents that take from it" + f", {count(held)} of them held" * bool(held)
    takers = [heading(title, cells)] if agents else []
    for agent in agents[:12]:
        glyph, word, tone = context.fleet.state_words(agent)
        takers.append(
            (
                Cell(f"{glyph} {word:<9}", tone),
                Cell(f"{agent.running}/{agent.slots}  "),
                Cell(context.fleet.agent_label(agent.id)),
            )
        )
    limits = limit_lines(queue, context.now, cells)
    return join([facts, limits, states if len(states) > 1 else [], names, takers])


def _open(queue: QueueRow, context: Context, cells: int) -> list[Line]:
    freeze = context.fleet.freeze
    drops = ", what arrives is dropped" if queue.drops else ""
    lines = [fact("state", Cell(f"‖ paused{drops}", Tone.WARN))] if queue.paused else []
    if freeze is not None:
        said = f"✻ frozen by {freeze.actor or '?'}: {freeze.reason or 'no reason'}"
        return [*wrapped_fact("state", said, cells, Tone.BAD), *lines]
    return lines or [fact("state", Cell("● active", Tone.OK))]


def describe_schedule(
    schedule: ScheduleRow, times: Sequence[float], context: Context, cells: int
) -> list[Line]:
    """What the inspector says of a schedule."""
    now = context.now
    facts = [
        fact("name", Cell(schedule.id, Tone.STRONG)),
        fact("rule", Cell(schedule.rule), Cell(f"   {schedule.zone}", Tone.DIM)),
        fact("task", Cell(schedule.task_name), Cell(f"   queue {schedule.queue}", Tone.DIM)),
        fact("fired", Cell(counted(schedule.fired, "time"))),
        fact(
            "last",
            Cell(zoned(schedule.last)),
            Cell(f"   {short_id(schedule.last_task_id)}", Tone.DIM),
        ),
    ]
    if schedule.paused:
        facts.append(fact("paused", Cell(schedule.pause_note or "yes", Tone.WARN)))
    runs = [heading("next runs", cells)] if times else []
    for at in times:
        local = there(at, schedule.zone) if schedule.zone else ""
        left = Cell(f"in {duration(at - now):<6}", Tone.DIM)
        runs.append((Cell(f"{zoned(at)}  "), left, Cell(f" {local}", Tone.DIM)))
    return join([facts, runs])


def timeline(detail: TaskDetail, now: float, cells: int) -> list[Line]:
    """Waiting and attempts as bars over the task's life so far."""
    task = detail.task
    start = task.created
    end = max([task.ended or now, *(a.ended or now for a in detail.attempts)])
    room = max(10, cells - 32)
    whole = max(end - start, 0.001)

    def place(since: float, until: float, mark: str) -> tuple[str, str, str]:
        return _place((since - start) / whole, (until - start) / whole, mark, room)

    lines: list[Line] = [
        heading(f"timeline  {clock(start)} to {clock(end)}, {duration(whole)}", cells)
    ]
    before = start
    for attempt in detail.attempts:
        waited = attempt.started - before
        if waited > whole / room / 2 or attempt.number == 1:
            drawn = place(before, attempt.started, "·")
            lines.append(_bar_line("waited", drawn, Tone.DIM, waited, ""))
        glyph, word, tone = words.OUTCOMES.get(attempt.outcome) or words.unknown(attempt.outcome)
        until = attempt.ended or now
        drawn = place(attempt.started, until, "━")
        took = until - attempt.started
        lines.append(_bar_line(f"attempt {attempt.number}", drawn, tone, took, f"{glyph} {word}"))
        before = until
    if not task.terminal and task.state != words.RUNNING:
        drawn = place(before, now, "·")
        lines.append(_bar_line(task.state_words()[1], drawn, Tone.DIM, now - before, ""))
    return lines


def _place(since: float, until: float, mark: str, room: int) -> tuple[str, str, str]:
    """A bar between two shares of the room, and the blanks around it."""
    # Clamped: an instant may be unset, or of another clock.
    left = max(0, min(room - 1, int(since * room)))
    long = max(1, min(room - left, round((until - since) * room)))
    return " " * left, mark * long, " " * (room - left - long)


def _bar_line(title: str, drawn: tuple[str, str, str], tone: Tone, took: float, end: str) -> Line:
    before, piece, after = drawn
    return (
        Cell(f"{title:<12}", Tone.PLAIN if end else Tone.DIM),
        Cell(before),
        Cell(piece, tone),
        Cell(after),
        Cell(f" {duration(took):>6} ", Tone.DIM),
        Cell(f"{end:<12}", tone),
    )
