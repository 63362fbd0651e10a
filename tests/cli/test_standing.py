"""Lists say what is frozen and held, agents are meant by the beginning of an id, typos are told."""

from __future__ import annotations

import json

import grpc
import pytest

from quarterdeck._words import counted, short_ids
from quarterdeck.cli._exit import ExitCode
from quarterdeck.v1.agent_pb2 import Agent, AgentInfo, AgentState
from quarterdeck.v1.fleet_service_pb2 import (
    DrainAgentRequest,
    DrainAgentResponse,
    ListAgentsRequest,
    ListAgentsResponse,
    ListHoldsResponse,
    ListQueuesResponse,
    PutHoldRequest,
    PutHoldResponse,
    UpdateQueueRequest,
    UpdateQueueResponse,
)
from quarterdeck.v1.hold_pb2 import Hold, HoldKind
from quarterdeck.v1.queue_pb2 import Queue
from quarterdeck.v1.schedule_service_pb2 import ListSchedulesResponse
from quarterdeck.v1.task_service_pb2 import CountTasksResponse

from .conftest import Refusal, Run, ScriptedServer, status

FIRST = "01b6d1b6522c45c4a15fb0300aae8bf4"
SECOND = "01b6d1b6522c99c4a15fb0300aae8bf4"


def agent(agent_id: str, version: str = "1.2") -> Agent:
    about = AgentInfo(agent_id=agent_id, name="researcher", version=version, slots=1)
    return Agent(info=about, state=AgentState.AGENT_STATE_ACTIVE)


@pytest.fixture
def agents(server: ScriptedServer) -> list[Agent]:
    """The agents of a server, which answers a filter by id."""
    known = [agent(FIRST), agent("researcher-7")]

    def found(request: ListAgentsRequest) -> ListAgentsResponse:
        wanted = request.filter.removeprefix("id:").replace('"', "").split(",")
        matches = [
            one
            for one in known
            if not request.filter
            or one.info.agent_id in wanted
            or any(w.endswith("*") and one.info.agent_id.startswith(w[:-1]) for w in wanted)
        ]
        return ListAgentsResponse(agents=matches)

    def drain(request: DrainAgentRequest) -> DrainAgentResponse:
        return DrainAgentResponse(agent=agent(request.agent_id))

    server.on("FleetService/ListAgents", found)
    server.on("FleetService/DrainAgent", drain)
    return known


def freeze(server: ScriptedServer, *more: Hold) -> None:
    hold = Hold(kind=HoldKind.HOLD_KIND_NAMESPACE, actor="ann", reason="billed twice")
    server.on("FleetService/ListHolds", lambda _: ListHoldsResponse(holds=[hold, *more]))


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 tasks"), (1, "1 task"), (2, "2 tasks"), (1200, "1,200 tasks")]
)
def test_one_is_not_plural(number: int, shown: str) -> None:
    assert counted(number, "task") == shown


