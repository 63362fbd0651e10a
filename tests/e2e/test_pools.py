"""Compute on demand with a real server and real processes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quarterdeck import Client, Timeouts
from quarterdeck._watch import Kind
from quarterdeck.testing import Server

HERE = Path(__file__).parent


def pool(**changes: Any) -> str:
    """The setting `pools` with one pool."""
    settings = {
        "name": "pooled",
        "queue": "default",
        "min": 0,
        "max": 2,
        "slots": 1,
        "idle_timeout": "300ms",
        "argv": [sys.executable, "-m", "quarterdeck.cli", "agent", "run", "pool_agent:agent"],
        "env": {"PYTHONPATH": str(HERE)},
    }
    return json.dumps([settings | changes])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(**changes: Any) -> Server:
        settings = {"pools": pool(**changes), "lease_duration": "2s", "drain_grace": "3s"}
        server = Server(tmp_path / "data", settings)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


def until(client: Client, kind: Kind, wanted: Callable[[Any], bool]) -> Any:
    """The first resource of a kind that is as wanted, as a watch tells it."""
    for change in client.watch([kind]):
        if wanted(change.resource):
            return change.resource
    raise AssertionError("the watch ended")


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_task_without_an_agent_gets_one_and_the_agent_goes_when_it_is_idle(
    start: Callable[..., Server],
) -> None:
    client = start().client

    process = client.result(client.submit("pid"), int, timeout=30)
    stopped = until(client, "instance", lambda instance: instance.state == "stopped")

    assert stopped.pid == process
    assert not alive(process)


def test_a_killed_agent_is_replaced_and_its_task_runs_again(start: Callable[..., Server]) -> None:
    client = start(min=1, max=1).client
    first = until(client, "instance", lambda instance: instance.state == "running")

    os.kill(first.pid, signal.SIGKILL)
    process = client.result(client.submit("pid"), int, timeout=30)

    assert process != first.pid


def test_the_process_of_a_task_that_does_not_heed_its_cancel_is_killed(
    start: Callable[..., Server],
) -> None:
    client = start().client
    task_id = client.submit("stubborn", timeouts=Timeouts(cancel_grace=0.5))
    working = until(client, "task", lambda task: task.progress is not None)
    process = int(working.progress.message)

    client.cancel(task_id, reason="enough")
    task = client.wait(task_id, timeout=30)
    until(
        client,
        "instance",
        lambda instance: instance.pid == process and instance.state == "stopped",
    )

    assert task.state == "cancelled"
    assert task.cancellation is not None
    assert task.cancellation.escalate_time is not None
    assert not alive(process)


def test_a_server_that_stops_leaves_no_child(start: Callable[..., Server]) -> None:
    server = start(min=2)
    processes: set[int] = set()

    def both(instance: Any) -> bool:
        if instance.state == "running":
            processes.add(instance.pid)
        return len(processes) == 2

    until(server.client, "instance", both)

    assert server.stop() == 0
    assert [process for process in processes if alive(process)] == []


def test_a_killed_servers_children_are_taken_over_by_the_next(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    server = start(min=1, max=1)
    first = until(server.client, "instance", lambda instance: instance.state == "running")

    server.kill()
    server.start()
    process = server.client.result(server.client.submit("pid"), int, timeout=30)

    assert process == first.pid


def test_a_task_whose_pool_cannot_start_an_agent_says_what_the_agent_said(
    start: Callable[..., Server],
) -> None:
    argv = [sys.executable, "-m", "quarterdeck.cli", "agent", "run", "no_such_module:agent"]
    client = start(argv=argv).client
    task_id = client.submit("pid")
    until(client, "pool", lambda found: bool(found.detail))

    summary = client.explain(task_id).summary

    assert "no agent in contact takes from queue default; pool pooled: " in summary
    assert "the last: exit 2: Error: there is no module no_such_module; starts again" in summary
