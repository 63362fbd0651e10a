"""The flag of a cancel, as handlers look at it."""

from __future__ import annotations

from quarterdeck._flags import CancelFlag


def test_a_flag_is_false_until_its_handler_should_stop() -> None:
    flag = CancelFlag()
    assert not flag
    flag._fire("enough")
    assert flag
    assert flag.reason == "enough"


def test_who_asked_the_flag_for_its_truth_has_seen_the_cancel() -> None:
    flag = CancelFlag()
    flag._fire("enough")
    assert not flag._seen
    assert bool(flag) and flag._seen
