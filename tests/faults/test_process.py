"""Signals, stalls, second servers and failing disks, on real processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from quarterdeck.v1 import task_service_pb2

from ..rpc.api import Api, agent, agents_pb, spec
from .load import wait_there
from .process import ServerProcess


@pytest.fixture
async def server(make_server: Callable[..., ServerProcess]) -> ServerProcess:
    """A running server."""
    return await make_server().start()


@pytest.fixture
async def api(server: ServerProcess) -> AsyncIterator[Api]:
    """Stubs for it."""
    stubs = server.api()
    yield stubs
    await stubs.channel.close()


async def test_sigterm_answers_what_waits_and_ends_with_0(server: ServerProcess, api: Api) -> None:
    await api.submit()
    await api.claim_one()
    waiting = asyncio.create_task(api.claim(wait={"seconds": 50}))
    await api.settle()
    server.send(signal.SIGTERM)
    answer = await waiting
    assert list(answer.tasks) == []
    assert await server.ended() == 0
    assert [x["event"] for x in server.events[-3:]] == ["draining", "stopped", "ended"]


_A_BUG = """
from quarterdeck_server.runtime.hub import Hub

publish = Hub.publish

def fails(hub, changes):
    if any(getattr(change.row, "name", "") == "boom" for change in changes):
        raise RuntimeError("a bug")
    publish(hub, changes)

Hub.publish = fails
"""


async def test_a_server_whose_memory_is_not_what_is_on_disk_ends_at_once_and_comes_back_right(
    make_server: Callable[..., ServerProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_A_BUG)
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        server = await make_server().start()
    api = server.api()
    async with api.channel:
        (task_id,) = await api.submit()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await api.submit(spec(name="boom"))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert await server.ended() == os.EX_SOFTWARE
        (event,) = [x for x in server.events if x.get("level") == "error"]
        assert "a bug" in str(event)
        await server.start()
        assert (await api.get(task_id)).task.id == task_id
        listed = await api.tasks.ListTasks(task_service_pb2.ListTasksRequest(filter="name:boom"))
        assert len(listed.tasks) == 1, "it was on disk, and only its answer was lost"


async def test_a_second_server_on_the_same_data_is_refused(server: ServerProcess, api: Api) -> None:
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "quarterdeck_server", "--listen", "127.0.0.1:0",
        "--data", str(server.data), stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, stderr = await second.communicate()
    assert second.returncode == 1
    assert f"another server holds it (process {server.pid})" in stderr.decode()
    assert "Traceback" not in stderr.decode()
    assert len(await api.submit()) == 1


async def _beat(api: Api, task: Any) -> Any:
    return await api.agents.Heartbeat(
        agents_pb.HeartbeatRequest(
            agent=agent(),
            leases=[{"task_id": task.task_id, "lease_token": task.lease_token}],
        )
    )


async def test_a_server_that_was_stopped_for_twice_a_lease_takes_none_away(
    server: ServerProcess, api: Api
) -> None:
    (task_id,) = await api.submit()
    task = await api.claim_one()
    assert not (await _beat(api, task)).directives
    server.send(signal.SIGSTOP)
    # The time that passes is what is tested: twice the lease.
    await asyncio.sleep(2)
    server.send(signal.SIGCONT)
    assert not (await _beat(api, task)).directives
    assert not (await api.report(task, succeeded={})).HasField("error")
    assert (await api.get(task_id)).task.late_reports == 0


async def test_an_agent_that_is_silent_for_a_lease_loses_its_task_to_another(
    server: ServerProcess, api: Api
) -> None:
    (task_id,) = await api.submit()
    first = await api.claim_one("agent-1")
    second = await api.claim_one("agent-2")
    assert (second.task_id, second.attempt) == (task_id, 2)
    assert (await api.report(first, succeeded={})).HasField("error")
    assert not (await api.report(second, succeeded={})).HasField("error")


async def _health(api: Api, wanted: int) -> None:
    """Wait until health is as wanted."""
    stub: Any = health_pb2_grpc.HealthStub(api.channel)
    async for answer in stub.Watch(health_pb2.HealthCheckRequest()):
        if answer.status == wanted:
            return


async def _inject(pid: int, fault: str) -> asyncio.subprocess.Process:
    """Attach strace to all threads of a process; skip where that is not permitted."""
    tracer = await asyncio.create_subprocess_exec(
        "strace", "-f", "-p", str(pid), "-o", "/dev/null", "-e", "trace=fdatasync,fsync",
        "-e", f"inject=fdatasync,fsync:{fault}", stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert tracer.stderr is not None
    line = (await tracer.stderr.readline()).decode()
    if "attached" not in line:
        await tracer.wait()
        pytest.skip(f"strace cannot attach: {line.strip()}")
    return tracer


@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")
async def test_a_disk_that_cannot_sync_acknowledges_nothing_and_recovers(
    server: ServerProcess, api: Api
) -> None:
    before = await api.submit(spec("before"))
    tracer = await _inject(server.pid, "error=EIO")
    try:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await api.submit(spec("lost"))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        await _health(api, health_pb2.HealthCheckResponse.NOT_SERVING)
        assert (await api.get(before[0])).task.name == "before", "reads go on"
    finally:
        tracer.send_signal(signal.SIGINT)
        await tracer.wait()
    await _health(api, health_pb2.HealthCheckResponse.SERVING)
    after = await api.submit(spec("after"))
    await server.kill()
    await server.start()
    for task_id in (*before, *after):
        await wait_there(api, task_id)
