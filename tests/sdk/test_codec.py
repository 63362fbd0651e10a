"""Values to bytes and back, and what is said of bytes that do not fit."""

from __future__ import annotations

import datetime as dt
import enum
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional, Union
from zoneinfo import ZoneInfo

import pydantic
import pytest

from quarterdeck import DefinitionError, PayloadError
from quarterdeck._codec import decoder, encode


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Leaf:
    name: str
    weight: float = 1.0


@dataclass
class Tree:
    leaves: list[Leaf]
    parent: Tree | None = None
    by_name: dict[str, Leaf] = field(default_factory=dict)
    pair: tuple[int, str] | None = None
    colour: Colour = Colour.RED


class Model(pydantic.BaseModel):
    url: str
    size: int = 0


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (None, None),
        (bool, True),
        (int, 9_007_199_254_740_993),
        (float, 0.1),
        (str, "zwölf \U0001f40c \u2028"),
        (list[int], [1, 2]),
        (dict[str, list[bool]], {"a": [True]}),
        (tuple[int, str], (1, "a")),
        (tuple[int, ...], (1, 2, 3)),
        (set[str], {"a"}),
        (Sequence[int], [1]),
        (Mapping[str, int], {"a": 1}),
        (Optional[int], None),  # noqa: UP045
        (Union[int, str], "a"),  # noqa: UP007
        (dt.datetime, dt.datetime(2026, 11, 23, 12, 0, 0, 7, dt.UTC)),
        (dt.datetime, dt.datetime(2026, 11, 23, tzinfo=ZoneInfo("Asia/Kolkata"))),
        (dt.date, dt.date(2026, 11, 23)),
        (dt.timedelta, dt.timedelta(days=-2, milliseconds=1500)),
        (uuid.UUID, uuid.UUID(int=7)),
        (Decimal, Decimal("0.10")),
        (dict[str, list[dt.date]], {"a": [dt.date(2026, 1, 2)]}),
        (Literal["a", 1], 1),
        (Annotated[int, "documented"], 4),
        (Any, {"deep": [{"er": None}]}),
        (object, [1]),
        (Colour, Colour.BLUE),
        (Tree, Tree([Leaf("a")], Tree([]), {"b": Leaf("b", 2.5)}, (1, "x"), Colour.BLUE)),
        (Model, Model(url="u", size=3)),
        (list[Model], [Model(url="u")]),
        (dict[str, Any], {"model": 1}),
    ],
)
def test_value_survives_the_round_trip(kind: Any, value: object) -> None:
    assert decoder(kind)(encode(value)) == value


class Booking(pydantic.BaseModel):
    at: dt.datetime
    on: dt.date
    id: uuid.UUID
    price: Decimal


@dataclass
class Booked:
    at: dt.datetime
    on: dt.date
    id: uuid.UUID
    price: Decimal


def test_a_dataclass_and_a_model_of_the_same_fields_understand_each_other() -> None:
    values: dict[str, Any] = {
        "at": dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC),
        "on": dt.date(2026, 11, 23),
        "id": uuid.UUID(int=7),
        "price": Decimal("0.10"),
    }
    assert decoder(Booked)(encode(Booking(**values))) == Booked(**values)
    assert decoder(Booking)(encode(Booked(**values))) == Booking(**values)


def test_none_is_no_bytes() -> None:
    assert encode(None) == b""


def test_whole_number_is_a_float_where_a_float_is_wanted() -> None:
    value = decoder(float)(b"3")
    assert value == 3.0
    assert isinstance(value, float)


def test_fields_that_a_dataclass_does_not_know_are_left_out() -> None:
    assert decoder(Leaf)(b'{"name": "a", "added_later": 1}') == Leaf("a")


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        (int, b"true", "expected a whole number, got true"),
        (int, b"1.5", "expected a whole number, got 1.5"),
        (str, b"", "expected a string, got null"),
        (str, b"{", "is not JSON: "),
        (str, b"\xff", "is not JSON: "),
        (int, b"[" * 100_000, "is not JSON: "),
        (Leaf, b"[]", "expected an object with the fields of Leaf, got []"),
        (Leaf, b"{}", "name: is missing"),
        (Tree, b'{"leaves": [{"name": "a"}, {"name": 1}]}', "leaves[1].name: expected a string"),
        (Tree, b'{"leaves": [], "parent": {"leaves": 1}}', "parent.leaves: expected an array"),
        (Tree, b'{"leaves": [], "colour": "no"}', "colour: expected a value of Colour"),
        (Tree, b'{"leaves": [], "pair": [1]}', "pair: expected an array of 2, got [1]"),
        (dict[str, int], b'{"a": "b"}', "a: expected a whole number"),
        (Literal["a"], b'"b"', "expected one of 'a', got \"b\""),
        (Model, b'{"size": "x"}', "url: Field required"),
        (list[Model], b'[{"url": 1}]', "[0].url: "),
        (int | str, b"[]", "expected int | str, got []"),
        (
            dt.datetime,
            b'"tomorrow"',
            "expected an instant of ISO 8601, such as 2026-11-23T12:00:00Z",
        ),
        (dt.datetime, b"7", "expected an instant of ISO 8601"),
        (dt.date, b'"2026-13-01"', "expected a date of ISO 8601, such as 2026-11-23, got"),
        (dt.timedelta, b'"PT5M"', "expected a number of seconds, got"),
        (dt.timedelta, b"true", "expected a number of seconds, got true"),
        (dt.timedelta, b"1e300", "expected a number of seconds, got 1e+300"),
        (uuid.UUID, b'"7"', "expected a UUID, got"),
        (Decimal, b"0.1", "expected a decimal number as a string, got 0.1"),
        (Decimal, b'"NaN"', "expected a decimal number as a string, got"),
    ],
)
def test_bytes_that_do_not_fit_name_the_field(kind: Any, data: bytes, message: str) -> None:
    with pytest.raises(PayloadError) as caught:
        decoder(kind)(data)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("kind", [complex, bytes, dict[int, str], list[memoryview], type, "x"])
def test_type_without_json_form_is_refused_when_it_is_read(kind: Any) -> None:
    with pytest.raises(DefinitionError):
        decoder(kind)


@pytest.mark.parametrize("value", [object(), math.nan, b"bytes", {"a": {1, object()}}, "\ud800"])
def test_value_without_json_form_is_refused(value: object) -> None:
    with pytest.raises(PayloadError, match="cannot be encoded"):
        encode(value)


def test_endless_value_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(PayloadError, match="cannot be encoded"):
        encode(loop)


def test_dataclass_that_refuses_its_values_says_why() -> None:
    @dataclass
    class Positive:
        number: int

        def __post_init__(self) -> None:
            if self.number < 1:
                raise ValueError("number must be positive")

    with pytest.raises(PayloadError, match="Positive refuses it: number must be positive"):
        decoder(Positive)(b'{"number": 0}')
