from __future__ import annotations

import ast
import importlib
from pathlib import Path

import quarterdeck


def declared() -> dict[str, str]:
    """The home of each public name, as type checkers are told."""
    tree = ast.parse(Path(quarterdeck.__file__).read_text(encoding="utf-8"))
    return {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.startswith("quarterdeck")
        for alias in node.names
    }


def test_every_public_name_is_what_type_checkers_are_told() -> None:
    homes = declared()
    assert set(homes) == set(quarterdeck.__all__)
    for name, home in homes.items():
        assert getattr(quarterdeck, name) is getattr(importlib.import_module(home), name), name


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    assert not hasattr(quarterdeck, "nothing_of_this_name")
    assert set(quarterdeck.__all__) <= set(dir(quarterdeck))
