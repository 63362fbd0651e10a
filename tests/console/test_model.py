"""The headless model: formats, columns, stores, the form."""

from __future__ import annotations

import pytest
from tests.console.speech import stamp, status

from quarterdeck.v1 import agent_pb2, queue_pb2, schedule_pb2, status_pb2, task_pb2
from quarterdeck.v1.payload_pb2 import Payload
from quarterdeck.v1.task_service_pb2 import GetTaskResponse, ReadLogsResponse
from quarterdeck_console.model import words
from quarterdeck_console.model.audit import AUDIT_COLUMNS
from quarterdeck_console.model.columns import GAP, Context, place
from quarterdeck_console.model.describe import cancel_lines, timeline
from quarterdeck_console.model.detail import LogBuffer, PayloadText, TaskDetail
from quarterdeck_console.model.filters import term
from quarterdeck_console.model.fleet import Fleet
from quarterdeck_console.model.format import age, bar, duration, short_count, size, spark
from quarterdeck_console.model.forms import FieldError, span, task_spec
from quarterdeck_console.model.hold_table import HOLD_COLUMNS
from quarterdeck_console.model.parts import CancelRow
from quarterdeck_console.model.queue_table import QUEUE_COLUMNS
from quarterdeck_console.model.rows import AgentRow, QueueRow, ScheduleRow, TaskRow
from quarterdeck_console.model.store import Store
from quarterdeck_console.model.tables import (
    AGENT_COLUMNS,
    SCHEDULE_COLUMNS,
    TASK_COLUMNS,
    note,
    time_in_state,
)
from quarterdeck_console.stream.errors import refusal_of
from quarterdeck_console.stream.outcome import Outcome

ALL_COLUMNS = (
    TASK_COLUMNS, AGENT_COLUMNS, QUEUE_COLUMNS, SCHEDULE_COLUMNS, HOLD_COLUMNS, AUDIT_COLUMNS,
)  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0004, "0ms"), (0.02, "20ms"), (0.94, "0.9s"), (9.9, "9.9s"), (9.97, "9s"), (59.9, "59s"),
     (61, "1m01"), (3_660, "1h01"), (90_000, "1d1h"), (1e7, "115d"), (-5, "0ms")],
)  # fmt: skip
def test_durations_fit_five_characters(seconds: float, text: str) -> None:
    assert duration(seconds) == text
    assert len(text) <= 5


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (60, "1m"), (86_399, "23h"), (86_400, "1d")]
)
def test_ages_are_whole_units(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (812, "812"), (1_234, "1.2k"), (34_000, "34k"), (5.1e6, "5.1M")]
)
def test_amounts_are_short(number: float, text: str) -> None:
    assert short_count(number) == text


def test_charts_take_exactly_their_cells() -> None:
    assert spark([], 5) == "     "
    assert spark([0, 0], 5) == "   ▁▁"
    assert spark([1, 2, 4], 3) == "▂▄█"
    assert len(spark(range(100), 7)) == 7
    assert bar(1, 2, 4) == "██  "
    assert bar(0, 2, 4) == "    "
    assert bar(9, 2, 4) == "████"
    assert bar(1, 1_000_000, 4) == "▏   "
    assert (size(812), size(1_229), size(3 << 20)) == ("812 B", "1.2 KiB", "3.0 MiB")


@pytest.mark.parametrize("columns", ALL_COLUMNS)
@pytest.mark.parametrize("cells", [60, 80, 100, 160, 240])
def test_chosen_columns_fill_the_room_or_less(columns: object, cells: int) -> None:
    placed = place(columns, cells)  # type: ignore[arg-type, var-annotated]
    used = sum(entry.width for entry in placed) + GAP * (len(placed) - 1) + 2
    assert used <= cells
    kept = {entry.column.key for entry in placed}
    assert {column.key for column in columns if column.rank == 0} <= kept  # type: ignore[attr-defined]


def test_wide_keeps_every_column() -> None:
    assert len(place(TASK_COLUMNS, 40, wide=True)) == len(TASK_COLUMNS)


def test_column_keys_are_unique() -> None:
    for columns in ALL_COLUMNS:
        keys = [column.key for column in columns]
        assert len(keys) == len(set(keys))


def queue_row(name: str, revision: int, **counts: int) -> QueueRow:
    made = queue_pb2.Queue(name=name, revision=revision, succeeded_total=counts.get("done", 0))
    made.counts.add(state=task_pb2.TASK_STATE_READY, count=counts.get("ready", 0))
    return QueueRow.of(made)


