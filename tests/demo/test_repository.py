from __future__ import annotations

from pathlib import Path

import pytest

from quarterdeck_server.demo.repository import Repository, RepositoryError

from .conftest import Workspace


def test_tracked_files_are_listed_and_others_are_not(workspace: Workspace) -> None:
    workspace.write("a.py", "x = 1\n")
    workspace.write("sub/with space\tand tab.py", "y = 1\n")
    workspace.write("gone.py", "")
    (workspace.folder / "gone.py").unlink()
    (workspace.folder / "untracked.py").write_text("")
    (workspace.folder / "link.py").symlink_to("a.py")
    workspace.git("add", "link.py")
    assert Repository(workspace.folder).files() == ["a.py", "sub/with space\tand tab.py"]


def test_a_folder_inside_a_repository_is_a_world_of_its_own(workspace: Workspace) -> None:
    workspace.write("a.py", "x = 1\n")
    workspace.write("sub/b.py", "y = 1\n")
    workspace.commit()
    repository = Repository(workspace.folder / "sub")
    base = repository.base()
    assert repository.files() == ["b.py"]
    assert set(repository.history()) == {"b.py"}
    workspace.write("a.py", "x = 2\n")
    workspace.write("sub/b.py", "y = 2\n")
    assert repository.changed(base) == ["b.py"]


def test_history_counts_commits_and_lines_of_each_file(workspace: Workspace) -> None:
    workspace.write("a.py", "1\n2\n3\n")
    workspace.write("b.py", "1\n")
    workspace.commit()
    workspace.write("a.py", "1\n3\n4\n")
    workspace.commit()
    found = Repository(workspace.folder).history()
    assert (found["a.py"].commits, found["a.py"].added, found["a.py"].deleted) == (2, 4, 1)
    assert found["b.py"].commits == 1
    assert 0 < found["a.py"].first <= found["a.py"].last
    assert set(Repository(workspace.folder).history(["b.py"])) == {"b.py"}


def test_a_change_is_seen_whether_it_was_committed_or_not(workspace: Workspace) -> None:
    for path in ("a.py", "b.py", "c.py"):
        workspace.write(path, "1\n")
    workspace.commit()
    repository = Repository(workspace.folder)
    base = repository.base()
    assert repository.changed(base) == []
    workspace.write("a.py", "2\n")
    workspace.commit()
    (workspace.folder / "b.py").write_text("2\n")
    workspace.write("new.py", "1\n")
    assert repository.changed(base) == ["a.py", "b.py", "new.py"]


def test_a_repository_without_a_commit_has_everything_changed(workspace: Workspace) -> None:
    workspace.write("a.py", "1\n")
    repository = Repository(workspace.folder)
    assert repository.history() == {}
    assert repository.changed(repository.base()) == ["a.py"]


def test_a_folder_outside_of_git_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError):
        Repository(tmp_path)
    with pytest.raises(RepositoryError, match="not a folder"):
        Repository(tmp_path / "nowhere")


def test_a_missing_git_is_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RepositoryError, match="git is not installed"):
        Repository(workspace.folder)


def test_the_environment_of_a_git_hook_does_not_mislead(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.write("a.py", "1\n")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert Repository(workspace.folder).files() == ["a.py"]
