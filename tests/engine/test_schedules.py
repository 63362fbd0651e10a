from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck_server.engine.schedule.cron import MAX_INSTANT, Cron, next_after
from quarterdeck_server.engine.schedule.errors import CronError, ScheduleError
from quarterdeck_server.engine.schedule.schedules import (
    MAX_INTERVAL,
    MIN_INTERVAL,
    Kind,
    Schedule,
    create,
    due,
    make_spec,
    next_instant,
    pause,
    preview,
    replace,
    resume,
    trigger,
)

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
NOW = (datetime(2025, 6, 1, 12, tzinfo=UTC) - datetime.fromtimestamp(0, UTC)) // timedelta(
    microseconds=1
)


def draft(
    kind: Kind = Kind.INTERVAL,
    spec: str = str(10 * SECOND),
    *,
    id: str = "nightly",
    time_zone: str = "UTC",
    start_at: int | None = None,
    end_at: int | None = None,
    paused: int = 0,
    task_name: str = "survey",
) -> Schedule:
    return Schedule(
        namespace="default",
        id=id,
        kind=kind,
        spec=spec,
        time_zone=time_zone,
        start_at=start_at,
        end_at=end_at,
        queue="default",
        task_name=task_name,
        task_spec="{}",
        input_type="application/json",
        input=b"{}",
        paused=paused,
        pause_note=None,
        next_at=None,
        last_at=None,
        last_task_id=None,
        fired=0,
        create_time=0,
        update_time=0,
        revision=0,
    )


def cron(expression: str) -> Schedule:
    return draft(Kind.CRON, expression)


def once(instant: int) -> Schedule:
    return draft(Kind.ONCE, str(instant))


def test_an_interval_first_fires_one_interval_after_its_creation() -> None:
    assert create(draft(), NOW).next_at == NOW + 10 * SECOND


def test_an_interval_with_a_start_first_fires_at_the_start() -> None:
    assert create(draft(start_at=NOW + 5), NOW).next_at == NOW + 5
    assert create(draft(start_at=NOW), NOW).next_at == NOW


def test_an_interval_with_a_past_start_keeps_its_beat_and_makes_nothing_up() -> None:
    assert create(draft(start_at=NOW - 25 * SECOND), NOW).next_at == NOW + 5 * SECOND


def test_a_cron_schedule_starts_with_its_first_match_from_the_start() -> None:
    made = create(draft(Kind.CRON, "0 * * * *", start_at=NOW + HOUR), NOW)
    assert made.next_at == NOW + HOUR


def test_cron_is_read_in_the_zone_of_the_schedule() -> None:
    made = create(draft(Kind.CRON, "0 15 * * *", time_zone="Europe/Berlin"), NOW)
    assert made.next_at == NOW + HOUR


def test_a_one_time_schedule_fires_once_and_ends() -> None:
    made = create(once(NOW + 5), NOW)
    assert due(made, NOW + 4).instants == ()
    firing = due(made, NOW + 7)
    assert firing.instants == (NOW + 5,)
    assert firing.schedule.next_at is None
    assert due(firing.schedule, NOW + DAY).instants == ()


def test_a_one_time_schedule_in_the_past_is_due_at_once() -> None:
    assert due(create(once(NOW - SECOND), NOW), NOW).instants == (NOW - SECOND,)


def test_a_firing_counts_and_leaves_the_rest_of_the_row_alone() -> None:
    made = create(draft(), NOW)
    firing = due(made, NOW + 10 * SECOND)
    assert firing.schedule == made._replace(
        next_at=NOW + 20 * SECOND, last_at=NOW + 10 * SECOND, fired=1
    )


def test_nothing_is_due_before_the_next_instant() -> None:
    made = create(draft(), NOW)
    assert due(made, NOW + 10 * SECOND - 1) == (made, ())


