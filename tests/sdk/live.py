"""What the tests of attempts under way wait for, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import quarterdeck


async def until(
    client: quarterdeck.AsyncClient,
    task_id: str,
    holds: Callable[[quarterdeck.TaskDetails], object],
    within: float = 20.0,
) -> quarterdeck.TaskDetails:
    """The first look at a task for which `holds`. The server tells of no single fact, so it is asked."""
    async with asyncio.timeout(within):
        while not holds(details := await client.get(task_id)):
            await asyncio.sleep(0.02)
    return details


async def until_paused(client: quarterdeck.AsyncClient, task_id: str) -> None:
    """Wait until the handler stands still."""
    await until(client, task_id, lambda x: x.task.pause and x.task.pause.acknowledge_time)


async def until_logged(client: quarterdeck.AsyncClient, task_id: str, text: str) -> str:
    """The first line of a task's log that begins with `text`."""
    async with asyncio.timeout(20):
        async for line in client.logs(task_id, follow=True):
            if line.text.startswith(text):
                return line.text
    raise AssertionError(f"no line {text!r}")
