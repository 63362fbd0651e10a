"""What acts and the audit log read: ids of all that matches at one revision, entries page by page."""

from __future__ import annotations

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.filters import TASK_FIELDS, parse
from quarterdeck_server.store.sqlite import reads

from ..engine import make
from ..engine.make import NOW, SECOND
from .desk import Desk

WHO = c.Audit("ann", "Act")


@pytest.mark.parametrize("read_at_once", [1, 2, 3, 100])
async def test_all_ids_that_match_are_found_in_their_order(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, read_at_once: int
) -> None:
    monkeypatch.setattr(reads, "_SELECTED", read_at_once)
    ids = await desk.submit(*(make.spec(name=f"n{i % 2}") for i in range(6)))
    await desk.do(c.Submit("other", [make.spec(name="n1")]))
    found = await desk.store.select_tasks("default", parse("name:n1", TASK_FIELDS), NOW, 100)
    assert found.ids.tolist() == ids[1::2]
    assert (found.total, found.revision) == (3, await desk.store.revision())
    everything = await desk.store.select_tasks("default", None, NOW, 4)
    assert everything.ids.tolist() == ids[:4], "so many are kept"
    assert everything.total == 6, "all are counted"


async def test_a_selection_counts_ages_from_the_instant_that_is_given(desk: Desk) -> None:
    await desk.submit(make.spec())
    young = parse("age<5s", TASK_FIELDS)
    assert (await desk.store.select_tasks("default", young, NOW + SECOND, 9)).total == 1
    assert (await desk.store.select_tasks("default", young, NOW + 9 * SECOND, 9)).total == 0


async def test_entries_are_read_page_by_page_the_newest_first(desk: Desk) -> None:
    for name in "abc":
        audit = WHO._replace(target=name)
        await desk.do(c.UpdateQueue("default", name, True, "", audit))
    await desk.do(c.UpdateQueue("other", "x", True, "", WHO))
    page = await desk.store.list_audit("default", 2, None)
    assert [entry.target for entry in page.rows] == ["c", "b"]
    rest = await desk.store.list_audit("default", 2, page.next_key)
    assert [entry.target for entry in rest.rows] == ["a"] and rest.next_key is None


async def test_old_entries_are_removed_in_portions(desk: Desk) -> None:
    for name in "abcde":
        await desk.do(c.UpdateQueue("default", name, True, "", WHO._replace(target=name)))
    later = NOW + SECOND
    assert await desk.do(c.Prune(0, 0, 0, 1_000, limit=3, audit_before=later)) == 3
    assert len((await desk.store.list_audit("default", 9, None)).rows) == 2
    assert await desk.do(c.Prune(0, 0, 0, 1_000, limit=3, audit_before=later)) == 2
