"""Values of the standard library that have a usual text or number in JSON: instants, dates, spans, ids, decimals."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple


class Form(NamedTuple):
    """How the values of one type stand in JSON.

    Attributes:
        write: What stands for a value.
        read: The value of it; a ValueError, TypeError or OverflowError says that it is none.
        expected: What an error says that there should be.
    """

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    expected: str


def _text(make: Callable[[str], Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError(value)
        return make(value)

    return read


def _span(value: Any) -> dt.timedelta:
    if isinstance(value, bool):
        raise TypeError(value)
    return dt.timedelta(seconds=value)


def _decimal(text: str) -> decimal.Decimal:
    try:
        found = decimal.Decimal(text)
    except decimal.InvalidOperation as error:
        raise ValueError(text) from error
    if not found.is_finite():
        raise ValueError(text)
    return found


FORMS: dict[type, Form] = {
    # Before dates, which instants are, too.
    dt.datetime: Form(
        dt.datetime.isoformat,
        _text(dt.datetime.fromisoformat),
        "an instant of ISO 8601, such as 2026-11-23T12:00:00Z",
    ),
    dt.date: Form(
        dt.date.isoformat, _text(dt.date.fromisoformat), "a date of ISO 8601, such as 2026-11-23"
    ),
    dt.timedelta: Form(dt.timedelta.total_seconds, _span, "a number of seconds"),
    uuid.UUID: Form(str, _text(uuid.UUID), "a UUID"),
    decimal.Decimal: Form(str, _text(_decimal), "a decimal number as a string"),
}
