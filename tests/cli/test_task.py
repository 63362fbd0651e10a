from __future__ import annotations

import base64
import json
import re
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from quarterdeck.cli._exit import ExitCode
from quarterdeck.v1.payload_pb2 import Failure, Payload
from quarterdeck.v1.status_pb2 import Status
from quarterdeck.v1.task_pb2 import LogLine, Task, TaskSpec, TaskState
from quarterdeck.v1.task_service_pb2 import (
    CancelResult,
    CancelTasksRequest,
    CancelTasksResponse,
    GetTaskRequest,
    GetTaskResponse,
    ListTasksRequest,
    ListTasksResponse,
    ReadLogsRequest,
    ReadLogsResponse,
    SubmitRequest,
    SubmitResponse,
    SubmitResult,
    TaskKeyKind,
    WaitTaskRequest,
    WaitTaskResponse,
)

from .conftest import Refusal, Run, ScriptedServer, status

READY = TaskState.TASK_STATE_READY
RUNNING = TaskState.TASK_STATE_RUNNING
SUCCEEDED = TaskState.TASK_STATE_SUCCEEDED
FAILED = TaskState.TASK_STATE_FAILED


def accept(request: SubmitRequest) -> SubmitResponse:
    return SubmitResponse(results=[SubmitResult(task_id=f"task_{t.name}") for t in request.tasks])


def refuse(error: Status) -> Any:
    def handler(request: object) -> object:
        raise Refusal(error)

    return handler