def test_a_store_refuses_older_versions() -> None:
    store: Store[QueueRow] = Store()
    assert store.put(queue_row("a", 5, ready=1))
    assert not store.put(queue_row("a", 4, ready=9))
    assert store.get("a") == queue_row("a", 5, ready=1)


def test_a_snapshot_forgets_what_it_does_not_name() -> None:
    store: Store[QueueRow] = Store()
    store.put(queue_row("stays", 1))
    store.put(queue_row("goes", 2))
    store.begin_snapshot()
    assert len(store) == 2
    store.put(queue_row("stays", 1))
    store.end_snapshot()
    assert [row.id for row in store] == ["stays"]


def test_rates_come_from_the_queues_counters() -> None:
    fleet = Fleet()
    fleet.connection.came(0.0)
    for step in range(11):
        fleet.queues.put(queue_row("a", step + 1, done=100 + step * 7))
        fleet.sample()
    assert fleet.queue_rate("a") == 7.0
    assert list(fleet.done.values)[-10:] == [7.0] * 10


def test_nothing_is_sampled_while_the_server_is_away() -> None:
    fleet = Fleet()
    fleet.sample()
    assert not fleet.done.values


def test_a_state_that_this_console_is_too_old_to_know_is_shown() -> None:
    task = task_pb2.Task(id="task_1")
    task.state = 77  # type: ignore[assignment]
    assert TaskRow.of(task).state_words()[1] == "state 77"


def test_a_retry_and_a_cancel_under_way_have_words_of_their_own() -> None:
    task = task_pb2.Task(id="task_1", state=task_pb2.TASK_STATE_SCHEDULED, attempt=1)
    assert TaskRow.of(task).state_words()[1] == "retrying"
    task.state = task_pb2.TASK_STATE_RUNNING
    task.cancellation.reason = "enough"
    row = TaskRow.of(task)
    assert row.state_words()[1] == "cancelling"
    assert note(row).text == "cancel: enough"


def test_time_reads_by_state() -> None:
    task = task_pb2.Task(id="task_1", state=task_pb2.TASK_STATE_RUNNING)
    stamp(task.start_time, 100)
    assert time_in_state(TaskRow.of(task), 151.0).text == "51s"
    task.state = task_pb2.TASK_STATE_SCHEDULED
    stamp(task.run_time, 165)
    assert time_in_state(TaskRow.of(task), 151.0).text == "in 14s"
    task.state = task_pb2.TASK_STATE_SUCCEEDED
    stamp(task.end_time, 108)
    assert time_in_state(TaskRow.of(task), 151.0).text == "8.0s"


@pytest.mark.parametrize(
    ("state", "silent", "text"),
    [("ACTIVE", 29, "ok"), ("ACTIVE", 40, "40s"), ("DRAINING", 29, "ok"), ("LOST", 31, "31s")],
)
def test_an_agent_in_contact_shows_no_age_that_its_watch_does_not_know(
    state: str, silent: int, text: str
) -> None:
    agent = agent_pb2.Agent(state=agent_pb2.AgentState.Value(f"AGENT_STATE_{state}"))
    stamp(agent.last_contact_time, 1_000)
    (column,) = (column for column in AGENT_COLUMNS if column.key == "contact")
    assert column.cell(AgentRow.of(agent), Context(Fleet(), 1_000.0 + silent)).text == text


def test_a_cancels_proof_names_each_step_and_what_is_still_open() -> None:
    cancel = CancelRow(100.0, "ana", "wrong input", 100.5, 0.0, 0.0, 0.0)
    text = "\n".join(
        "".join(cell.text for cell in made) for made in cancel_lines(cancel, 103.0, 60)
    )
    assert "ana: wrong input" in text
    assert "✓ requested" in text and "✓ delivered" in text and "+0.5s" in text
    assert "○ acknowledged" in text and "○ stopped" in text and "under way for 3.0s" in text
    escalated = CancelRow(100.0, "", "", 100.5, 0.0, 0.0, 130.5)
    text = "\n".join(
        "".join(cell.text for cell in made) for made in cancel_lines(escalated, 200, 60)
    )
    assert "! escalated" in text and "lease revoked" in text and "not yet" not in text