def test_a_plural_may_be_irregular() -> None:
    assert [counted(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]


def test_ids_that_were_made_up_are_as_short_as_tells_them_apart() -> None:
    other = "f" * 32
    shown = short_ids([FIRST, SECOND, other, "agent-7", FIRST])
    assert shown == {
        FIRST: "01b6d1b6522c4",
        SECOND: "01b6d1b6522c9",
        other: "ffffffff",
        "agent-7": "agent-7",
    }


def test_a_queue_of_a_frozen_namespace_is_frozen_and_says_by_whom(
    server: ScriptedServer, run: Run
) -> None:
    queues = [Queue(name="deep"), Queue(name="slow", paused=True, pause_note="bob: lunch")]
    server.on("FleetService/ListQueues", lambda _: ListQueuesResponse(queues=queues))
    freeze(server)
    rows = run("queue", "list").stdout.splitlines()
    assert "deep   frozen by ann: billed twice  " in rows[1]
    assert "slow   frozen by ann: billed twice; paused: bob: lunch  " in rows[2]
    assert "frozen by ann" in run("queue", "limits", "deep").stdout
    whole = json.loads(run("queue", "list", "-o", "json").stdout)
    assert [queue["paused"] for queue in whole["queues"]] == [False, True]


def test_a_queue_that_rests_says_until_when(server: ScriptedServer, run: Run) -> None:
    queue = Queue(name="deep")
    queue.back_off_until.GetCurrentTime()
    queue.back_off_until.seconds += 100
    server.on("FleetService/ListQueues", lambda _: ListQueuesResponse(queues=[queue]))
    assert "rests, goes on in 1m" in run("queue", "list").stdout
    assert "rests until" in run("queue", "limits", "deep").stdout


def test_a_rest_that_is_over_is_not_told(server: ScriptedServer, run: Run) -> None:
    queue = Queue(name="deep")
    queue.back_off_until.seconds = 1
    server.on("FleetService/ListQueues", lambda _: ListQueuesResponse(queues=[queue]))
    assert "active" in run("queue", "limits", "deep").stdout
    assert "rests" not in run("queue", "limits", "deep").stdout


def test_an_agent_whose_version_is_held_is_not_just_active(
    server: ScriptedServer, run: Run, agents: list[Agent]
) -> None:
    held = Hold(kind=HoldKind.HOLD_KIND_AGENT_VERSION, subject="researcher@1.2", actor="bob")
    freeze(server, held)
    agents[1] = agent("researcher-7", version="1.3")
    first, second = run("agent", "list").stdout.splitlines()[1:]
    assert "active, held" in first
    assert "held" not in second
    assert "held" in run("agent", "get", "01b6d1").stdout
    assert "by bob" in run("agent", "get", "01b6d1").stdout


def test_agents_are_short_in_tables_and_whole_in_json(
    server: ScriptedServer, run: Run, agents: list[Agent]
) -> None:
    table = run("agent", "list").stdout
    assert [line.split()[0] for line in table.splitlines()] == ["ID", "01b6d1b6", "researcher-7"]
    assert FIRST in run("agent", "list", "-o", "json").stdout
    assert FIRST in run("agent", "get", "01b6").stdout
    assert json.loads(run("agent", "get", "01b6", "-o", "json").stdout)["agent"]["info"][
        "agent_id"
    ] == (FIRST)


def test_an_agent_is_meant_by_the_beginning_of_its_id(
    server: ScriptedServer, run: Run, agents: list[Agent]
) -> None:
    assert run("agent", "drain", "01b6d1b6").stdout == f"{FIRST} active, 0 running\n"
    assert run("agent", "drain", "researcher-7").exit_code == 0
    assert [r.agent_id for r in server.asked(DrainAgentRequest)] == [FIRST, "researcher-7"]


def test_a_beginning_of_several_ids_is_refused_with_what_may_be_meant(
    server: ScriptedServer, run: Run, agents: list[Agent]
) -> None:
    agents.append(agent(SECOND))
    refused = run("agent", "drain", "01b6d1b6")
    assert refused.exit_code == ExitCode.REFUSED
    assert "the beginning of 2 ids of agents: 01b6d1b6522c4, 01b6d1b6522c9" in refused.stderr
    assert run("agent", "get", FIRST).exit_code == 0
    assert run("agent", "get", "researcher").exit_code == ExitCode.NOT_FOUND
    assert server.asked(DrainAgentRequest) == []


def test_holding_what_nobody_knows_is_done_and_told(
    server: ScriptedServer, run: Run, agents: list[Agent]
) -> None:
    def put(request: PutHoldRequest) -> PutHoldResponse:
        return PutHoldResponse(hold=Hold(kind=request.kind, subject=request.subject))

    server.on("FleetService/PutHold", put)
    server.on("TaskService/CountTasks", lambda _: CountTasksResponse())
    server.on("ScheduleService/ListSchedules", lambda _: ListSchedulesResponse())
    for kind, subject in (("agent", "nosuch"), ("task-name", "no\x1b[2Jsuch")):
        held = run("hold", "put", kind, subject)
        assert held.exit_code == 0
        what = kind.replace("-", " ")
        assert held.stderr == f"no {what} nosuch is known now: the hold is for when there is one\n"
    known = run("hold", "put", "agent", "01b6d1b6")
    assert (known.stdout, known.stderr) == (f"agent {FIRST} held\n", "")
    server.on("TaskService/CountTasks", lambda _: CountTasksResponse(total=1))
    assert run("hold", "put", "task-name", "research").stderr == ""


def test_pausing_a_queue_that_was_not_there_says_that_it_is_made(
    server: ScriptedServer, run: Run
) -> None:
    def update(request: UpdateQueueRequest) -> UpdateQueueResponse:
        return UpdateQueueResponse(queue=Queue(name=request.queue, paused=request.paused))

    server.on("FleetService/ListQueues", lambda _: ListQueuesResponse())
    server.on("FleetService/UpdateQueue", update)
    paused = run("queue", "pause", "nosuch")
    assert (paused.exit_code, paused.stdout) == (0, "nosuch paused\n")
    assert paused.stderr == "there was no queue nosuch: it was created\n"
    resumed = run("queue", "resume", "nosuch")
    assert (resumed.exit_code, resumed.stdout) == (ExitCode.NOT_FOUND, "")
    assert "there is no queue nosuch" in resumed.stderr
    assert len(server.asked(UpdateQueueRequest)) == 1


def test_an_empty_list_says_so_beside_its_headers(server: ScriptedServer, run: Run) -> None:
    server.on("FleetService/ListQueues", lambda _: ListQueuesResponse())
    result = run("queue", "list", "--filter", "ready>1")
    assert result.stdout.split()[:2] == ["QUEUE", "STATE"]
    assert result.stderr == "no queues match\n"
    assert run("queue", "list", "-o", "json").stderr == ""


def test_who_cannot_be_asked_what_is_held_does_not_hide_the_list(
    server: ScriptedServer, run: Run
) -> None:
    def refuse(_: object) -> None:
        raise Refusal(status(grpc.StatusCode.INTERNAL, "", "broken"))

    server.on("FleetService/ListQueues", lambda _: ListQueuesResponse(queues=[Queue(name="q")]))
    assert "q      active" in run("queue", "list").stdout
    server.on("FleetService/ListHolds", refuse)
    assert run("queue", "list").exit_code == ExitCode.REFUSED