def not_found(task_id: str) -> Status:
    return status(grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND", f"there is no task {task_id}")


def ended(state: TaskState.ValueType, **fields: Any) -> WaitTaskResponse:
    return WaitTaskResponse(task=Task(id="task_1", state=state, **fields), ended=True)


def test_submit_prints_the_id_alone(server: ScriptedServer, run: Run) -> None:
    server.on("TaskService/Submit", accept)
    result = run("task", "submit", "research")
    assert (result.stdout, result.exit_code) == ("task_research\n", 0)


def test_every_option_of_submit_reaches_the_server(server: ScriptedServer, run: Run) -> None:
    server.on("TaskService/Submit", accept)
    result = run(
        *("task", "submit", "research", "--queue", "deep", "--priority", "9", "--label", "a=b"),
        *("--label", "c=d=e"),
        *["--delay", "1m30s", "--max-attempts", "5", "--backoff", "500ms", "--max-backoff", "1m"],
        *("--attempt-timeout", "10s", "--task-timeout", "1h", "--stall-timeout", "5s"),
        *("--expire", "1d"),
        *("--depends-on", "task_0", "--dependency-policy", "all-ended", "--parent", "task_p"),
        *("--key", "k1"),
        *("--input", '{"q": 1}', "--namespace", "blue"),
    )
    assert result.exit_code == 0, result.output
    (request,) = server.asked(SubmitRequest)
    (spec,) = request.tasks
    assert request.namespace == "blue"
    assert request.request_id
    assert (spec.name, spec.queue, spec.priority) == ("research", "deep", 9)
    assert dict(spec.labels) == {"a": "b", "c": "d=e"}
    assert spec.delay.seconds == 90
    assert spec.retry.max_attempts == 5
    assert spec.retry.initial_backoff.nanos == 500_000_000
    assert spec.retry.max_backoff.seconds == 60
    timeouts = spec.timeouts
    assert timeouts.attempt.seconds == 10
    assert timeouts.task.seconds == 3600
    assert timeouts.stall.seconds == 5
    assert timeouts.schedule_to_start.seconds == 86_400
    assert list(spec.depends_on) == ["task_0"]
    assert spec.dependency_policy == 2
    assert (spec.parent_id, spec.idempotency_key) == ("task_p", "k1")
    assert spec.input == Payload(content_type="application/json", data=b'{"q": 1}')


def test_every_option_of_admission_reaches_the_server(server: ScriptedServer, run: Run) -> None:
    server.on("TaskService/Submit", accept)
    result = run(
        *("task", "submit", "research", "--group-key", "acme", "--units", "3", "--key-ttl", "1h"),
        *("--attribute", "cost=1.5", "--attribute", "urgent=true", "--attribute", 'zip="01234"'),
        *("--attribute", "team=red", "--require", "gpu=a100", "--prefer", "zone=eu"),
        *("--same-agent-as", "task_0", "--patience", "2s"),
        *("--unique", "u", "--unique-policy", "replace-pending", "--unique-period", "1m"),
        *("--debounce", "a=b=10s,2m", "--throttle", "t=5/m"),
        *("--retry-delay", "1s", "--retry-delay", "1m", "--factor", "3", "--jitter", "0"),
        *("--non-retryable", "ValueError", "--max-crashes", "2", "--cancel-grace", "5s"),
    )
    assert result.exit_code == 0, result.output
    wanted = """{
        "name": "research", "groupKey": "acme", "units": 3, "idempotencyTtl": "3600s",
        "attributes": {"cost": {"number": 1.5}, "urgent": {"flag": true},
                       "zip": {"text": "01234"}, "team": {"text": "red"}},
        "affinity": {"required": {"gpu": "a100"}, "preferred": {"zone": "eu"},
                     "sameAgentAs": "task_0", "patience": "2s"},
        "unique": {"key": "u", "scope": "UNIQUE_SCOPE_PERIOD", "period": "60s",
                   "policy": "UNIQUE_POLICY_REPLACE_PENDING"},
        "debounce": {"key": "a=b", "delay": "10s", "maxWait": "120s"},
        "throttle": {"key": "t", "limit": 5, "period": "60s"},
        "retry": {"delays": ["1s", "60s"], "factor": 3, "jitter": 0, "maxCrashes": 2,
                  "nonRetryableTypes": ["ValueError"]},
        "timeouts": {"cancelGrace": "5s"}
    }"""
    assert server.asked(SubmitRequest)[0].tasks[0] == json_format.Parse(wanted, TaskSpec())


def test_a_plain_task_says_nothing_of_admission(server: ScriptedServer, run: Run) -> None:
    server.on("TaskService/Submit", accept)
    run("task", "submit", "research")
    assert server.asked(SubmitRequest)[0].tasks[0] == TaskSpec(name="research")


def test_an_unset_priority_is_left_to_the_server(server: ScriptedServer, run: Run) -> None:
    server.on("TaskService/Submit", accept)
    run("task", "submit", "research")
    assert not server.asked(SubmitRequest)[0].tasks[0].HasField("priority")


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit"],
        ["submit", "a", "--input", "{"],
        ["submit", "a", "--delay", "soon"],
        ["submit", "a", "--delay", "-1s"],
        ["submit", "a", "--label", "novalue"],
        ["submit", "a", "--delay", "1s", "--at", "2026-01-01T00:00:00Z"],
        ["submit", "a", "--timeout", "1s"],
        ["submit", "a", "--file", "-"],
        ["cancel"],
        ["cancel", "task_1", "--filter", "state:ready"],
        ["cancel", "--filter", " "],
        ["cancel", "task_1", "--dry-run"],
        ["update", "task_1"],
        ["update", "task_1", "--delay", "1s", "--at", "2026-01-01T00:00:00Z"],
        ["rerun", "task_1", "task_2", "--input", "1"],
        ["submit", "a", "--patience", "1s"],
        ["submit", "a", "--unique-policy", "reject"],
        ["submit", "a", "--unique", "k", "--unique-scope", "period"],
        ["submit", "a", "--debounce", "k"],
        ["submit", "a", "--throttle", "k=0/1m"],
        ["submit", "a", "--throttle", "k=1"],
        ["list", "--limit", "-1"],
    ],
)
def test_wrong_usage_is_told_before_the_server_is_asked(
    server: ScriptedServer, run: Run, arguments: list[str]
) -> None:
    assert run("task", *arguments).exit_code == ExitCode.USAGE
    assert server.requests == []


def test_a_refused_task_exits_with_the_servers_words(server: ScriptedServer, run: Run) -> None:
    error = status(
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "the task is wrong",
        field="tasks[0].name",
        problem="at most 256 characters",
    )
    server.on("TaskService/Submit", lambda _: SubmitResponse(results=[SubmitResult(error=error)]))
    result = run("task", "submit", "research")
    assert result.exit_code == ExitCode.REFUSED
    assert "the task is wrong (INVALID_FIELD)" in result.stderr
    assert "tasks[0].name: at most 256 characters" in result.stderr


