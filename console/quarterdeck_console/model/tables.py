"""The columns of every table."""

from __future__ import annotations

from dataclasses import replace

from quarterdeck._words import counted
from quarterdeck_console.model import words
from quarterdeck_console.model.columns import Cell, Column, Context
from quarterdeck_console.model.format import age, bar, duration, short_count, soon_zoned
from quarterdeck_console.model.rows import (
    AgentRow,
    ScheduleRow,
    TaskRow,
)
from quarterdeck_console.model.words import Tone

NOTHING = Cell("-", Tone.DIM)


def short_id(task_id: str) -> str:
    """The part of a task's id that differs between tasks of one day."""
    return task_id.removeprefix("task_")


def _id(task: TaskRow, _: Context) -> Cell:
    return Cell(short_id(task.id)[-8:], Tone.DIM)


def _state(task: TaskRow, _: Context) -> Cell:
    glyph, word, tone = task.state_words()
    return Cell(f"{glyph} {word}", tone)


def _attempt(task: TaskRow, _: Context) -> Cell:
    if not task.attempt:
        return NOTHING
    worn = task.attempt > 1 and task.state != words.SUCCEEDED
    return Cell(f"{task.attempt}/{task.max_attempts}", Tone.WARN if worn else Tone.PLAIN)


def _agent(task: TaskRow, context: Context) -> Cell:
    if not task.agent_id:
        return NOTHING
    tone = Tone.PLAIN if task.state == words.RUNNING else Tone.DIM
    return Cell(context.fleet.agent_label(task.agent_id), tone)


def time_in_state(task: TaskRow, now: float) -> Cell:
    """How long it has run, waits, or took; or how soon it is due."""
    if task.state == words.RUNNING:
        return Cell(duration(now - task.started) if task.started else "-", Tone.RUN)
    if task.state == words.SCHEDULED and task.run_at:
        return Cell(f"in {age(task.run_at - now)}", Tone.PLAIN)
    if task.terminal:
        if not task.started or not task.ended:
            return NOTHING
        return Cell(duration(task.ended - task.started), Tone.DIM)
    if task.state == words.READY:
        return Cell(duration(now - max(task.run_at, task.created)), Tone.PLAIN)
    return NOTHING


def _time(task: TaskRow, context: Context) -> Cell:
    return time_in_state(task, context.now)


def _age(task: TaskRow, context: Context) -> Cell:
    return Cell(age(context.now - task.created), Tone.DIM)


def _priority(task: TaskRow, _: Context) -> Cell:
    return Cell(str(task.priority), Tone.DIM if task.priority == 5 else Tone.PLAIN)


def note(task: TaskRow) -> Cell:
    """What is worth a glance: why it failed, why it waits, how far it is."""
    if task.cancel is not None and not task.terminal:
        return Cell(f"cancel: {task.cancel.reason or 'requested'}", Tone.WARN)
    if task.failure is not None and task.state != words.SUCCEEDED:
        text = f"{task.failure.type}: {task.failure.message}".replace("\n", " ").strip(": ")
        if task.state == words.RUNNING and task.progress:
            return Cell(task.progress, Tone.DIM)
        return Cell(text, Tone.BAD if task.state == words.FAILED else Tone.DIM)
    if task.state == words.RUNNING and task.progress_share >= 0:
        share = f"{task.progress_share:4.0%} "
        return Cell(share + task.progress, Tone.DIM)
    if task.state == words.BLOCKED:
        return Cell(f"waits for {counted(task.pending, 'task')}", Tone.DIM)
    return Cell(task.reason.lower().replace("_", " ") or task.progress, Tone.DIM)


TASK_COLUMNS: tuple[Column[TaskRow], ...] = (
    Column("id", "ID", 8, _id, rank=5),
    Column("name", "NAME", 11, lambda task, _: Cell(task.name), flex=3, most=32, order="name"),
    Column(
        "queue", "QUEUE", 8, lambda task, _: Cell(task.queue, Tone.DIM), rank=6, flex=1, most=16
    ),
    Column(
        "group",
        "GROUP",
        8,
        lambda task, _: Cell(task.group or "-", Tone.DIM),
        rank=9,
        flex=1,
        most=16,
    ),
    Column("state", "STATE", 12, _state, order="state"),
    Column("attempt", "ATT", 4, _attempt, rank=4, align="right"),
    Column("agent", "AGENT", 9, _agent, rank=3, flex=2, most=22, tail=5),
    Column("time", "TIME", 6, _time, rank=1, align="right", live=True, order="run_time"),
    Column("age", "AGE", 4, _age, rank=2, align="right", live=True, order="create_time"),
    Column("priority", "PRI", 3, _priority, rank=8, align="right", order="priority"),
    Column("note", "NOTE", 16, lambda task, _: note(task), rank=7, flex=5),
)


BRIEF_TASK_COLUMNS: tuple[Column[TaskRow], ...] = tuple(
    replace(column, rank=0, width=12) if column.key == "note" else column
    for column in TASK_COLUMNS
    if column.key in {"name", "agent", "time", "note"}
)


def _agent_state(agent: AgentRow, context: Context) -> Cell:
    glyph, word, tone = context.fleet.state_words(agent)
    return Cell(f"{glyph} {word}", tone)


