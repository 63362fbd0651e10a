"""Acts on tasks, named ones and all that match a filter, and what else changes tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from quarterdeck.cli._exit import ExitCode
from quarterdeck.v1.queue_pb2 import StateCount
from quarterdeck.v1.status_pb2 import Status
from quarterdeck.v1.task_pb2 import Task, TaskState
from quarterdeck.v1.task_service_pb2 import (
    ActOnTasksRequest,
    ActOnTasksResponse,
    CancelAct,
    CountTasksRequest,
    CountTasksResponse,
    ExplainTaskRequest,
    ExplainTaskResponse,
    LifePhase,
    LifeSpan,
    ListTasksRequest,
    ListTasksResponse,
    Obstacle,
    PauseResult,
    PauseTasksRequest,
    PauseTasksResponse,
    RerunResult,
    RerunTasksRequest,
    RerunTasksResponse,
    ResumeResult,
    ResumeTasksResponse,
    UpdateResult,
    UpdateTasksRequest,
    UpdateTasksResponse,
)

from .conftest import Refusal, Run, ScriptedServer, status

READY = TaskState.TASK_STATE_READY
RUNNING = TaskState.TASK_STATE_RUNNING
SUCCEEDED = TaskState.TASK_STATE_SUCCEEDED
FAILED = TaskState.TASK_STATE_FAILED
WRONG_STATE = status(grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE", "it has ended")


@pytest.fixture
def counted(server: ScriptedServer) -> ScriptedServer:
    """A server with 700 ready, 500 running, 9 failed and 1,000 succeeded tasks."""
    numbers = {READY: 700, RUNNING: 500, FAILED: 9, SUCCEEDED: 1000}
    counts = [StateCount(state=state, count=n) for state, n in numbers.items()]
    answer = CountTasksResponse(counts=counts, total=2209, watch_token="seen")
    server.on("TaskService/CountTasks", lambda _: answer)
    return server


def pages(*done: int, matched: int = 1200, **last: Any) -> Any:
    """Answers an act with these numbers of tasks done so far."""

    def handler(request: ActOnTasksRequest) -> Iterator[ActOnTasksResponse]:
        yield ActOnTasksResponse(matched=matched)
        for number in done[:-1]:
            yield ActOnTasksResponse(matched=matched, done=number)
        yield ActOnTasksResponse(matched=matched, done=done[-1], complete=True, **last)

    return handler


def test_a_filter_acts_on_exactly_what_was_counted(counted: ScriptedServer, run: Run) -> None:
    counted.on("TaskService/ActOnTasks", pages(500, 1000, 1199, refused=1, errors=[WRONG_STATE]))
    result = run(
        *("task", "cancel", "--filter", "queue:q | name:b", "--max", "1200", "--keep-children"),
        *("--reason", "enough", "--actor", "ann"),
    )
    assert (result.stdout, result.exit_code) == ("cancel: 1,199 of 1,200 tasks\n", 0)
    assert result.stderr == "1 refused, such as: it has ended (WRONG_STATE)\n"
    (request,) = counted.asked(ActOnTasksRequest)
    assert request == ActOnTasksRequest(
        namespace="default",
        filter="(queue:q | name:b) state:blocked,scheduled,ready,running,waiting",
        max_count=1200,
        watch_token="seen",
        reason="enough",
        actor="ann",
        cancel=CancelAct(keep_children=True),
    )
    assert counted.asked(CountTasksRequest)[0].filter == "queue:q | name:b"


@pytest.mark.parametrize(
    ("arguments", "act", "terms", "states"),
    [
        (["retry"], "retry", "", "state:failed,cancelled,expired"),
        (["pause"], "pause", "paused:no", "state:running"),
        (["resume"], "resume", "paused:yes", "state:running"),
        (
            ["update", "--priority", "9"],
            "update",
            "",
            "state:blocked,scheduled,ready,running,waiting",
        ),
    ],
)
def test_each_act_leaves_alone_what_it_can_do_nothing_for(
    counted: ScriptedServer, run: Run, arguments: list[str], act: str, terms: str, states: str
) -> None:
    counted.on("TaskService/ActOnTasks", pages(9, matched=9))
    result = run("task", *arguments, "--filter", "name:a", "--max", "2000", "-o", "json")
    assert json.loads(result.stdout)["done"] == "9"
    (request,) = counted.asked(ActOnTasksRequest)
    filters = ["name:a", f"(name:a) {terms}"] if terms else ["name:a"]
    assert (request.WhichOneof("act"), request.filter) == (act, f"({filters[-1]}) {states}")
    assert [request.filter for request in counted.asked(CountTasksRequest)] == filters


def test_nothing_is_done_when_more_match_than_the_maximum(
    counted: ScriptedServer, run: Run
) -> None:
    result = run("task", "cancel", "--filter", "queue:q")
    assert result.exit_code == ExitCode.REFUSED
    assert "1,200 tasks found, more than 1,000" in result.stderr
    assert counted.asked(ActOnTasksRequest) == []


def test_a_dry_run_only_counts(counted: ScriptedServer, run: Run) -> None:
    counted.on("TaskService/ActOnTasks", pages(0, matched=1))
    result = run("task", "retry", "--filter", "name:a", "--dry-run")
    assert result.stdout == "retry: 1 task found, nothing was done\n"
    assert counted.asked(ActOnTasksRequest)[0].dry_run


@pytest.mark.parametrize(("answer", "acts"), [("n", 0), ("y", 1)])
def test_somebody_who_is_there_is_asked_first(
    counted: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, acts: int
) -> None:
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("quarterdeck.cli._bulk.sys", terminal)
    counted.on("TaskService/ActOnTasks", pages(9, matched=9))
    result = run("task", "retry", "--filter", "name:a", input=f"{answer}\n")
    assert "retry 9 tasks? [y/N]" in result.stderr
    assert len(counted.asked(ActOnTasksRequest)) == acts
    assert result.exit_code == (0 if acts else ExitCode.INTERRUPTED)


def test_an_act_that_breaks_off_says_how_far_it_came(counted: ScriptedServer, run: Run) -> None:
    def handler(request: ActOnTasksRequest) -> Iterator[ActOnTasksResponse]:
        yield ActOnTasksResponse(matched=9, done=5)
        raise Refusal(status(grpc.StatusCode.UNAVAILABLE, "DRAINING", "stopping"))

    counted.on("TaskService/ActOnTasks", handler)
    result = run("task", "retry", "--filter", "name:a")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "5 of 9 tasks were done" in result.stderr
    assert len(counted.asked(ActOnTasksRequest)) == 1


def test_an_act_that_was_begun_and_lost_sight_of_says_where_its_number_stands(
    counted: ScriptedServer, run: Run
) -> None:
    def handler(request: ActOnTasksRequest) -> Iterator[ActOnTasksResponse]:
        yield ActOnTasksResponse(matched=9)
        raise Refusal(Status(code=grpc.StatusCode.UNAVAILABLE.value[0]))

    counted.on("TaskService/ActOnTasks", handler)
    result = run("task", "retry", "--filter", "name:a")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert result.stderr.splitlines()[1:] == [
        "at least 0 of 9 tasks were done; quarterdeck audit list has the exact number"
    ]


def test_a_refusal_that_is_no_race_is_told(counted: ScriptedServer, run: Run) -> None:
    error = status(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "labels: too\x1b[2J many")
    counted.on("TaskService/ActOnTasks", pages(8, matched=9, refused=1, errors=[error]))
    result = run("task", "retry", "--filter", "name:a")
    assert result.exit_code == ExitCode.REFUSED
    assert "labels: too many (INVALID_FIELD)" in result.stderr


def test_a_list_that_is_too_old_is_refused(counted: ScriptedServer, run: Run) -> None:
    def handler(request: ActOnTasksRequest) -> Iterator[ActOnTasksResponse]:
        raise Refusal(status(grpc.StatusCode.ABORTED, "LIST_TOO_OLD", "too much has changed"))
        yield

    counted.on("TaskService/ActOnTasks", handler)
    assert run("task", "retry", "--filter", "name:a").exit_code == ExitCode.REFUSED


def test_every_change_reaches_the_server(server: ScriptedServer, run: Run) -> None:
    results = [UpdateResult(state=READY), UpdateResult(error=WRONG_STATE)]
    server.on("TaskService/UpdateTasks", lambda _: UpdateTasksResponse(results=results))
    result = run(
        *("task", "update", "task_1", "task_2", "--priority", "0", "--queue", "fast"),
        *("--delay", "1m", "--label", "a=b", "--remove-label", "c", "--max-attempts", "7"),
        *("--task-timeout", "1h", "--note", "why"),
    )
    assert (result.stdout, result.exit_code) == ("task_1  ready\n", ExitCode.REFUSED)
    assert "task_2: it has ended" in result.stderr
    (request,) = server.asked(UpdateTasksRequest)
    update = request.update
    assert (update.HasField("priority"), update.queue, update.delay.seconds) == (True, "fast", 60)
    assert dict(update.labels) == {"a": "b", "c": ""}
    assert (update.retry.max_attempts, update.timeouts.task.seconds) == (7, 3600)
    assert (request.reason, "@" in request.actor, bool(request.request_id)) == ("why", True, True)


def test_running_tasks_are_paused_and_resumed(server: ScriptedServer, run: Run) -> None:
    paused, resumed = PauseResult(state=RUNNING), ResumeResult(state=RUNNING)
    server.on("TaskService/PauseTasks", lambda _: PauseTasksResponse(results=[paused]))
    server.on("TaskService/ResumeTasks", lambda _: ResumeTasksResponse(results=[resumed]))
    paused_task = Task(id="task_1", state=RUNNING)
    paused_task.pause.reason = "look"
    server.on("TaskService/ListTasks", lambda _: ListTasksResponse(tasks=[paused_task]))
    asked = run("task", "pause", "task_1", "--reason", "look").stdout
    assert asked == "task_1  pausing: it stands still at its next checkpoint\n"
    assert "pausing" in run("task", "list").stdout.splitlines()[1].split()
    paused_task.pause.acknowledge_time.GetCurrentTime()
    assert run("task", "pause", "task_1").stdout == "task_1  paused\n"
    row = run("task", "list").stdout.splitlines()[1].split()
    assert ("paused" in row, row[-1]) == (True, "look")
    assert run("task", "resume", "task_1").stdout == "task_1  running\n"
    assert server.asked(PauseTasksRequest)[0].reason == "look"
    assert server.asked(ListTasksRequest)[0].filter == 'id:"task_1"'


def test_a_pause_is_told_also_when_nobody_says_how_far_it_is(
    server: ScriptedServer, run: Run
) -> None:
    result = PauseTasksResponse(results=[PauseResult(state=RUNNING)])
    server.on("TaskService/PauseTasks", lambda _: result)
    told = run("task", "pause", "task_1")
    assert (told.exit_code, told.stdout.split()[1]) == (0, "pausing:")


def test_a_refusal_that_names_its_task_does_not_name_it_twice(
    server: ScriptedServer, run: Run
) -> None:
    wrong = status(grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE", "task_1 is SUCCEEDED")
    results = [RerunResult(error=wrong), RerunResult(error=WRONG_STATE)]
    server.on("TaskService/RerunTasks", lambda _: RerunTasksResponse(results=results))
    assert run("task", "rerun", "task_1", "task_2").stderr.splitlines() == [
        "task_1 is SUCCEEDED (WRONG_STATE)",
        "task_2: it has ended (WRONG_STATE)",
    ]


def test_a_rerun_prints_each_new_id_after_the_old_one(server: ScriptedServer, run: Run) -> None:
    results = [
        RerunResult(task_id="task_8", dependent_ids=["task_9"]),
        RerunResult(error=WRONG_STATE),
    ]
    server.on("TaskService/RerunTasks", lambda _: RerunTasksResponse(results=results))
    result = run("task", "rerun", "task_1", "task_2", "--with-dependents")
    assert result.stdout == "task_1  task_8  and 1 dependent\n"
    assert result.exit_code == ExitCode.REFUSED
    (request,) = server.asked(RerunTasksRequest)
    assert request.with_dependents
    assert not request.HasField("input")


def test_a_rerun_may_have_another_input(server: ScriptedServer, run: Run) -> None:
    answer = RerunTasksResponse(results=[RerunResult(task_id="task_8")])
    server.on("TaskService/RerunTasks", lambda _: answer)
    assert run("task", "rerun", "task_1", "--input", "[1]").stdout == "task_1  task_8\n"
    assert server.asked(RerunTasksRequest)[0].input.data == b"[1]"


def test_an_explanation_names_what_has_to_end_first(server: ScriptedServer, run: Run) -> None:
    obstacle = Obstacle(message="paused by \x1b[31mann", actor="ann", task_ids=["task_7"])
    obstacle.until.seconds = 4_000_000_000
    span = LifeSpan(phase=LifePhase.LIFE_PHASE_READY)
    span.start_time.seconds = 1
    response = ExplainTaskResponse(
        task=Task(id="task_1", state=READY),
        summary="Its queue is paused.",
        obstacles=[obstacle],
        ahead=10_000,
        ahead_is_minimum=True,
        spans=[span],
        time_summary="Most of it in line.",
    )
    server.on("TaskService/ExplainTask", lambda _: response)
    output = run("task", "explain", "task_1").stdout
    lines = output.splitlines()
    assert lines[0] == "Its queue is paused."
    assert lines[1].startswith("- paused by ann (until 2096-10-02")
    assert lines[2] == "  task_7"
    assert "10,000 or more" in output
    assert "Most of it in line." in output
    assert "\x1b" not in output
    assert server.asked(ExplainTaskRequest)[0].task_id == "task_1"


def test_the_only_obstacle_is_said_once(server: ScriptedServer, run: Run) -> None:
    full = "queue deep may run 1 at once and 1 runs"
    obstacle = Obstacle(message=full, task_ids=["task_7"], agent_ids=["a1", "a2"])
    response = ExplainTaskResponse(
        task=Task(id="task_1", state=READY), summary=full, obstacles=[obstacle]
    )
    server.on("TaskService/ExplainTask", lambda _: response)
    lines = run("task", "explain", "task_1").stdout.splitlines()
    assert [full in line for line in lines].count(True) == 1
    assert "tasks   task_7" in lines
    assert "agents  a1 a2" in lines


def test_an_explanation_has_the_whole_id_of_whose_attempt_it_is(
    server: ScriptedServer, run: Run
) -> None:
    task = Task(id="task_1", state=RUNNING, agent_id="5d50" * 8)
    response = ExplainTaskResponse(task=task, summary="attempt 1 runs at crow-5d50")
    server.on("TaskService/ExplainTask", lambda _: response)
    assert f"agent  {'5d50' * 8}" in run("task", "explain", "task_1").stdout.splitlines()
