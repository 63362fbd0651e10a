"""Measures the console under load: a large, busy fleet in a process of its own.

    python -m tests.console.load [--tasks 100000] [--rate 5000] [--seconds 20] [--json]

Prints the console's CPU, the lag of its event loop, and how long a change takes until the line that
shows it is drawn. Exits 1 when a figure is over its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from typing import Any

from tests.console.driving import Driver
from tests.console.fleet import Fleet
from tests.console.speech import task_id
from tests.console.watch_calls import FRAME

from quarterdeck_console.app import ConsoleApp
from quarterdeck_console.widgets.livetable import LiveTable

LIMITS = {"cpu_pct": 25.0, "loop_lag_p95_ms": 15.0, "change_on_screen_p95_ms": 200.0}
PROBE = task_id(1 << 60)
STATES = ("READY", "RUNNING", "SUCCEEDED")


async def busy_fleet(tasks: int, rate: int) -> None:
    """Serves many tasks, and changes them at random; runs until killed."""
    fleet = Fleet()
    now = time.time()
    keys = [
        fleet.task(
            random.choice(("digest", "triage", "fetch")), "READY", created=now - number * 0.01
        )
        for number in range(tasks)
    ]
    fleet.task("0", "RUNNING", id=PROBE, created=now + 1_000)
    for number in range(50):
        fleet.agent(f"agent-{number:04}", running=4)
    sys.stdout.write(await fleet.start() + "\n")
    sys.stdout.flush()
    started = time.monotonic()
    done = 0
    while True:
        due = int((time.monotonic() - started) * rate)
        for _ in range(min(due - done, rate)):
            # Half of the changes hit the newest rows, which are those that the console shows.
            fresh = random.random() < 0.5
            key = keys[random.randrange(500 if fresh else tasks)]
            fleet.change_task(key, random.choice(STATES))
            done += 1
        counts = {3: tasks // 2, 4: tasks // 4, 6: done}
        fleet.queue(counts=counts, succeeded_total=done)
        probe = fleet.items["task"][PROBE]
        # Its name is the instant of its change, because the name is shown at every width.
        if time.time() - float(probe.name) > 0.35:
            fleet.change_task(PROBE, name=repr(time.time()))
        await asyncio.sleep(FRAME / 5)


class Probe:
    """Notes when the line of the probe's newest version is drawn."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self._seen = ""

    def install(self) -> None:
        """Looks over the table's shoulder."""
        draw = LiveTable.render_line

        def watched(table: LiveTable[Any], y: int) -> Any:
            strip = draw(table, y)
            row = table.row(PROBE)
            if row is not None and row.name != self._seen and y == 1:
                self._seen = row.name
                self.delays.append(time.time() - float(row.name))
            return strip

        LiveTable.render_line = watched  # type: ignore[method-assign, assignment]


async def loop_lag(lags: list[float]) -> None:
    """Notes by how much a sleep of 5 ms is late."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        lags.append(time.perf_counter() - before - 0.005)


def percentile(values: list[float], share: float) -> float:
    """The value that so large a share stays under."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


async def measure(address: str, seconds: float) -> dict[str, float]:
    """Runs the console on the list of tasks, headless."""
    probe = Probe()
    probe.install()
    app = ConsoleApp(address)
    async with app.run_test(size=(160, 45)) as pilot:
        driver = Driver(app, pilot)
        await driver.until(lambda: app.fleet.connection.live)
        await driver.press("2")
        await driver.until(lambda: driver.tasks.table.row_count > 100)
        await asyncio.sleep(3)
        lags: list[float] = []
        probe.delays.clear()
        changes, cpu, wall = app.fleet.connection.changes, time.process_time(), time.monotonic()
        lagging = asyncio.create_task(loop_lag(lags))
        await asyncio.sleep(seconds)
        took = time.monotonic() - wall
        cpu = time.process_time() - cpu
        lagging.cancel()
        held = len(driver.tasks.feed.window.rows)
        changes = app.fleet.connection.changes - changes
    return {
        "changes_per_s": round(changes / took, 1),
        "rows_held": held,
        "cpu_pct": round(100 * cpu / took, 1),
        "loop_lag_p50_ms": round(percentile(lags, 0.5) * 1000, 2),
        "loop_lag_p95_ms": round(percentile(lags, 0.95) * 1000, 2),
        "change_on_screen_p50_ms": round(percentile(probe.delays, 0.5) * 1000, 1),
        "change_on_screen_p95_ms": round(percentile(probe.delays, 0.95) * 1000, 1),
        "probes": len(probe.delays),
    }


async def run(tasks: int, rate: int, seconds: float) -> dict[str, float]:
    """Starts the fleet's process, and measures."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.console.load", "--serve", "--tasks", str(tasks),
        "--rate", str(rate), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        address = (await server.stdout.readline()).decode().strip()
        return await measure(address, seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.kill()
        await server.wait()


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(busy_fleet(given.tasks, given.rate))
        return 0
    figures = asyncio.run(run(given.tasks, given.rate, given.seconds))
    over = [name for name, limit in LIMITS.items() if figures[name] > limit]
    if given.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        for name, value in figures.items():
            limit = f"   limit {LIMITS[name]}" if name in LIMITS else ""
            sys.stdout.write(f"{name:26}{value:>10}{limit}\n")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