def test_waiting_for_a_success_prints_the_result(server: ScriptedServer, run: Run) -> None:
    server.on("TaskService/Submit", accept)
    response = ended(SUCCEEDED)
    response.result.data = b'{"answer":42}'
    server.on("TaskService/WaitTask", lambda _: response)
    result = run("task", "submit", "research", "--wait")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"answer": 42}
    assert result.stderr == "task_1 succeeded\n"


def test_a_success_says_nothing_of_progress_that_came_before(
    server: ScriptedServer, run: Run
) -> None:
    response = ended(SUCCEEDED)
    response.task.progress.done, response.task.progress.total = 10, 12
    server.on("TaskService/WaitTask", lambda _: response)
    assert run("task", "wait", "task_1").stderr == "task_1 succeeded\n"


def test_a_submit_that_found_its_task_says_so(server: ScriptedServer, run: Run) -> None:
    found = SubmitResponse(results=[SubmitResult(task_id="task_1", existed=True)])
    server.on("TaskService/Submit", lambda _: found)
    result = run("task", "submit", "research", "--key", "k")
    assert (result.stdout, result.stderr) == ("task_1\n", "an earlier submit made this task\n")
    assert not run("task", "submit", "research", "--key", "k", "-o", "json").stderr


def test_waiting_for_a_failure_exits_with_one(server: ScriptedServer, run: Run) -> None:
    failure = Failure(type="ValueError", message="bad \x1b]0;x\x07input")
    server.on("TaskService/WaitTask", lambda _: ended(FAILED, failure=failure))
    result = run("task", "wait", "task_1")
    assert result.exit_code == ExitCode.TASK_FAILED
    assert result.stderr == "task_1 failed: ValueError: bad input\n"


def test_wait_asks_again_until_the_task_has_ended(server: ScriptedServer, run: Run) -> None:
    answers = [WaitTaskResponse(task=Task(state=RUNNING)), ended(SUCCEEDED)]
    server.on("TaskService/WaitTask", lambda _: answers.pop(0))
    assert run("task", "wait", "task_1").exit_code == 0
    assert len(server.asked(WaitTaskRequest)) == 2


def test_a_wait_that_is_over_has_its_own_exit_code(server: ScriptedServer, run: Run) -> None:
    server.on("TaskService/WaitTask", lambda _: WaitTaskResponse(task=Task(state=RUNNING)))
    result = run("task", "wait", "task_1", "--timeout", "0s")
    assert result.exit_code == ExitCode.TIMEOUT
    assert "still running" in result.stderr
    assert "quarterdeck task explain task_1" in result.stderr


def test_get_of_an_unknown_task_is_not_found(server: ScriptedServer, run: Run) -> None:
    server.on("TaskService/GetTask", refuse(not_found("task_9")))
    result = run("task", "get", "task_9")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert result.stderr == "Error: there is no task task_9 (TASK_NOT_FOUND)\n"


def test_get_shows_where_the_last_failed_attempt_failed(server: ScriptedServer, run: Run) -> None:
    response = GetTaskResponse(task=Task(id="task_1", state=FAILED))
    for attempt in (1, 2):
        trace = f'File "work.py", line {attempt}\n\x1b[31mValueError: bad\n'
        failure = Failure(type="ValueError", message="bad", stack_trace=trace)
        response.attempts.add(attempt=attempt, failure=failure)
    server.on("TaskService/GetTask", lambda _: response)
    shown = run("task", "get", "task_1").stdout
    assert '\nfailure of attempt 2\nFile "work.py", line 2\nValueError: bad\n' in shown
    assert "line 1" not in shown


