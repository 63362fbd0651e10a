from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from quarterdeck.cli._call import CallError, Connection
from quarterdeck.cli._exit import ExitCode
from quarterdeck.cli._options import Settings
from quarterdeck.v1.system_service_pb2 import GetServerInfoRequest, GetServerInfoResponse
from quarterdeck.v1.task_service_pb2 import SubmitRequest, SubmitResponse, SubmitResult

from .conftest import Refusal, Run, ScriptedServer, status


def lines(*specs: object) -> str:
    return "".join(json.dumps(spec) + "\n" for spec in specs)


def accept(request: SubmitRequest) -> SubmitResponse:
    return SubmitResponse(results=[SubmitResult(task_id=f"task_{t.name}") for t in request.tasks])


def test_a_file_is_submitted_in_batches_and_its_ids_are_in_order(
    server: ScriptedServer, run: Run
) -> None:
    server.on("TaskService/Submit", accept)
    text = lines(*({"name": str(n), "input": {"n": n}} for n in range(2500)))
    result = run("task", "submit", "--file", "-", input=text)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [f"task_{n}" for n in range(2500)]
    requests = server.asked(SubmitRequest)
    assert [len(request.tasks) for request in requests] == [1000, 1000, 500]
    assert len({request.request_id for request in requests}) == 3
    assert json.loads(requests[2].tasks[-1].input.data) == {"n": 2499}
    assert "2,500 submitted" in result.stderr


def test_a_batch_stays_under_what_a_server_takes(server: ScriptedServer, run: Run) -> None:
    server.on("TaskService/Submit", accept)
    text = lines(*({"name": str(n), "input": "x" * 500_000} for n in range(9)))
    run("task", "submit", "--file", "-", input=text)
    assert max(r.ByteSize() for r in server.asked(SubmitRequest)) < 4 * 1024 * 1024
    assert sum(len(r.tasks) for r in server.asked(SubmitRequest)) == 9


def test_a_reference_to_a_line_of_an_earlier_batch_becomes_its_id(
    server: ScriptedServer, run: Run
) -> None:
    server.on("TaskService/Submit", accept)
    specs: list[dict[str, object]] = [{"name": str(n)} for n in range(1001)]
    specs.append({"name": "last", "depends_on": ["#7", "#1000", "task_z"]})
    run("task", "submit", "--file", "-", input=lines(*specs))
    last = server.asked(SubmitRequest)[1].tasks[1]
    assert list(last.depends_on) == ["task_7", "#0", "task_z"]


def test_a_refused_line_is_named_and_its_neighbours_are_submitted(
    server: ScriptedServer, run: Run
) -> None:
    error = status(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "name: too long")

    def handler(request: SubmitRequest) -> SubmitResponse:
        return SubmitResponse(
            results=[
                SubmitResult(error=error) if t.name == "bad" else SubmitResult(task_id="task_1")
                for t in request.tasks
            ]
        )

    server.on("TaskService/Submit", handler)
    text = lines({"name": "good"}) + "\n" + lines({"name": "bad"}, {"name": "good"})
    result = run("task", "submit", "--file", "-", input=text)
    assert result.exit_code == ExitCode.REFUSED
    assert result.stdout == "task_1\ntask_1\n"
    assert "line 3: name: too long" in result.stderr


def test_a_line_that_is_no_task_ends_the_work_and_says_what_was_done(
    server: ScriptedServer, run: Run
) -> None:
    server.on("TaskService/Submit", accept)
    for wrong in ("{not json", '{"nmae": "typo"}', "[1]", '{"name": "a", "depends_on": ["#5"]}'):
        server.requests.clear()
        result = run("task", "submit", "--file", "-", input=lines({"name": "a"}) + wrong)
        assert result.exit_code == ExitCode.USAGE
        assert "line 2: " in result.stderr
        assert "1 submitted" in result.stderr
        assert len(server.asked(SubmitRequest)) == 1


def test_a_field_that_is_mistyped_is_told_with_the_nearest(
    server: ScriptedServer, run: Run
) -> None:
    result = run("task", "submit", "--file", "-", input='{"nmae": "typo"}')
    first = result.stderr.splitlines()[0]
    assert first == "Error: line 1: a TaskSpec has no field 'nmae'. Did you mean 'name'?"


def test_a_field_may_be_written_in_either_way_of_json(server: ScriptedServer, run: Run) -> None:
    server.on("TaskService/Submit", accept)
    both = [{"name": "a", "groupKey": "k"}, {"name": "a", "group_key": "k"}]
    run("task", "submit", "--file", "-", input=lines(*both))
    (request,) = server.asked(SubmitRequest)
    assert [spec.group_key for spec in request.tasks] == ["k", "k"]


def test_a_server_that_goes_away_is_asked_again_under_the_same_request_id(
    server: ScriptedServer, run: Run
) -> None:
    draining = status(grpc.StatusCode.UNAVAILABLE, "DRAINING", "the server is stopping")

    def handler(request: SubmitRequest) -> SubmitResponse:
        if len(server.asked(SubmitRequest)) == 2:
            raise Refusal(draining)
        return accept(request)

    server.on("TaskService/Submit", handler)
    text = lines(*({"name": str(n)} for n in range(1500)))
    result = run("task", "submit", "--file", "-", input=text)
    assert result.exit_code == 0, result.stderr
    first, second, third = server.asked(SubmitRequest)
    assert second.request_id == third.request_id != first.request_id
    assert "the server is stopping" in result.stderr


def test_patience_ends(server: ScriptedServer) -> None:
    now = 0.0
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)

    def gone(request: object) -> SubmitResponse:
        raise Refusal(status(grpc.StatusCode.UNAVAILABLE, "DRAINING", "stopping"))

    server.on("SystemService/GetServerInfo", lambda _: GetServerInfoResponse())
    server.on("TaskService/Submit", gone)
    connection = Connection(Settings(server=server.address), sleep=sleep, clock=lambda: now)
    connection.call(connection.system.GetServerInfo, GetServerInfoRequest())
    with pytest.raises(CallError) as refused:
        connection.call(connection.tasks.Submit, SubmitRequest(), patience=60)
    assert refused.value.code == ExitCode.UNREACHABLE
    assert 60 <= sum(slept) < 66
    assert slept == sorted(slept)


def stderr_of(server: ScriptedServer, folder: Path, *, terminal: bool) -> bytes:
    """What bulk work writes to stderr: a terminal's, or a pipe's."""
    file = folder / "tasks.jsonl"
    file.write_text(lines(*({"name": str(n)} for n in range(3000))))
    server.on("TaskService/Submit", accept)
    ours, theirs = os.openpty() if terminal else os.pipe()
    command = [sys.executable, "-m", "quarterdeck.cli", "task", "submit", "--file", str(file)]
    with subprocess.Popen(
        [*command, "--server", server.address], stdout=subprocess.DEVNULL, stderr=theirs
    ) as process:
        os.close(theirs)
        written = b""
        # A terminal whose other end has closed is an error to read, a pipe is at its end.
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 4096):
                written += chunk
        os.close(ours)
        assert process.wait(30) == 0
    return written


def test_long_work_shows_a_bar_on_a_terminal_and_none_elsewhere(
    server: ScriptedServer, tmp_path: Path
) -> None:
    assert b"submitting  [####" in stderr_of(server, tmp_path, terminal=True)
    assert stderr_of(server, tmp_path, terminal=False) == b"3,000 submitted\n"
