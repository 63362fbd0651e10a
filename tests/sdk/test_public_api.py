"""What is public, and that it says so."""

from __future__ import annotations

import ast
import importlib
import inspect
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import quarterdeck


def test_all_is_sorted_and_complete() -> None:
    tree = ast.parse(inspect.getsource(quarterdeck))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("quarterdeck.")
        for alias in node.names
    }
    assert quarterdeck.__all__ == sorted(imported)


def test_every_public_name_comes_from_the_module_that_the_type_checker_sees() -> None:
    for node in ast.walk(ast.parse(inspect.getsource(quarterdeck))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("quarterdeck."):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert getattr(quarterdeck, alias.name) is getattr(module, alias.name)


def test_everything_public_is_documented() -> None:
    undocumented = [
        name
        for name in quarterdeck.__all__
        if name != "Resource" and not inspect.getdoc(getattr(quarterdeck, name))
    ]
    assert undocumented == []


def test_both_clients_have_the_same_methods() -> None:
    def methods(client: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(value).parameters)
            for name, value in inspect.getmembers(client, inspect.isfunction)
            if not name.startswith("_")
        }

    assert methods(quarterdeck.Client) == methods(quarterdeck.AsyncClient)


@pytest.mark.parametrize("subject", ["tasks", "schedules", "fleet"])
def test_the_blocking_methods_are_generated_from_the_asynchronous_ones(subject: str) -> None:
    generator = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "gen_client.py"))
    committed = (generator["SDK"] / f"_{subject}.py").read_text(encoding="utf-8")

    assert committed == generator["generate"](subject)


def test_run_has_at_most_twelve_public_members() -> None:
    members = [name for name in dir(quarterdeck.Run) if not name.startswith("_")]
    assert len(members) <= 12


def test_it_works_without_uvloop() -> None:
    code = (
        "import sys; sys.modules['uvloop'] = None\n"
        "import quarterdeck\n"
        "try: quarterdeck.Client('127.0.0.1:9', timeout=0.1).count()\n"
        "except quarterdeck.UnavailableError: print('unavailable')"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("unavailable\n", "")


def test_import_opens_nothing_and_needs_the_base_dependencies_only() -> None:
    code = (
        "import sys, threading, quarterdeck, quarterdeck.testing;"
        "agent = quarterdeck.Agent('a'); client = quarterdeck.TaskState.READY;"
        "print(threading.active_count(), *sorted({'click', 'pydantic', 'yaml', 'textual',"
        " 'quarterdeck_server'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == ["1"]