def test_get_shows_what_a_task_takes_prefers_and_saved(server: ScriptedServer, run: Run) -> None:
    response = GetTaskResponse(task=Task(id="task_1", state=READY), units=7)
    response.details.data = b'{"page": 3}'
    response.affinity.preferred["gpu"] = "a100"
    response.affinity.patience.seconds = 90
    response.keys.add(kind=TaskKeyKind.TASK_KEY_KIND_UNIQUE, key="k\x1b[2J", held=True)
    response.keys.add(kind=TaskKeyKind.TASK_KEY_KIND_THROTTLE, key="mail")
    server.on("TaskService/GetTask", lambda _: response)
    lines = run("task", "get", "task_1").stdout.splitlines()
    shown = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in lines if "  " in line)
    assert shown["units"] == "7"
    assert (shown["prefers labels"], shown["waits for them"]) == ("gpu=a100", "1m30s")
    assert shown["throttle key"] == "mail (free again)"
    assert shown["unique key"].startswith("k") and "\x1b" not in shown["unique key"]
    assert lines[lines.index("saved") + 1 :] == ["{", '  "page": 3', "}"]


def test_get_counts_what_came_late_from_attempts_that_were_over(
    server: ScriptedServer, run: Run
) -> None:
    response = GetTaskResponse(task=Task(id="task_1", state=READY, late_reports=1))
    for attempt in (1, 2):
        response.attempts.add(attempt=attempt, late_heartbeats=attempt)
    server.on("TaskService/GetTask", lambda _: response)
    shown = run("task", "get", "task_1").stdout
    assert re.search(r"^late reports +1\nlate heartbeats +3$", shown, re.MULTILINE)


def test_json_is_protobufs_mapping_with_the_names_of_the_proto(
    server: ScriptedServer, run: Run
) -> None:
    response = GetTaskResponse(task=Task(id="task_1", state=READY), input=Payload(data=b"{}"))
    server.on("TaskService/GetTask", lambda _: response)
    found = json.loads(run("task", "get", "task_1", "-o", "json").stdout)
    assert found["task"]["state"] == "TASK_STATE_READY"
    assert found["task"]["max_attempts"] == 0
    assert found["attempts"] == []
    assert base64.b64decode(found["input"]["data"]) == b"{}"
    assert server.asked(GetTaskRequest) == [GetTaskRequest(namespace="default", task_id="task_1")]


def test_a_list_goes_on_over_pages_until_its_limit(server: ScriptedServer, run: Run) -> None:
    def page(request: ListTasksRequest) -> ListTasksResponse:
        start = int(request.page_token or 0)
        tasks = [Task(id=f"task_{start + n}") for n in range(min(request.page_size, 1000))]
        return ListTasksResponse(tasks=tasks, next_page_token=str(start + len(tasks)))

    server.on("TaskService/ListTasks", page)
    result = run("task", "list", "--limit", "1500", "--filter", "state:ready", "-o", "json")
    found = json.loads(result.stdout)
    assert [task["id"] for task in found["tasks"]] == [f"task_{n}" for n in range(1500)]
    assert found["next_page_token"] == "1500"
    assert {request.filter for request in server.asked(ListTasksRequest)} == {"state:ready"}


def test_a_table_is_safe_aligned_and_fits_the_terminal(server: ScriptedServer, run: Run) -> None:
    tasks = [
        Task(id="task_1", name="日本語" * 20, queue="q", state=RUNNING),
        Task(id="task_2", name="\x1b]52;c;AA==\x07evil\u202e", queue="q" * 99, state=FAILED),
    ]
    server.on("TaskService/ListTasks", lambda _: ListTasksResponse(tasks=tasks))
    result = run("task", "list", COLUMNS="80")
    header, first, second = result.stdout.splitlines()
    assert header.startswith("ID      NAME")
    assert "日本語" in first
    assert "…" in first
    assert "evil" in second
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert header.index("STATE") == second.index("failed")


def test_an_empty_list_of_a_namespace_names_it_for_it_may_be_mistyped(
    server: ScriptedServer, run: Run
) -> None:
    server.on("TaskService/ListTasks", lambda request: ListTasksResponse())
    assert "no tasks\n" in run("task", "list").stderr
    assert "no tasks in blue\n" in run("task", "list", "--namespace", "blue").stderr
    found = run("task", "list", "--namespace", "blue", "--filter", "state:ready")
    assert "no tasks in blue match\n" in found.stderr


