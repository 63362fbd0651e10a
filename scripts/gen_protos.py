"""Generate the Python code of the API from proto/ into agent_sdk/.

Run it in the generator's own environment, which `make proto` makes from
scripts/proto-requirements.txt. With --check it writes nothing and exits with 1
when the committed code is not what the .proto files would give.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc_tools

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
OUT = ROOT / "agent_sdk"
INIT = '"""Generated from the .proto files by `make proto`: not to be edited."""\n'
INCLUDE = Path(grpc_tools.__file__).parent / "_proto"


def protoc(target: Path, protos: list[Path], *plugins: str) -> None:
    """Run protoc over `protos`; the mypy plug-ins are found beside this interpreter."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"-I{INCLUDE}"]
    for plugin in plugins:
        option = "quiet:" if plugin.startswith("mypy") else ""
        command.append(f"--{plugin}_out={option}{target}")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    run = subprocess.run(
        [*command, *map(str, protos)], check=False, env={**os.environ, "PATH": path}
    )
    if run.returncode:
        sys.exit("protoc failed, nothing was written")


def generate(target: Path) -> dict[Path, bytes]:
    """Return what the .proto files give, by path below agent_sdk/."""
    protos = sorted(PROTO.rglob("*.proto"))
    services = [p for p in protos if re.search(r"^service\s", p.read_text("utf-8"), re.MULTILINE)]
    protoc(target, protos, "python", "mypy")
    protoc(target, services, "grpc_python", "mypy_grpc")
    for folder in {p.relative_to(PROTO).parent for p in protos}:
        (target / folder / "__init__.py").write_text(INIT, "utf-8")
    return {p.relative_to(target): p.read_bytes() for p in target.rglob("*") if p.is_file()}


def main() -> int:
    """Write what differs, or with --check only name it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as target:
        fresh = generate(Path(target))
    present = {
        p.relative_to(OUT)
        for folder in {p.parent for p in fresh}
        for p in (OUT / folder).glob("*.py*")
        if p.is_file()
    }
    stale = sorted(
        p for p, code in fresh.items() if p not in present or (OUT / p).read_bytes() != code
    )
    gone = sorted(present - fresh.keys())
    for path in stale:
        sys.stdout.write(f"{'stale' if check else 'wrote'}  agent_sdk/{path}\n")
        if not check:
            (OUT / path).parent.mkdir(parents=True, exist_ok=True)
            (OUT / path).write_bytes(fresh[path])
    for path in gone:
        sys.stdout.write(f"{'surplus' if check else 'removed'}  agent_sdk/{path}\n")
        if not check:
            (OUT / path).unlink()
    return 1 if check and (stale or gone) else 0


if __name__ == "__main__":
    sys.exit(main())
