"""Generate the methods of the blocking client from those of the asynchronous one.

Both clients have the same methods with the same signatures and docstrings; written once, they
cannot differ, and stay plain code for type checkers, completion and readers. With --check it
writes nothing and exits with 1 when the committed code is not what would be generated.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

SDK = Path(__file__).resolve().parent.parent / "agent_sdk" / "quarterdeck"
SUBJECTS = ("tasks", "schedules", "fleet")
_RULES = (
    (r"# The same parameters as the blocking client, `timeout` among them\.\n", ""),
    (r"# ruff: noqa: ASYNC109\n\n", ""),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsync([A-Z]\w*)", r"\1"),
    (r"the asynchronous client", "the blocking client"),
)


def generate(subject: str) -> str:
    """Return the module of the blocking client's methods about `subject`."""
    source = SDK / f"_async_{subject}.py"
    text = source.read_text("utf-8")
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text)
    title, rest = text.split("\n", 1)
    text = f"{title}\n\n# Generated from {source.name} by `make client`: not to be edited.\n{rest}"
    command = [sys.executable, "-m", "ruff"]
    name = f"--stdin-filename={SDK / f'_{subject}.py'}"
    for step in (["check", "--quiet", "--fix", "--select", "I", name, "-"], ["format", name, "-"]):
        run = subprocess.run([*command, *step], input=text, text=True, capture_output=True)
        if run.returncode:
            sys.exit(run.stderr or f"ruff {step[0]} failed on {source.name}")
        text = run.stdout
    return text


def main() -> int:
    """Write what differs, or with --check only name it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    check = parser.parse_args().check
    stale = 0
    for subject in SUBJECTS:
        path, fresh = SDK / f"_{subject}.py", generate(subject)
        if path.exists() and path.read_text("utf-8") == fresh:
            continue
        stale += 1
        print(f"{path.name} is out of date: run `make client`" if check else path.name)
        if not check:
            path.write_text(fresh, "utf-8")
    return int(check and stale > 0)


if __name__ == "__main__":
    sys.exit(main())
