from __future__ import annotations

from pathlib import Path

import pytest

from quarterdeck import Fail
from quarterdeck.testing import FakeRun, Server, run_task
from quarterdeck_server.demo import agent as agent_module
from quarterdeck_server.demo.agent import agent
from quarterdeck_server.demo.analysis import UnreadableError
from quarterdeck_server.demo.repository import History
from quarterdeck_server.demo.work import (
    GATHER,
    INSPECT,
    REPORT,
    RUN_LABEL,
    SURVEY,
    Inspected,
    InspectOrder,
    Surveyed,
    SurveyOrder,
    inspect_key,
    inspect_order,
)

from .conftest import Workspace


async def inspect(order: InspectOrder) -> Inspected:
    inspected = (await run_task(agent, INSPECT, order, type=Inspected)).result
    assert isinstance(inspected, Inspected)
    return inspected


async def test_an_inspection_says_what_is_in_the_file_and_what_git_knows(
    workspace: Workspace,
) -> None:
    workspace.write("a.py", "def f():\n    return 1\n")
    workspace.commit()
    folder = str(workspace.folder)
    found = await inspect(InspectOrder(folder, "a.py", "Python"))
    assert (found.facts.function_count, found.size) == (1, 22)
    assert found.history is not None
    assert found.history.commits == 1
    known = History(7, 1, 1, 0, 0)
    assert (await inspect(InspectOrder(folder, "a.py", "Python", known))).history == known


async def test_a_file_that_cannot_be_parsed_fails_with_its_place(workspace: Workspace) -> None:
    workspace.write("bad.py", "def f(:\n")
    with pytest.raises(SyntaxError, match=r"bad\.py, line 1"):
        await inspect(InspectOrder(str(workspace.folder), "bad.py", "Python"))
    workspace.write("bad.go", b"\xff\xff")
    with pytest.raises(UnreadableError):
        await inspect(InspectOrder(str(workspace.folder), "bad.go", "Go"))


@pytest.mark.parametrize("path", ["../secret.py", "/etc/passwd", "link.py"])
async def test_a_path_that_leads_out_of_the_folder_is_refused(
    workspace: Workspace, path: str
) -> None:
    (workspace.folder.parent / "secret.py").write_text("x = 1")
    (workspace.folder / "link.py").symlink_to("../secret.py")
    with pytest.raises(Fail, match="outside of the folder"):
        await inspect(InspectOrder(str(workspace.folder), path, "Python"))


async def test_a_path_that_is_no_utf_8_is_inspected(tmp_path: Path) -> None:
    path = b"caf\xe9.py".decode("utf-8", "surrogateescape")
    try:
        (tmp_path / path).write_text("x = 1\n")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    order = inspect_order(str(tmp_path), path, "Python", History(1, 1, 1, 1, 1))
    assert order.path == "caf\ufffd.py"
    assert (await inspect(order)).facts.lines == 1


def test_the_key_of_an_inspection_goes_by_path_and_content() -> None:
    keys = {inspect_key("r", path, data) for path in ("a", "b") for data in (b"1", b"2")}
    assert len(keys) == 4
    assert inspect_key("r", "a", b"1") in keys


async def test_a_survey_that_is_run_again_submits_nothing_twice(
    workspace: Workspace, quarterdeck_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUARTERDECK_SERVER", quarterdeck_server.address)
    monkeypatch.setattr(agent_module, "MOST_DEPENDENCIES", 2)
    for name in ("a.py", "b.py", "c.py"):
        workspace.write(name, f"name = {name!r}\n")
    order = SurveyOrder("r1", str(workspace.folder), "report.md")
    parent = FakeRun(id=quarterdeck_server.client.submit("nothing"))
    first = (await run_task(agent, SURVEY, order, type=Surveyed, run=parent)).result
    # A commit between the two attempts: the files' history, and so the orders, are others now.
    workspace.commit()
    again = (await run_task(agent, SURVEY, order, type=Surveyed, run=parent)).result
    assert first.files == again.files == 3
    assert first.report == again.report
    names = [task.name for task in quarterdeck_server.client.list(f"label.{RUN_LABEL}:r1")]
    assert sorted(names) == [GATHER, GATHER, INSPECT, INSPECT, INSPECT, REPORT]
