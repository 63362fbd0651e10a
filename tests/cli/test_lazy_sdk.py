from __future__ import annotations

import quarterdeck


def test_every_public_name_of_the_sdk_is_there() -> None:
    assert [name for name in quarterdeck.__all__ if getattr(quarterdeck, name, None) is None] == []


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    assert not hasattr(quarterdeck, "nothing_of_this_name")
    assert set(quarterdeck.__all__) <= set(dir(quarterdeck))
