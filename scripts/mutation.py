"""Measure how many small defects of the pure engine its tests find.

mutmut writes the engine with thousands of defects, one at a time of which is switched on; the tests of `tests/engine`
that reach the function run against it, and the state machines with few examples. All of them take hours, so by default
a random sample is measured, of which the seed is said: the same seed and the same code give the same sample.

Not measured: what mutmut leaves alone (decorated functions, properties, what runs at import), and the sentences of
`engine/explain/texts.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from math import sqrt
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutation"
ENGINE = "quarterdeck_server.engine"
SETTINGS = """
[tool.mutmut]
source_paths = ["quarterdeck_server"]
only_mutate = ["quarterdeck_server/engine/*.py"]
do_not_mutate = ["quarterdeck_server/engine/explain/texts.py"]
pytest_add_cli_args_test_selection = ["tests/engine", "tests/store/test_sqlite_machine.py"]
pytest_add_cli_args = ["-p", "no:cacheprovider"]
also_copy = ["docs"]
track_dependencies = false
timeout_multiplier = 2.0
timeout_constant = 5.0
"""
FOUND = {
    1: "killed",
    3: "killed",
    24: "timeout",
    -24: "timeout",
    36: "timeout",
    152: "timeout",
    255: "timeout",
}
"""Exit codes of mutmut's children that mean that the tests noticed."""
MISSED = {0: "survived", 5: "no tests", 33: "no tests"}


def prepare() -> None:
    """Copy what mutmut needs into a folder of its own; it works where it stands."""
    WORK.mkdir(parents=True, exist_ok=True)
    for source, target in (
        (ROOT / "server" / "quarterdeck_server", WORK / "quarterdeck_server"),
        (ROOT / "tests" / "engine", WORK / "tests" / "engine"),
        (ROOT / "docs", WORK / "docs"),
    ):
        shutil.rmtree(target, ignore_errors=True)
        # With times: mutmut writes again only what is newer.
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "tests" / "conftest.py", WORK / "tests")
    (WORK / "tests" / "store").mkdir(exist_ok=True)
    shutil.copy2(ROOT / "tests" / "store" / "test_sqlite_machine.py", WORK / "tests" / "store")
    shutil.rmtree(WORK / "mutants" / "tests", ignore_errors=True)
    text = (ROOT / "pyproject.toml").read_text()
    (WORK / "pyproject.toml").write_text(text + SETTINGS)


def mutmut(names: Sequence[str], children: int) -> None:
    """Run some mutants; their results stand beside their modules."""
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(children), *names]
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "mutation"}
    subprocess.run(command, cwd=WORK, env=environment, check=True)


def results() -> dict[str, int | None]:
    """Exit codes by mutant; None where it was not run."""
    found: dict[str, int | None] = {}
    for path in sorted((WORK / "mutants" / "quarterdeck_server" / "engine").rglob("*.meta")):
        found |= json.loads(path.read_text())["exit_code_by_key"]
    return found


def interval(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's formula, which holds near 1 too."""
    z, share = 1.96, hits / total
    middle = share + z * z / (2 * total)
    half = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return (middle - half) / scale, (middle + half) / scale


def module_of(mutant: str) -> str:
    """The module of a mutant, as a path below the engine."""
    return mutant.removeprefix(f"{ENGINE}.").rsplit(".", 1)[0]


def report(names: Iterable[str]) -> None:
    """Print the score of a sample, and what was not found, by module."""
    codes = results()
    missed: dict[str, list[str]] = {}
    kinds: Counter[str] = Counter()
    for name in sorted(names):
        code = codes[name]
        kind = "not run" if code is None else {**FOUND, **MISSED}.get(code, f"code {code}")
        kinds[kind] += 1
        if code in MISSED:
            missed.setdefault(module_of(name), []).append(name)
    total = sum(kinds.values()) - kinds["not run"]
    hits = kinds["killed"] + kinds["timeout"]
    low, high = interval(hits, total)
    for module, mutants in missed.items():
        print(f"{module}: {len(mutants)}", *mutants, sep="\n  ")
    print(*(f"{kind}: {count}" for kind, count in kinds.items()), sep=", ")
    print(f"score {hits / total:.1%} of {total}, 95 % interval {low:.1%} to {high:.1%}")


def main() -> None:
    """Measure a sample, or all mutants of the modules that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "modules",
        nargs="*",
        help="modules of the engine, such as claim or filters.parser; default: all",
    )
    parser.add_argument("--sample", type=int, default=400, help="how many mutants; 0 means all")
    parser.add_argument("--seed", type=int, default=3, help="of the sample")
    parser.add_argument("--children", type=int, default=2, help="mutants that run at once")
    options = parser.parse_args()
    prepare()
    mutmut([f"{ENGINE}.retry.*"], options.children)
    names = sorted(results())
    if options.modules:
        names = [name for name in names if module_of(name) in options.modules]
    if options.sample and options.sample < len(names):
        names = sorted(random.Random(options.seed).sample(names, options.sample))
    print(f"{len(names)} of {len(results())} mutants, seed {options.seed}")
    mutmut(names, options.children)
    report(names)


if __name__ == "__main__":
    main()
