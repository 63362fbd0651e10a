"""Measures what an fsync costs: `python -m quarterdeck_server.bench.fsync_probe FOLDER` prints milliseconds."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time

_ROUNDS = 20
_BLOCK = b"\0" * 4096


def fsync_ms(folder: str) -> float:
    """The median time to write and sync one block to a file in `folder`."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_ROUNDS):
            start = time.perf_counter()
            os.write(file.fileno(), _BLOCK)
            os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


if __name__ == "__main__":
    sys.stdout.write(f"{fsync_ms(sys.argv[1]):.3f}\n")