def test_yaml_without_its_package_gives_a_hint(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    server.on("TaskService/ListTasks", lambda _: ListTasksResponse())
    result = run("task", "list", "-o", "yaml")
    assert result.exit_code == ExitCode.USAGE
    assert "pip install 'quarterdeck[yaml]'" in result.stderr


def test_yaml_is_printed(server: ScriptedServer, run: Run) -> None:
    yaml = pytest.importorskip("yaml")
    server.on("TaskService/ListTasks", lambda _: ListTasksResponse(tasks=[Task(id="task_1")]))
    found = yaml.safe_load(run("-o", "yaml", "task", "list").stdout)
    assert found["tasks"][0]["id"] == "task_1"


def test_named_tasks_are_cancelled_in_one_call(server: ScriptedServer, run: Run) -> None:
    results = [CancelResult(state=RUNNING), CancelResult(error=not_found("task_2"))]
    server.on("TaskService/CancelTasks", lambda _: CancelTasksResponse(results=results))
    result = run("task", "cancel", "task_1", "task_2", "--reason", "enough")
    (request,) = server.asked(CancelTasksRequest)
    assert list(request.task_ids) == ["task_1", "task_2"]
    assert request.reason == "enough"
    assert "@" in request.actor
    assert result.stdout == "task_1  cancelling\n"
    assert result.stderr.startswith("there is no task task_2")
    assert result.exit_code == ExitCode.NOT_FOUND


def test_an_items_error_is_in_the_json_with_its_details(server: ScriptedServer, run: Run) -> None:
    results = [CancelResult(error=not_found("task_2"))]
    server.on("TaskService/CancelTasks", lambda _: CancelTasksResponse(results=results))
    (result,) = json.loads(run("task", "cancel", "task_2", "-o", "json").stdout)["results"]
    (detail,) = result["error"]["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert detail["reason"] == "TASK_NOT_FOUND"


def test_an_items_error_is_in_the_yaml_with_its_details(server: ScriptedServer, run: Run) -> None:
    yaml = pytest.importorskip("yaml")
    results = [CancelResult(error=not_found("task_2"))]
    server.on("TaskService/CancelTasks", lambda _: CancelTasksResponse(results=results))
    (result,) = yaml.safe_load(run("task", "cancel", "task_2", "-o", "yaml").stdout)["results"]
    assert result["error"]["details"][0]["reason"] == "TASK_NOT_FOUND"


def log_pages(request: ReadLogsRequest) -> ReadLogsResponse:
    if request.after_sequence >= 2:
        return ReadLogsResponse(next_sequence=2, end=True)
    sequence = max(request.after_sequence, 0) + 1
    line = LogLine(text=f"line {sequence}\nforged", attempt=1, sequence=sequence)
    return ReadLogsResponse(lines=[line], next_sequence=sequence)


def test_logs_are_followed_to_the_end(server: ScriptedServer, run: Run) -> None:
    server.on("TaskService/ReadLogs", log_pages)
    result = run("task", "logs", "-f", "task_1", "-o", "json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["sequence"] for line in lines] == ["1", "2"]
    assert all(request.wait.seconds for request in server.asked(ReadLogsRequest))


def test_a_line_end_in_a_log_cannot_pass_for_another_line(server: ScriptedServer, run: Run) -> None:
    server.on("TaskService/ReadLogs", log_pages)
    lines = run("task", "logs", "task_1").stdout.splitlines()
    assert [line.startswith(" ") for line in lines] == [False, True, False, True]


def test_the_tail_of_a_log_is_asked_for_from_the_end(server: ScriptedServer, run: Run) -> None:
    server.on("TaskService/ReadLogs", lambda _: ReadLogsResponse(end=True))
    run("task", "logs", "task_1", "--tail", "5", "--attempt", "2")
    (request,) = server.asked(ReadLogsRequest)
    assert (request.after_sequence, request.attempt) == (-5, 2)


def test_an_unreachable_server_has_its_own_exit_code(run: Run) -> None:
    result = run("--server", "127.0.0.1:1", "task", "list")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "no server answers at 127.0.0.1:1" in result.stderr


def test_the_option_after_the_command_wins(server: ScriptedServer, run: Run) -> None:
    server.on("TaskService/ListTasks", lambda _: ListTasksResponse())
    result = run("--server", "127.0.0.1:1", "-o", "yaml", "task", "list", "--server",
                 server.address, "-o", "json")  # fmt: skip
    assert json.loads(result.stdout)["tasks"] == []
