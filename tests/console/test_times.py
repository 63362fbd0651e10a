"""A time of a schedule says in which zone it is: that of this machine need not be the schedule's."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.console.conftest import LARGE, SMALL, Open
from tests.console.fleet import Fleet
from tests.console.speech import stamp

from quarterdeck.v1 import audit_pb2, schedule_pb2
from quarterdeck_console.model.audit import AUDIT_COLUMNS, AuditRow
from quarterdeck_console.model.columns import Context, place
from quarterdeck_console.model.fleet import Fleet as Known
from quarterdeck_console.model.format import soon_zoned, there, zoned

NOON = 1_790_000_000.0
"""2026-09-21 14:13:20 UTC."""


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """The zone of this machine, as POSIX writes it."""
    zone: str = request.param
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    yield zone
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("local", "text", "short"),
    [
        ("UTC0", "2026-09-21 14:13:20Z", "14:13:20Z"),
        ("AAA-1", "2026-09-21 15:13:20+01", "15:13:20+01"),
        ("AAA-5:30", "2026-09-21 19:43:20+05:30", "19:43:20+05:30"),
        ("AAA3:30", "2026-09-21 10:43:20-03:30", "10:43:20-03:30"),
    ],
    indirect=["local"],
)
def test_an_instant_says_how_far_it_is_from_utc(local: str, text: str, short: str) -> None:
    assert zoned(NOON) == text
    assert soon_zoned(NOON, NOON) == short
    assert soon_zoned(NOON, NOON - 86_400) == f"09-21 {short[:5]}{short[8:]}"
    assert (zoned(0.0), soon_zoned(0.0, NOON), zoned(1e300)) == ("-", "-", "?")


@pytest.mark.parametrize("local", ["UTC0"], indirect=True)
@pytest.mark.parametrize(
    ("zone", "text"),
    [("Europe/Oslo", "16:13 in Europe/Oslo"), ("UTC", ""), ("Atlantis/Main", ""), ("../../x", ""),
     ("\0", ""), ("", "")],
)  # fmt: skip
def test_the_time_in_another_zone_is_said_where_that_is_known(
    local: str, zone: str, text: str
) -> None:
    assert there(NOON, zone) == text


@pytest.mark.parametrize("local", ["UTC0"], indirect=True)
async def test_times_of_schedules_have_a_zone_in_the_list_and_in_full(
    console: Open, fleet: Fleet, local: str
) -> None:
    spec = schedule_pb2.ScheduleSpec()
    spec.cron.expression, spec.cron.time_zone = "0 9 * * *", "Asia/Kolkata"
    fleet.schedule("digest", spec=spec)
    item = schedule_pb2.Schedule()
    item.CopyFrom(fleet.items["schedule"]["digest"])
    day = 86_400
    tomorrow = (int(time.time()) // day + 1) * day + 3.5 * 3_600
    stamp(item.next_time, tomorrow)
    fleet.put("schedule", "digest", item)
    fired = time.strftime("%m-%d 03:30Z", time.gmtime(tomorrow))
    for size in (SMALL, LARGE):
        async with console(size) as driver:
            await driver.press("4")
            await driver.shows("digest", "ZONE", "lkata", fired)
            await driver.press("g", "d")
            await driver.shows("next runs", "in Asia/Kolkata", "Z  in")


def test_the_narrow_audit_log_says_to_what_something_was_done() -> None:
    shown = [entry.column.title for entry in place(AUDIT_COLUMNS, 80)]
    assert shown == ["TIME", "WHO", "DID", "TO", "DONE"]


def test_the_audit_log_calls_agents_as_lists_do() -> None:
    (about,) = (column for column in AUDIT_COLUMNS if column.title == "TO")
    context = Context(Known(), 0.0)
    said = [
        about.cell(AuditRow.of(audit_pb2.AuditEntry(target=target, filter="state:failed")), context)
        for target in ("5d50" * 8, "task_06yfpmy1s2w00", "")
    ]
    assert [cell.text for cell in said] == ["5d505d50", "task_06yfpmy1s2w00", "state:failed"]
