"""What is declared, what is pinned and what the generated code asks for agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "agent_sdk" / "quarterdeck" / "v1"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def declared() -> list[Requirement]:
    project = PYPROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    groups.append(PYPROJECT["dependency-groups"]["dev"])
    requirements = [Requirement(text) for group in groups for text in group]
    return [r for r in requirements if r.name != project["name"]]


def pin_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def pins() -> dict[str, Version]:
    pairs = (line.split("==") for line in pin_lines())
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def floor(name: str) -> Version:
    """Return the oldest version of `name` that pyproject.toml allows at run time."""
    (found,) = [Requirement(t) for t in PYPROJECT["project"]["dependencies"] if t.startswith(name)]
    (lowest,) = [s.version for s in found.specifier if s.operator == ">="]
    return Version(lowest)


def test_every_declared_dependency_is_pinned_within_its_range() -> None:
    pinned = pins()
    outside = [
        str(r)
        for r in declared()
        if (version := pinned.get(canonicalize_name(r.name))) is None
        or not r.specifier.contains(version)
    ]
    assert outside == []


def test_constraints_hold_nothing_but_exact_versions() -> None:
    assert [line for line in pin_lines() if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_generated_messages_import_on_the_oldest_protobuf_declared() -> None:
    modules = sorted(GENERATED.glob("*_pb2.py"))
    assert modules
    asked = {
        found.group(1)
        for module in modules
        if (found := re.search(r"^# Protobuf Python Version: (\S+)", module.read_text(), re.M))
    }
    assert asked == {str(floor("protobuf"))}


def test_generated_services_import_on_the_oldest_grpcio_declared() -> None:
    modules = sorted(GENERATED.glob("*_pb2_grpc.py"))
    assert modules
    asked = {
        found.group(1)
        for module in modules
        if (found := re.search(r"^GRPC_GENERATED_VERSION = '(\S+)'", module.read_text(), re.M))
    }
    assert {Version(text) for text in asked} == {floor("grpcio")}
