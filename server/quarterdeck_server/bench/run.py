"""Running scenarios, and what must be known of the machine to read their figures."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from quarterdeck_server.bench.figures import Figures, middle
from quarterdeck_server.bench.lab import Lab, Options
from quarterdeck_server.bench.processes import clean_environment
from quarterdeck_server.bench.scenarios import SCENARIOS

_PACKAGES = ("quarterdeck", "grpcio", "protobuf", "uvloop")


async def run_scenarios(
    names: Sequence[str], options: Options, folder: Path, repeat: int, tell: Callable[[str], None]
) -> dict[str, Figures]:
    """Run scenarios one after the other, each with a server of its own.

    Args:
        names: Which.
        options: How.
        folder: Where the servers keep their data meanwhile.
        repeat: Runs of each; the one in the middle counts.
        tell: Told the name of each scenario as it begins.

    Raises:
        BenchError: One cannot be measured.
        CancelledError: SIGTERM came; everything that was started has ended.
    """
    own = asyncio.current_task()
    assert own is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own.cancel)
    results = {}
    for name in names:
        tell(name)
        runs = [await _run(name, options, folder) for _ in range(repeat)]
        results[name] = middle(runs)
    return results


async def _run(name: str, options: Options, folder: Path) -> Figures:
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=folder) as own:
        lab = Lab(options, Path(own))
        try:
            return await SCENARIOS[name](lab)
        finally:
            await lab.stop()


def settings(options: Options, folder: Path, delay_ms: float, repeat: int) -> dict[str, Any]:
    """What the figures depend on, `fsync_ms` measured with the delay in it."""
    return {
        "versions": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "fsync_delay_ms": delay_ms,
        "fsync_ms": _fsync_ms(folder, options),
        "scale": options.scale,
        "repeat": repeat,
        "server": options.server or None,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _fsync_ms(folder: Path, options: Options) -> float:
    probe = [sys.executable, "-m", "quarterdeck_server.bench.fsync_probe", str(folder)]
    environment = {**clean_environment(), **options.environment}
    done = subprocess.run(
        probe, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return float(done.stdout)