def _slots(agent: AgentRow, _: Context) -> Cell:
    return Cell(f"{agent.running}/{agent.slots}", Tone.RUN if agent.running else Tone.DIM)


def _load(agent: AgentRow, _: Context) -> Cell:
    return Cell(bar(agent.running, agent.slots, 10), Tone.RUN)


_CONTACT_TOLD = 35.0
"""Seconds: of an agent in contact a watch tells the time of its last call every 30 s only."""


def _contact(agent: AgentRow, context: Context) -> Cell:
    silent = context.now - agent.contact
    if agent.state not in (words.LOST, words.GONE) and silent < _CONTACT_TOLD:
        return Cell("ok", Tone.DIM)
    return Cell(age(silent), Tone.BAD if agent.state == words.LOST else Tone.DIM)


AGENT_COLUMNS: tuple[Column[AgentRow], ...] = (
    Column(
        "name",
        "NAME",
        16,
        lambda agent, context: Cell(context.fleet.agent_label(agent.id)),
        flex=3,
        most=36,
        tail=5,
        sort=lambda agent: agent.label,
    ),
    Column("state", "STATE", 10, _agent_state, sort=lambda agent: -agent.state),
    Column("slots", "SLOTS", 7, _slots, align="right", sort=lambda agent: -agent.running),
    Column("load", "LOAD", 10, _load, rank=6),
    Column(
        "queues",
        "QUEUES",
        10,
        lambda agent, _: Cell(", ".join(agent.queues), Tone.DIM),
        rank=3,
        flex=3,
        most=40,
    ),
    Column(
        "contact",
        "HB",
        4,
        _contact,
        rank=1,
        align="right",
        live=True,
        sort=lambda agent: agent.contact,
    ),
    Column(
        "age",
        "UP",
        4,
        lambda agent, context: Cell(age(context.now - agent.created), Tone.DIM),
        rank=2,
        align="right",
        live=True,
        sort=lambda agent: -agent.created,
    ),
    Column("version", "VERSION", 8, lambda agent, _: Cell(agent.version or "-", Tone.DIM), rank=4),
    Column(
        "host",
        "HOST",
        12,
        lambda agent, _: Cell(f"{agent.hostname}:{agent.pid}", Tone.DIM),
        rank=5,
        flex=2,
        most=30,
        sort=lambda agent: (agent.hostname, agent.pid),
    ),
    Column(
        "pool",
        "POOL",
        8,
        lambda agent, _: Cell(agent.pool or "-", Tone.DIM),
        rank=7,
        flex=1,
        most=16,
        sort=lambda agent: agent.pool,
    ),
)


def number_cell(value: int, tone: Tone = Tone.PLAIN) -> Cell:
    """A count in a narrow column."""
    return Cell(short_count(value), tone) if value else NOTHING


def _schedule_on(schedule: ScheduleRow, _: Context) -> Cell:
    if schedule.paused:
        return Cell("‖ paused", Tone.WARN)
    return Cell("● active", Tone.OK) if schedule.next else Cell("· ended", Tone.DIM)


def _due(schedule: ScheduleRow, context: Context) -> Cell:
    if not schedule.next:
        return NOTHING
    left = schedule.next - context.now
    return Cell("due" if left <= 0 else duration(max(1.0, left)), Tone.PLAIN)


SCHEDULE_COLUMNS: tuple[Column[ScheduleRow], ...] = (
    Column(
        "name", "NAME", 14, lambda row, _: Cell(row.id), flex=3, most=40, sort=lambda row: row.id
    ),
    Column("rule", "RULE", 12, lambda row, _: Cell(row.rule), flex=1, most=28),
    Column(
        "zone",
        "ZONE",
        8,
        lambda row, _: Cell(row.zone or "-", Tone.DIM),
        rank=1,
        flex=3,
        most=20,
        tail=5,
    ),
    Column("state", "STATE", 8, _schedule_on, sort=lambda row: (not row.paused, row.id)),
    Column(
        "due", "IN", 6, _due, align="right", live=True, sort=lambda row: row.next or float("inf")
    ),
    Column(
        "next",
        "NEXT",
        14,
        lambda row, context: Cell(soon_zoned(row.next, context.now), Tone.DIM),
        rank=2,
        align="right",
        live=True,
        sort=lambda row: row.next or float("inf"),
    ),
    Column(
        "last",
        "LAST",
        14,
        lambda row, context: Cell(soon_zoned(row.last, context.now), Tone.DIM),
        rank=4,
        align="right",
        live=True,
        sort=lambda row: -row.last,
    ),
    Column(
        "fired",
        "FIRED",
        6,
        lambda row, _: number_cell(row.fired),
        rank=3,
        align="right",
        sort=lambda row: -row.fired,
    ),
    Column(
        "task", "TASK", 12, lambda row, _: Cell(row.task_name, Tone.DIM), rank=6, flex=2, most=32
    ),
    Column("queue", "QUEUE", 10, lambda row, _: Cell(row.queue, Tone.DIM), rank=7, flex=1, most=20),
    Column(
        "age",
        "AGE",
        4,
        lambda row, context: Cell(age(context.now - row.created), Tone.DIM),
        rank=8,
        align="right",
        live=True,
        sort=lambda row: -row.created,
    ),
)
