"""A slower disk for a server: each fsync takes some milliseconds longer.

The disks of virtual machines answer fsync in a tenth of a millisecond, those of users in one to twenty; only with that
delay does a measurement show what group commit is worth. A small C library, preloaded, wraps fsync and fdatasync.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from quarterdeck_server.bench.errors import BenchError

_SOURCE = Path(__file__).with_name("fsync_delay.c")
_COMPILE_SECONDS = 60


def slow_disk(delay_ms: float, folder: Path) -> dict[str, str]:
    """The environment variables that give a process the delay; none for no delay.

    Args:
        delay_ms: How much longer each fsync takes.
        folder: Where the compiled library is put.

    Raises:
        BenchError: There is no C compiler, it failed, or the platform cannot preload.
    """
    if delay_ms <= 0:
        return {}
    library = folder / "fsync_delay.so"
    if not library.exists():
        _compile(library)
    return {"LD_PRELOAD": str(library), "FSYNC_DELAY_US": str(round(delay_ms * 1000))}


def _compile(library: Path) -> None:
    if not sys.platform.startswith("linux"):
        raise BenchError("--fsync-delay works on Linux only: it preloads a library")
    compiler = shutil.which(os.environ.get("CC") or "cc")
    if compiler is None:
        raise BenchError(
            "--fsync-delay needs a C compiler and found no `cc`: install one (such as the package gcc), "
            "name one in the variable CC, or leave the option out"
        )
    command = [compiler, "-O2", "-fPIC", "-shared", "-o", str(library), str(_SOURCE), "-ldl"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False
    )
    if done.returncode != 0:
        raise BenchError(f"--fsync-delay: the C compiler failed: {done.stderr.strip()[:500]}")