def test_late_handling_does_not_move_the_beat() -> None:
    firing = due(create(draft(), NOW), NOW + 13 * SECOND)
    assert firing.instants == (NOW + 10 * SECOND,)
    assert firing.schedule.next_at == NOW + 20 * SECOND


@pytest.mark.parametrize("spec", ["* * * * * *", "0 3 * * *", "0 0 1 1 *", "*/7 0-11 * * *"])
def test_after_downtime_one_task_is_made_for_the_latest_missed_instant(spec: str) -> None:
    made = create(cron(spec), NOW)
    now = NOW + 800 * DAY + 11 * HOUR + 7
    firing = due(made, now)
    (latest,) = firing.instants
    assert latest <= now
    assert next_instant(made, latest) == firing.schedule.next_at
    assert firing.schedule.next_at is not None
    assert firing.schedule.next_at > now
    assert firing.schedule.fired == 1


def test_the_catch_up_of_a_year_of_seconds_takes_few_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = 0

    def counted(cron: Cron, after_us: int) -> int | None:
        nonlocal steps
        steps += 1
        return next_after(cron, after_us)

    monkeypatch.setattr("quarterdeck_server.engine.schedule.schedules.next_after", counted)
    made = create(cron("* * * * * *"), NOW)
    assert due(made, NOW + 366 * DAY).instants == (NOW + 366 * DAY,)
    assert steps < 200


def test_catch_up_stops_at_the_end() -> None:
    for kind, spec in ((Kind.CRON, "* * * * * *"), (Kind.INTERVAL, str(SECOND))):
        made = create(draft(kind, spec, end_at=NOW + 90 * SECOND), NOW)
        firing = due(made, NOW + DAY)
        assert firing.instants == (NOW + 90 * SECOND,)
        assert firing.schedule.next_at is None


def test_a_paused_schedule_fires_nothing_and_skips_what_passes() -> None:
    paused = pause(create(draft(), NOW), NOW + SECOND, "broken upstream")
    assert (paused.paused, paused.pause_note, paused.next_at) == (1, "broken upstream", None)
    assert due(paused, NOW + DAY).instants == ()
    resumed = resume(paused, NOW + 40 * SECOND)
    assert (resumed.paused, resumed.pause_note) == (0, None)
    assert resumed.next_at == NOW + 50 * SECOND


def test_pausing_and_resuming_twice_changes_nothing() -> None:
    made = create(draft(), NOW)
    assert resume(made, NOW + HOUR) is made
    paused = pause(made, NOW + 1, "why")
    assert pause(paused, NOW + 2, "why") is paused
    assert pause(paused, NOW + 2, "because").pause_note == "because"


def test_a_one_time_schedule_paused_over_its_instant_has_ended() -> None:
    paused = pause(create(once(NOW + 5), NOW), NOW)
    assert resume(paused, NOW + 6).next_at is None


def test_resuming_after_the_clock_was_set_back_repeats_nothing() -> None:
    fired = due(create(draft(), NOW), NOW + HOUR).schedule
    resumed = resume(pause(fired, NOW + HOUR), NOW)
    assert resumed.next_at == NOW + HOUR + 10 * SECOND


def test_a_trigger_leaves_the_next_instant_alone() -> None:
    made = create(draft(), NOW)
    firing = trigger(made, NOW + 3)
    assert firing.instants == (NOW + 3,)
    assert firing.schedule == made._replace(last_at=NOW + 3, fired=1)


def test_a_trigger_works_while_paused_and_after_the_end() -> None:
    assert trigger(pause(create(draft(), NOW), NOW), NOW + 1).instants == (NOW + 1,)
    ended = due(create(once(NOW), NOW), NOW).schedule
    assert trigger(ended, NOW + 1).instants == (NOW + 1,)


