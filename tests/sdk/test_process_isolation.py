"""`isolation="process"`: real child processes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import duration_pb2

from quarterdeck.v1 import agent_service_pb2 as pb

from .conftest import Fleet
from .fake import FakeServer
from .process_handlers import agent


async def ended(fake: FakeServer, task_id: str) -> pb.AttemptReport:
    await fake.until(lambda: task_id in fake.reports, within=30)
    return fake.reports[task_id][0]


def has_ended(pid: int) -> bool:
    """True of a zombie too, which its parent has yet to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def gone(pid: int) -> None:
    """Wait until a process has ended. Nobody tells of a stranger's end but the process table."""
    async with asyncio.timeout(10):
        while not has_ended(pid):
            await asyncio.sleep(0.01)


async def test_values_lines_and_progress_cross_the_pipe(fake: FakeServer, fleet: Fleet) -> None:
    fleet(agent)
    task_id = fake.give("double", b'{"number": 21}')
    report = await ended(fake, task_id)
    assert json.loads(report.succeeded.result.data) == {
        "number": 42,
        "label": "double attempt 1",
    }
    assert fake.log_lines[task_id] == ["doubling 21", "printed", "complained"]
    beats = [b.progress.message for r in fake.beats for b in r.leases if b.HasField("progress")]
    assert beats in (["half way"], [])


async def test_child_is_used_again(fake: FakeServer, fleet: Fleet) -> None:
    fleet(agent)
    first = await ended(fake, fake.give("pid"))
    second = await ended(fake, fake.give("pid"))
    assert first.succeeded.result.data == second.succeeded.result.data


async def test_exception_of_a_child_is_the_failure(fake: FakeServer, fleet: Fleet) -> None:
    fleet(agent)
    failure = (await ended(fake, fake.give("breaks"))).failed.failure
    assert (failure.type, failure.message) == ("Broken", "broken for good")
    assert failure.non_retryable


async def test_result_of_a_child_without_json_form_fails_for_good(
    fake: FakeServer, fleet: Fleet
) -> None:
    fleet(agent)
    failure = (await ended(fake, fake.give("odd"))).failed.failure
    assert failure.non_retryable
    assert failure.message == "result cannot be encoded: object has no JSON form"


async def test_what_a_child_asks_for_is_reported(fake: FakeServer, fleet: Fleet) -> None:
    fleet(agent)
    failed = (await ended(fake, fake.give("busy"))).failed
    assert (failed.failure.message, failed.retry_delay.ToSeconds()) == ("busy", 2)
    assert (failed.back_off.ToSeconds(), failed.back_off_key_only) == (7, True)


async def test_input_error_of_a_child_names_the_field(fake: FakeServer, fleet: Fleet) -> None:
    fleet(agent)
    failure = (await ended(fake, fake.give("double", b'{"number": "x"}'))).failed.failure
    assert failure.non_retryable
    assert failure.message.startswith("input.number: ")


async def test_killed_child_is_a_retryable_failure(fake: FakeServer, fleet: Fleet) -> None:
    fleet(agent)
    failure = (await ended(fake, fake.give("dies"))).failed.failure
    assert failure.type == "ProcessDied"
    assert "SIGKILL" in failure.message
    assert not failure.non_retryable


@pytest.mark.parametrize("name", ["spins", "immortal"])
async def test_cancel_ends_the_process_whatever_it_does(
    fake: FakeServer, fleet: Fleet, name: str
) -> None:
    fleet(agent)
    task_id = fake.give(name, cancel_grace=duration_pb2.Duration(nanos=500_000_000))
    await fake.until(lambda: fake.log_lines.get(task_id), within=30)
    pid = int(fake.log_lines[task_id][0].split()[1])
    fake.direct(task_id, pb.DIRECTIVE_CANCEL)
    assert (await ended(fake, task_id)).WhichOneof("outcome") == "cancelled"
    await gone(pid)


async def test_children_end_with_the_agent(fake: FakeServer, fleet: Fleet) -> None:
    stop = asyncio.Event()
    serving = fleet(agent, stop=stop)
    report = await ended(fake, fake.give("pid"))
    stop.set()
    await serving
    await gone(int(report.succeeded.result.data))


UNGUARDED = """
import multiprocessing, quarterdeck
from quarterdeck._processes import Child
if multiprocessing.parent_process() is None and __name__ == "__main__":
    child = Child()
    child.process.join()
    raise SystemExit(child.process.exitcode)
quarterdeck.serve(quarterdeck.Agent("a"))
"""


def test_script_that_serves_while_its_child_imports_it_is_told_what_to_do(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(UNGUARDED)
    run = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=40, check=False
    )
    assert run.returncode == 1
    assert 'put the call under `if __name__ == "__main__":`' in run.stderr
