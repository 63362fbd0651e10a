"""The distribution keeps its promises to those who install it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path, PurePath

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]
PACKAGES: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"][
    "build"
]["targets"]["wheel"]["packages"]
BASE = {"quarterdeck", "click", "grpcio", "protobuf", "typing_extensions"}
LOADED = """
import sys
before = set(sys.modules)
import {module}
print(*sorted({{name.partition(".")[0] for name in sys.modules.keys() - before}}))
"""


def distributions_loaded_by(module: str) -> set[str]:
    """Return the distributions that `import module` loads in a fresh interpreter."""
    code = LOADED.format(module=module)
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    owners = packages_distributions()
    return {owner for name in run.stdout.split() for owner in owners.get(name, ())}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_marked_as_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_the_wheel_holds_what_the_packages_read_at_run_time() -> None:
    wheel = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_project_files()}
    present = {
        str(path.relative_to((ROOT / package).parent))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".pyo")
    }
    # None is left out, such as one that a pattern of .gitignore happens to match.
    assert present - wheel == set()
    for needed in ("*.sql", "*.tcss", "fsync_delay.c", "py.typed"):
        assert [path for path in wheel if PurePath(path).match(needed)], needed


@pytest.mark.parametrize("module", ["quarterdeck", "quarterdeck.cli", "quarterdeck.testing"])
def test_the_sdk_loads_nothing_beyond_the_base_dependencies(module: str) -> None:
    assert distributions_loaded_by(module) - BASE == set()


def test_the_pytest_plugin_costs_other_projects_no_grpc() -> None:
    assert "grpcio" not in distributions_loaded_by("quarterdeck.testing.plugin")
