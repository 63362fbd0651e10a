from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration

from quarterdeck.cli._format import duration, length


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0ms"),
        (0.0084, "8ms"),
        (0.9994, "999ms"),
        (0.9996, "1.0s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (65, "1m05s"),
        (3_600, "1h00m"),
        (90_000, "1d01h"),
    ],
)
def test_a_length_of_time_is_short_and_never_rounds_to_nothing(seconds: float, shown: str) -> None:
    assert length(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(1, "1s"), (15, "15s"), (60, "1m"), (90, "1m30s"), (7_200, "2h"), (864_000, "10d")],
)
def test_a_duration_reads_as_it_is_written(seconds: int, shown: str) -> None:
    assert duration(Duration(seconds=seconds)) == shown


def test_a_duration_below_a_second_and_none_at_all() -> None:
    assert duration(Duration(nanos=250_000_000)) == "250ms"
    assert duration(Duration()) == ""
