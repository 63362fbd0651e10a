from __future__ import annotations

import re
from pathlib import Path

import pytest

from quarterdeck_server.engine.filters import (
    AGENT_FIELDS,
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_TERMS,
    QUEUE_FIELDS,
    SCHEDULE_FIELDS,
    TASK_FIELDS,
    FieldTable,
    parse,
)
from quarterdeck_server.engine.filters.regex import MAX_TEXT
from quarterdeck_server.engine.filters.regex_syntax import MAX_COUNT, MAX_PATTERN

PAGE = (Path(__file__).parents[3] / "docs" / "filters.md").read_text(encoding="utf-8")
TABLES = {
    table.resource: table for table in (TASK_FIELDS, AGENT_FIELDS, SCHEDULE_FIELDS, QUEUE_FIELDS)
}
EXAMPLES = [
    (resource, line)
    for resource, block in re.findall(r"```filter (\w+)\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize(("resource", "example"), EXAMPLES)
def test_every_example_of_the_page_parses(resource: str, example: str) -> None:
    assert not parse(example, TABLES[resource]).takes_everything


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_every_field_and_its_words_are_on_the_page_and_no_other(table: FieldTable) -> None:
    section = re.search(rf"\*\*{table.resource}s\.\*\*(.*?)(?=\n\*\*|\n## )", PAGE, re.S | re.I)
    assert section
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|(.*)\|$", section[1], re.MULTILINE)
    named = {name for first, _, also in rows for name in re.findall(r"`(.+?)`", first + also)}
    keyed = {f"{field.name}.KEY" for field in table.fields if field.keyed}
    assert named == {*table.names, *keyed}
    words = {word for field in table.fields for word in field.words or ()}
    assert words <= set(re.findall(r"`(\w+)`", section[1]))


def test_the_text_fields_of_the_page_are_the_ones_searched() -> None:
    for table in TABLES.values():
        sentence = re.search(
            rf"\*\*{table.resource}s\.\*\* Bare words search (.*?)\.\n", PAGE, re.I
        )
        assert sentence
        fields = [table.find(name) for name in re.findall(r"`(\w+)`", sentence[1])]
        searched = tuple(name for field in fields if field for name in field.attributes)
        assert searched == table.bare.attributes


def test_the_limits_of_the_page_are_the_limits() -> None:
    for limit in (f"{MAX_LENGTH:,} characters", f"{MAX_TERMS} terms", f"{MAX_DEPTH} levels"):
        assert limit in PAGE
    for limit in (f"{MAX_PATTERN} characters", f"{MAX_TEXT:,} characters", f"up to {MAX_COUNT}"):
        assert limit in PAGE