@pytest.mark.parametrize("cells", [40, 80, 158])
def test_a_timeline_fits_and_names_every_attempt(cells: int) -> None:
    answer = GetTaskResponse()
    answer.task.state = task_pb2.TASK_STATE_FAILED
    stamp(answer.task.create_time, 100)
    stamp(answer.task.end_time, 200)
    for number, (start, end) in enumerate([(101, 130), (140, 150), (180, 200)], start=1):
        attempt = answer.attempts.add(attempt=number, outcome=task_pb2.ATTEMPT_OUTCOME_FAILED)
        stamp(attempt.start_time, start)
        stamp(attempt.end_time, end)
    lines = timeline(TaskDetail.of(answer), 300.0, max(cells, 42))
    text = ["".join(cell.text for cell in made) for made in lines]
    assert all(len(made) <= max(cells, 42) + 2 for made in text)
    assert sum("✗ failed" in made for made in text) == 3
    assert sum(made.startswith("waited") for made in text) >= 2


def test_payloads_read_well() -> None:
    assert PayloadText.of(Payload(data=b'{"a":[1]}')).text == '{\n  "a": [\n    1\n  ]\n}'
    assert PayloadText.of(Payload(data=b"not json")).text == "not json"
    assert "not text" in PayloadText.of(Payload(data=b"\xff\xfe\x00")).text
    assert PayloadText.of(Payload(data=b"[" * 100_000)).text.startswith("[[[")


def test_a_log_keeps_its_newest_lines() -> None:
    buffer = LogBuffer(limit=3)
    lines = [task_pb2.LogLine(text=str(number), sequence=number) for number in range(1, 6)]
    buffer.extend(ReadLogsResponse(lines=lines, next_sequence=5))
    assert [entry.text for entry in buffer.lines] == ["3", "4", "5"]
    assert (buffer.dropped, buffer.next_sequence) == (2, 5)


def test_rules_of_schedules_read_well() -> None:
    schedule = schedule_pb2.Schedule(id="a")
    schedule.spec.interval.seconds = 300
    assert ScheduleRow.of(schedule).rule == "every 5m00"
    schedule.spec.cron.expression = "0 * * * *"
    row = ScheduleRow.of(schedule)
    assert (row.rule, row.zone) == ("0 * * * *", "UTC")


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 0), ("30s", 30), ("1h30m", 5_400), ("1.5h", 5_400), ("250ms", 0.25)]
)
def test_spans_are_read(text: str, seconds: float) -> None:
    assert span(text) == seconds


@pytest.mark.parametrize("text", ["soon", "30", "-5s", "5 parsecs"])
def test_a_wrong_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a span"):
        span(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", " "), ("input", "{"), ("priority", "11"), ("priority", "x"), ("delay", "soon")],
)
def test_a_wrong_field_of_a_new_task_is_named(field: str, value: str) -> None:
    fields = {"name": "a", "queue": "", "input": "{}", "priority": "5", "delay": ""} | {
        field: value
    }
    with pytest.raises(FieldError) as caught:
        task_spec(**fields)
    assert caught.value.field == field


def test_a_new_task_is_as_typed() -> None:
    spec = task_spec(" digest ", "gpu", '{"a": 1}', "9", "90s")
    assert (spec.name, spec.queue, spec.priority) == ("digest", "gpu", 9)
    assert spec.delay.seconds == 90
    assert spec.input.data == b'{"a": 1}'


def test_outcomes_count_refusals_by_reason() -> None:
    outcome = Outcome("cancelled", "task", done=12)
    outcome.refuse(refusal_of(status(9, "WRONG_STATE", "ended")))
    assert outcome.text == "12 tasks cancelled, 1 refused"
    outcome.refuse(refusal_of(status(5, "TASK_NOT_FOUND", "gone")), 2)
    assert outcome.text == "12 tasks cancelled, 3 refused: 2 TASK_NOT_FOUND, 1 WRONG_STATE"
    assert outcome.sentence == "ended (WRONG_STATE)"
    assert Outcome("cancelled", "task").text == "0 tasks cancelled"


def test_an_error_without_details_still_has_a_reason() -> None:
    assert refusal_of(status_pb2.Status(code=5, message="gone")).reason == "CODE_5"


def test_every_state_of_the_api_has_a_word() -> None:
    known = set(task_pb2.TaskState.values()) - {0}
    assert known == set(words.TASK_STATES)
    assert Context(Fleet(), 0.0).now == 0.0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("gpu-1", "queue:gpu-1"),
        ("a b", 'queue:"a b"'),
        ('x"\\', 'queue:"x\\"\\\\"'),
        ("", 'queue:""'),
    ],
)
def test_terms_quote_what_the_grammar_would_read_more_into(value: str, text: str) -> None:
    assert term("queue", value) == text
