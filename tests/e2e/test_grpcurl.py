"""The whole life of a task with nothing but grpcurl and the server's address: no .proto file, no SDK."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.testing import Server

GRPCURL = shutil.which("grpcurl") or shutil.which(
    "grpcurl", path=str(Path(os.environ.get("GOPATH", Path.home() / "go")) / "bin")
)

if GRPCURL is None and os.environ.get("CI") != "true":
    pytest.skip("grpcurl is not installed", allow_module_level=True)


class Grpcurl:
    """Calls a server."""

    def __init__(self, address: str) -> None:
        assert GRPCURL is not None, "CI must have grpcurl"
        self._program = GRPCURL
        self._address = address

    def run(self, *arguments: str, data: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run it; `data` are messages as JSON."""
        given = [] if data is None else ["-d", data]
        return subprocess.run(
            [self._program, "-plaintext", *given, self._address, *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def call(self, method: str, **request: Any) -> Any:
        """Call an RPC that must succeed."""
        done = self.run(f"quarterdeck.v1.{method}", data=json.dumps(request))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def grpcurl(quarterdeck_server: Server) -> Grpcurl:
    """grpcurl for a server of its own."""
    return Grpcurl(quarterdeck_server.address)


def encoded(text: str) -> str:
    """Bytes as JSON carries them."""
    return base64.b64encode(text.encode()).decode()


def test_the_services_are_found_by_reflection(grpcurl: Grpcurl) -> None:
    listed = grpcurl.run("list").stdout.split()
    names = ("Agent", "Fleet", "Schedule", "System", "Task", "Watch")
    assert {f"quarterdeck.v1.{name}Service" for name in names} <= set(listed)
    assert "grpc.health.v1.Health" in listed
    described = grpcurl.run("describe", "quarterdeck.v1.TaskSpec").stdout
    assert "string name = 1;" in described


def test_the_server_is_healthy(grpcurl: Grpcurl) -> None:
    done = grpcurl.run("grpc.health.v1.Health/Check", data="{}")
    assert json.loads(done.stdout) == {"status": "SERVING"}


def test_a_task_lives_from_submit_to_result(grpcurl: Grpcurl) -> None:
    spec = {"name": "greet", "input": {"data": encoded('"world"')}, "timeouts": {"attempt": "60s"}}
    (submitted,) = grpcurl.call("TaskService/Submit", tasks=[spec])["results"]
    task_id = submitted["taskId"]
    agent = {"agentId": "grpcurl-1", "name": "grpcurl", "slots": 1}
    (task,) = grpcurl.call("AgentService/Claim", agent=agent, wait="5s")["tasks"]
    assert (task["taskId"], task["name"], task["attempt"]) == (task_id, "greet", 1)
    assert base64.b64decode(task["input"]["data"]) == b'"world"'
    lease = {"taskId": task_id, "leaseToken": task["leaseToken"]}
    beat = {**lease, "progress": {"message": "greeting", "done": 1, "total": 2}}
    assert "directives" not in grpcurl.call("AgentService/Heartbeat", agent=agent, leases=[beat])
    lines = [{"text": "hello", "level": "info"}]
    chunk = {**lease, "lines": lines}
    grpcurl.call("AgentService/AppendLogs", agentId="grpcurl-1", chunks=[chunk])
    report = {**lease, "succeeded": {"result": {"data": encoded('"hello, world"')}}}
    (reported,) = grpcurl.call("AgentService/Report", agentId="grpcurl-1", reports=[report])[
        "results"
    ]
    assert reported == {"state": "TASK_STATE_SUCCEEDED"}
    ended = grpcurl.call("TaskService/WaitTask", taskId=task_id, wait="5s")
    assert ended["ended"]
    assert base64.b64decode(ended["result"]["data"]) == b'"hello, world"'
    found = grpcurl.call("TaskService/GetTask", taskId=task_id)
    assert found["attempts"][0]["outcome"] == "ATTEMPT_OUTCOME_SUCCEEDED"
    logs = grpcurl.call("TaskService/ReadLogs", taskId=task_id)
    assert [line["text"] for line in logs["lines"]] == ["hello"]
    assert logs["end"]


def test_a_task_is_cancelled_while_it_runs(grpcurl: Grpcurl) -> None:
    (submitted,) = grpcurl.call("TaskService/Submit", tasks=[{"name": "long"}])["results"]
    agent = {"agentId": "grpcurl-1"}
    (task,) = grpcurl.call("AgentService/Claim", agent=agent, wait="5s")["tasks"]
    lease = {"taskId": submitted["taskId"], "leaseToken": task["leaseToken"]}
    grpcurl.call("TaskService/CancelTasks", taskIds=[lease["taskId"]], reason="enough")
    (directive,) = grpcurl.call("AgentService/Heartbeat", agent=agent, leases=[lease], wait="10s")[
        "directives"
    ]
    assert (directive["directive"], directive["reason"]) == ("DIRECTIVE_CANCEL", "enough")
    report = {**lease, "cancelled": {"message": "stopped"}}
    (reported,) = grpcurl.call("AgentService/Report", agentId="grpcurl-1", reports=[report])[
        "results"
    ]
    assert reported == {"state": "TASK_STATE_CANCELLED"}


def test_an_error_shows_its_reason_and_its_fields(grpcurl: Grpcurl) -> None:
    request = {"agent": {"agentId": "not an id"}}
    done = grpcurl.run("quarterdeck.v1.AgentService/Claim", data=json.dumps(request))
    assert done.returncode != 0
    assert "InvalidArgument" in done.stderr
    # Reflection knows the details by Google's names, so they are readable.
    assert "INVALID_FIELD" in done.stderr
    assert "agent.agent_id" in done.stderr
