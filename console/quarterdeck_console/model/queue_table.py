"""The columns of queues."""

from __future__ import annotations

from quarterdeck_console.model import words
from quarterdeck_console.model.columns import Cell, Column, Context
from quarterdeck_console.model.format import age, duration, rate, short_count, spark
from quarterdeck_console.model.rows import QueueRow
from quarterdeck_console.model.tables import NOTHING, number_cell
from quarterdeck_console.model.words import Tone


def _queue_state(queue: QueueRow, context: Context) -> Cell:
    if context.fleet.freeze is not None:
        return Cell("✻ frozen", Tone.BAD)
    if queue.paused:
        return Cell("‖ drops" if queue.drops else "‖ paused", Tone.WARN)
    if queue.rests_until > context.now:
        return Cell(f"◔ {duration(queue.rests_until - context.now)}", Tone.WARN)
    return Cell("● active", Tone.OK)


def _limit(queue: QueueRow, _: Context) -> Cell:
    most = queue.limits.most
    if not most:
        return Cell(queue.limits.per_key and "per key", Tone.DIM)
    running = queue.in_state(words.RUNNING)
    text = f"{short_count(running)}/{short_count(most)}"
    return Cell(text, Tone.WARN if running >= most else Tone.PLAIN)


def _may_start(queue: QueueRow, _: Context) -> Cell:
    limits = queue.limits
    return Cell(limits.rate or (limits.key_rate and f"{limits.key_rate} a key"), Tone.DIM)


def _slots_of(queue: QueueRow, context: Context) -> Cell:
    slots = context.fleet.taking(queue.id).slots
    running = queue.in_state(words.RUNNING)
    if not running and not slots:
        return NOTHING
    return Cell(f"{short_count(running)}/{short_count(slots)}", Tone.RUN if running else Tone.DIM)


def _rate(queue: QueueRow, context: Context) -> Cell:
    per_second = context.fleet.queue_rate(queue.id)
    return Cell(rate(per_second), Tone.PLAIN if per_second else Tone.DIM)


def _done_spark(queue: QueueRow, context: Context) -> Cell:
    series = context.fleet.queue_done.get(queue.id)
    return Cell(spark(series.steps(30, 2), 30) if series is not None else "", Tone.OK)


QUEUE_COLUMNS: tuple[Column[QueueRow], ...] = (
    Column(
        "name",
        "NAME",
        12,
        lambda queue, _: Cell(queue.id),
        flex=3,
        most=40,
        sort=lambda queue: queue.id,
    ),
    Column(
        "state",
        "STATE",
        8,
        _queue_state,
        rank=1,
        sort=lambda queue: (not queue.paused, queue.id),
        live=True,
    ),
    Column(
        "ready",
        "READY",
        6,
        lambda queue, _: number_cell(queue.in_state(words.READY)),
        align="right",
        sort=lambda queue: -queue.in_state(words.READY),
    ),
    Column(
        "running",
        "RUN/SLOTS",
        9,
        _slots_of,
        align="right",
        sort=lambda queue: -queue.in_state(words.RUNNING),
    ),
    Column(
        "waiting",
        "LATER",
        6,
        lambda queue, _: number_cell(
            queue.in_state(words.SCHEDULED, words.BLOCKED, words.WAITING), Tone.DIM
        ),
        rank=3,
        align="right",
    ),
    Column(
        "failed",
        "FAILED",
        6,
        lambda queue, _: number_cell(queue.in_state(words.FAILED), Tone.BAD),
        align="right",
        sort=lambda queue: -queue.in_state(words.FAILED),
    ),
    Column(
        "done",
        "DONE",
        6,
        lambda queue, _: number_cell(queue.succeeded_total, Tone.OK),
        rank=2,
        align="right",
        sort=lambda queue: -queue.succeeded_total,
    ),
    Column("rate", "RATE", 7, _rate, rank=4, align="right", live=True),
    Column("limit", "LIMIT", 7, _limit, rank=5, align="right"),
    Column("may", "MAX RATE", 8, _may_start, rank=6, flex=1, most=24),
    Column("spark", "DONE, LAST MINUTE", 30, _done_spark, rank=8, live=True),
    Column(
        "age",
        "AGE",
        4,
        lambda queue, context: Cell(age(context.now - queue.created), Tone.DIM),
        rank=7,
        align="right",
        live=True,
        sort=lambda queue: -queue.created,
    ),
    Column("note", "NOTE", 14, lambda queue, _: Cell(queue.pause_note, Tone.WARN), rank=9, flex=2),
)

BRIEF_QUEUE_COLUMNS: tuple[Column[QueueRow], ...] = tuple(
    column
    for column in QUEUE_COLUMNS
    if column.key in {"name", "state", "ready", "running", "failed", "rate"}
)