def test_a_trigger_takes_no_instant_of_the_schedule_and_none_twice() -> None:
    made = create(draft(), NOW)
    first = trigger(made, NOW + 10 * SECOND)
    second = trigger(first.schedule, NOW + 10 * SECOND)
    planned = due(second.schedule, NOW + 10 * SECOND)
    assert planned.instants == (NOW + 10 * SECOND,)
    assert len({*first.instants, *second.instants, *planned.instants}) == 3
    assert planned.schedule.fired == 3


def test_a_late_instant_does_not_hide_a_later_trigger() -> None:
    triggered = trigger(create(draft(), NOW), NOW + 13 * SECOND).schedule
    firing = due(triggered, NOW + 14 * SECOND)
    assert firing.instants == (NOW + 10 * SECOND,)
    assert firing.schedule.last_at == NOW + 13 * SECOND


def test_a_preview_lists_what_will_fire() -> None:
    made = create(draft(end_at=NOW + 35 * SECOND), NOW)
    expected = [NOW + 10 * SECOND, NOW + 20 * SECOND, NOW + 30 * SECOND]
    assert preview(made, NOW, 100) == expected
    assert preview(pause(made, NOW), NOW, 2) == expected[:2]
    assert preview(made, NOW + 35 * SECOND, 5) == []


@pytest.mark.parametrize("count", [0, -1, 101])
def test_a_preview_of_too_many_is_refused(count: int) -> None:
    with pytest.raises(ScheduleError, match="1 to 100") as caught:
        preview(create(draft(), NOW), NOW, count)
    assert caught.value.field == "count"


def test_replacing_with_the_same_timing_keeps_even_an_overdue_instant() -> None:
    made = create(draft(), NOW)
    changed = replace(made, draft(task_name="report"), NOW + HOUR)
    assert changed.task_name == "report"
    assert changed.next_at == made.next_at
    assert (changed.create_time, changed.update_time) == (NOW, NOW + HOUR)


def test_replacing_the_timing_starts_from_now_and_keeps_the_history() -> None:
    fired = due(create(draft(), NOW), NOW + 10 * SECOND).schedule._replace(last_task_id=7)
    changed = replace(fired, cron("0 * * * *"), NOW + 11 * SECOND)
    assert changed.next_at == NOW + HOUR
    assert (changed.fired, changed.last_at, changed.last_task_id) == (1, NOW + 10 * SECOND, 7)


def test_replacing_does_not_wake_a_paused_schedule() -> None:
    paused = pause(create(draft(), NOW), NOW, "hold")
    for other in (draft(), cron("0 * * * *")):
        changed = replace(paused, other, NOW + 1)
        assert (changed.paused, changed.pause_note, changed.next_at) == (1, "hold", None)
        assert resume(changed, NOW + 2).next_at is not None


def test_a_schedule_can_be_created_paused() -> None:
    made = create(draft(paused=1), NOW)
    assert made.next_at is None
    assert resume(made, NOW).next_at == NOW + 10 * SECOND


