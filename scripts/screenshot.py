"""Draw docs/console.svg: the console's overview in front of a real server with a small fleet at work.

Run it with `make screenshot` after a change of the console's looks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import quarterdeck
from quarterdeck.testing import start_server
from quarterdeck_console.screenshot import svg

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("read", "summarise", "review")


def fleet(number: int) -> quarterdeck.Agent:
    """An agent whose work takes a moment, shows progress and sometimes fails."""
    chance = random.Random(number)
    agent = quarterdeck.Agent(f"{NAMES[number % len(NAMES)]}er", slots=6, version="1.4.0")

    for name in NAMES:

        @agent.task(name=name)
        async def work(run: quarterdeck.Run, steps: int) -> int:
            for step in range(steps):
                run.progress("page", done=step, total=steps)
                await asyncio.sleep(chance.uniform(0.05, 0.3))
            if chance.random() < 0.03:
                raise quarterdeck.Fail("the page has no text", type="EmptyPage")
            return steps

    return agent


def feed(client: quarterdeck.Client, stop: threading.Event) -> None:
    """Submit work at about the pace at which the fleet does it, until told to stop."""
    chance = random.Random(7)
    client.schedule("nightly-review", "0 2 * * *", "review", 5)
    while not stop.wait(0.1):
        for _ in range(3):
            client.submit(chance.choice(NAMES), chance.randint(2, 9))


def draw(address: str, path: Path) -> None:
    """Write the picture."""
    picture = asyncio.run(svg(address, view="overview", size=(120, 34), seconds=12.0))
    path.write_text(picture, encoding="utf-8")


def draw_apart(address: str, path: Path) -> None:
    """Write the picture from a process of its own: the console's loop and the SDK's do not share one."""
    subprocess.run([sys.executable, __file__, str(path), "--server", address], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=ROOT / "docs" / "console.svg")
    parser.add_argument("--server", help="draw this server as it is, without a fleet")
    arguments = parser.parse_args()
    if arguments.server:
        draw(arguments.server, arguments.path)
        return
    stop = threading.Event()
    with tempfile.TemporaryDirectory() as data, contextlib.ExitStack() as stack:
        server = stack.enter_context(start_server(Path(data)))
        for number in range(3):
            stack.enter_context(server.running(fleet(number)))
        feeding = threading.Thread(target=feed, args=(server.client, stop))
        feeding.start()
        try:
            draw_apart(server.address, arguments.path)
        finally:
            stop.set()
            feeding.join()


if __name__ == "__main__":
    main()
