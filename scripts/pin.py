"""Write constraints.txt: the version of everything that `.[all]` and the group `dev` pull in.

Run by `make constraints`, with the environment's own pip. What is pinned by choice stands in
CHOSEN with its reason; the rest is the newest that fits it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The fastest gRPC measured (design, section 11); newer ones lose about a third on unary calls.
CHOSEN = ("grpcio==1.78.2", "grpcio-health-checking==1.78.2", "grpcio-reflection==1.78.2")
HEADER = """\
# Written by `make constraints`: everything an install with all extras and the development tools
# pulls in. Use it as `pip install -c constraints.txt -e '.[all]' --group dev`.
"""


def resolve(folder: Path) -> dict[str, str]:
    """Return name -> version of what pip would install into an empty environment."""
    chosen, report = folder / "chosen.txt", folder / "report.json"
    chosen.write_text("\n".join(CHOSEN), "utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    what = ["--report", str(report), "-c", str(chosen), "-e", ".[all]", "--group", "dev"]
    subprocess.run([*pip, *what], check=True, cwd=ROOT)
    installed = json.loads(report.read_text("utf-8"))["install"]
    return {item["metadata"]["name"]: item["metadata"]["version"] for item in installed}


def main() -> None:
    """Replace constraints.txt."""
    with tempfile.TemporaryDirectory() as folder:
        versions = resolve(Path(folder))
    versions.pop("quarterdeck")
    pins = sorted((f"{name}=={version}\n" for name, version in versions.items()), key=str.lower)
    (ROOT / "constraints.txt").write_text(HEADER + "".join(pins), "utf-8")


if __name__ == "__main__":
    main()