def test_a_spec_is_stored_in_its_normal_form() -> None:
    assert make_spec(Kind.CRON, " 0  9\t* * * ", "UTC") == "0 9 * * *"
    assert make_spec(Kind.INTERVAL, "0001000000", "UTC") == "1000000"
    assert make_spec(Kind.ONCE, "5", "UTC") == "5"


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (cron("61 * * * *"), "cron"),
        (draft(Kind.CRON, "* * * * *", time_zone="Mars/Base"), "time_zone"),
        (draft(time_zone=""), "time_zone"),
        (draft(spec=str(MIN_INTERVAL - 1)), "interval"),
        (draft(spec=str(MAX_INTERVAL + 1)), "interval"),
        (draft(spec="-5000000"), "interval"),
        (draft(spec="1e9"), "interval"),
        (draft(spec="٣٣٣٣٣٣٣٣"), "interval"),
        (draft(spec="9" * 5000), "interval"),
        (once(MAX_INSTANT + 1), "once"),
        (draft(Kind.ONCE, ""), "once"),
        (draft()._replace(kind=9), "kind"),
        (draft(id=""), "id"),
        (draft(id="a b"), "id"),
        (draft(id="\x1b[31m"), "id"),
        (draft(id="x" * 129), "id"),
        (draft(id="nightly\n"), "id"),
        (draft(start_at=-1), "start_at"),
        (draft(end_at=MAX_INSTANT + 1), "end_at"),
        (draft(start_at=NOW + 2, end_at=NOW + 1), "end_at"),
        (draft(end_at=NOW - 1), "end_at"),
        (draft(Kind.CRON, "0 * * * *", end_at=NOW - 1), "end_at"),
        (draft(Kind.ONCE, str(NOW), start_at=NOW + 1), "once"),
        (draft(Kind.ONCE, str(NOW), end_at=NOW - 1), "once"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_with_the_field(bad: Schedule, field: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        create(bad, NOW)
    assert caught.value.field == field


def test_a_stored_expression_that_is_no_longer_valid_says_so() -> None:
    made = create(cron("0 * * * *"), NOW)
    with pytest.raises(CronError):
        due(made._replace(spec="0 0 32 * *"), NOW + HOUR)


timings = st.one_of(
    st.integers(MIN_INTERVAL, 3 * HOUR).map(lambda length: draft(spec=str(length))),
    st.sampled_from(["*/20 * * * * *", "*/5 * * * *", "30 2 * * *", "0 0 1 * *"]).map(
        lambda text: draft(Kind.CRON, text, time_zone="Europe/Berlin")
    ),
    st.integers(NOW - DAY, NOW + DAY).map(once),
)


@settings(max_examples=100, deadline=None)
@given(
    timing=timings,
    start=st.none() | st.integers(NOW - DAY, NOW - 1),
    length=st.none() | st.integers(31 * DAY, 60 * DAY),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["due", "due", "due", "pause", "resume", "trigger", "replace"]),
            st.integers(-2 * HOUR, 2 * DAY),
        ),
        max_size=25,
    ),
)
def test_no_instant_fires_twice_whatever_the_clock_and_the_operator_do(
    timing: Schedule, start: int | None, length: int | None, steps: list[tuple[str, int]]
) -> None:
    if timing.kind == Kind.ONCE:
        start = None
    end = None if length is None else NOW + length
    row, now = create(timing._replace(start_at=start, end_at=end), NOW), NOW
    scheduled: list[int] = []
    everything: list[int] = []
    for verb, passed in steps:
        now += passed
        before = row
        if verb == "due":
            row, instants = due(row, now)
            scheduled += instants
            everything += instants
            assert all(instant <= now for instant in instants)
            assert not instants or row.next_at is None or row.next_at > now
        elif verb == "trigger":
            row, instants = trigger(row, now)
            everything += instants
            assert row.next_at == before.next_at
        elif verb == "pause":
            row = pause(row, now)
        elif verb == "resume":
            row = resume(row, now)
        else:
            row = replace(row, before, now)
            assert row == before._replace(update_time=now)
        assert row.fired == len(everything)
        assert row.next_at is None or not scheduled or row.next_at > scheduled[-1]
    assert scheduled == sorted(set(scheduled))
    assert len(everything) == len(set(everything))
    assert all(next_instant(row, instant - 1) == instant for instant in scheduled)


@settings(max_examples=100, deadline=None)
@given(timing=timings, beats=st.lists(st.integers(0, 4 * HOUR), min_size=1, max_size=12))
def test_catching_up_ends_where_being_on_time_does(timing: Schedule, beats: list[int]) -> None:
    made = create(timing, NOW)
    row, now, latest = made, NOW, None
    for beat in beats:
        now += beat
        firing = due(row, now)
        row, latest = firing.schedule, (firing.instants or (latest,))[-1]
    late = due(made, now)
    assert late.schedule.next_at == row.next_at
    assert late.instants == (() if latest is None else (latest,))
