"""kill -9 at any moment: what was acknowledged is there, and the log explains the rest."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from quarterdeck_server.engine.ids import decode_task_id
from quarterdeck_server.engine.states import SUCCEEDED, Outcome

from ..engine.checker import LogChecker
from ..engine.sqlite import Sqlite
from .load import Load, wait_succeeded
from .process import ServerProcess

CYCLES = int(os.environ.get("QUARTERDECK_KILL_CYCLES", "10"))


def _check(data: Path, load: Load) -> None:
    """Hold the change log and the tables against the rules and against what clients were promised."""
    driver = Sqlite(data / "quarterdeck.db", lambda now: 0, lambda: 0)
    try:
        checker = LogChecker()
        checker.follow(list(driver.changes))
        checker.compare(driver)
        promised = [decode_task_id(x) for ids in load.acknowledged.values() for x in ids]
        assert len(promised) == len(set(promised))
        assert set(promised) == driver.tasks.keys(), "what was acknowledged, once"
        assert all(task.state == SUCCEEDED for task in driver.tasks.values())
        for text, number in load.reported:
            attempt = driver.attempts[decode_task_id(text), number]
            assert attempt.outcome == Outcome.SUCCEEDED, "an acknowledged report holds"
    finally:
        driver.close()


@pytest.mark.timeout(120)
async def test_a_killed_server_loses_and_repeats_nothing(
    make_server: Callable[..., ServerProcess],
) -> None:
    chance = random.Random(20260101)
    server = await make_server().start()
    load = Load(server)
    load.start()
    for _ in range(CYCLES):
        await load.answered(chance.randrange(1, 120))
        await server.kill()
        await server.start()
    await load.answered(20)
    await load.stop_submitting()
    api = server.api()
    for ids in load.acknowledged.values():
        for task_id in ids:
            await wait_succeeded(api, task_id)
    await api.channel.close()
    await load.stop()
    server.send(signal.SIGTERM)
    assert await server.ended() == 0
    assert load.acknowledged.keys() == load.requested
    _check(server.data, load)
