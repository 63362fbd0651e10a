"""What operators' calls put on the wire, and what is made of the answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

import quarterdeck
from quarterdeck import (
    Affinity,
    Client,
    ConcurrencyLimit,
    Debounce,
    QuarantineRules,
    QueueLimits,
    RateLimit,
    Retention,
    Retry,
    Spec,
    Throttle,
    Timeouts,
    Unique,
)
from quarterdeck._calls import Call
from quarterdeck._convert import from_message
from quarterdeck._core import Core
from quarterdeck._operator_calls import act_request
from quarterdeck._specs import task_spec
from quarterdeck._status import error_from_status
from quarterdeck._wire import to_message
from quarterdeck.v1 import fleet_service_pb2 as fleet
from quarterdeck.v1 import queue_pb2, task_pb2
from quarterdeck.v1 import task_service_pb2 as tasks

from .fake import refusal

Answer = Callable[[Message], "list[Message]"]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Answers every call with one message, and keeps the requests."""

    def arm(response: Message) -> list[Message]:
        requests: list[Message] = []

        async def do(self: Core, call: Call[Any], within: float | None = None) -> Any:
            requests.append(call.request)
            return call.read(response)

        monkeypatch.setattr(Core, "do", do)
        return requests

    return arm


def parsed(kind: type[Message], text: str) -> Message:
    return json_format.Parse(text, kind())


def test_options_of_admission_arrive_as_the_wire_wants_them() -> None:
    spec = task_spec(
        "a",
        None,
        {
            "group_key": "acme",
            "units": 3,
            "affinity": Affinity({"gpu": "a100"}, {"zone": "eu"}, "task_0", patience=2),
            "attributes": {"cost": 1.5, "urgent": True, "team": "red"},
            "idempotency_ttl": dt.timedelta(hours=1),
            "unique": Unique("u", "period", "return_existing", period=60),
            "debounce": Debounce("d", 10, max_wait=120),
            "throttle": Throttle("t", 60, limit=5),
            "retry": Retry(delays=[1, dt.timedelta(minutes=1)], jitter=0),
            "timeouts": Timeouts(cancel_grace=5),
        },
    )
    assert spec == parsed(
        task_pb2.TaskSpec,
        """{
        "name": "a", "groupKey": "acme", "units": 3, "idempotencyTtl": "3600s",
        "affinity": {"required": {"gpu": "a100"}, "preferred": {"zone": "eu"},
                     "sameAgentAs": "task_0", "patience": "2s"},
        "attributes": {"cost": {"number": 1.5}, "urgent": {"flag": true}, "team": {"text": "red"}},
        "unique": {"key": "u", "scope": "UNIQUE_SCOPE_PERIOD",
                   "policy": "UNIQUE_POLICY_RETURN_EXISTING", "period": "60s"},
        "debounce": {"key": "d", "delay": "10s", "maxWait": "120s"},
        "throttle": {"key": "t", "limit": 5, "period": "60s"},
        "retry": {"delays": ["1s", "60s"], "jitter": 0}, "timeouts": {"cancelGrace": "5s"}
        }""",
    )


def test_a_text_is_a_unique_key() -> None:
    unique = task_spec("a", None, {"unique": "u"}).unique
    assert (unique.key, unique.scope) == ("u", task_pb2.UNIQUE_SCOPE_ACTIVE)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"unique": Unique("u", "never")}, ValueError, "unique: scope: expected one of pending"),  # type: ignore[arg-type]
        ({"debounce": "d"}, TypeError, "debounce: expected Debounce"),
        ({"debounce": Debounce("d", "soon")}, TypeError, "debounce: delay: expected seconds or"),  # type: ignore[arg-type]
        ({"attributes": {"a": [1]}}, TypeError, "attributes: a: expected text, a number or a bool"),
        ({"retry": Retry(delays="1")}, TypeError, "retry: delays: expected a list"),  # type: ignore[arg-type]
        ({"affinity": {"gpu": "a100"}}, TypeError, "affinity: expected Affinity"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_its_name(
    options: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        task_spec("a", None, options)


def test_limits_of_a_queue_are_read_as_they_are_given() -> None:
    limits = QueueLimits(
        concurrency=ConcurrencyLimit(5, "reject"),
        rate=RateLimit(100, period=60, burst=200),
        ageing=300,
        weights={"acme": 3},
    )
    message = to_message(queue_pb2.QueueLimits, limits)
    assert not message.HasField("concurrency_per_key")
    assert from_message(QueueLimits, message) == limits


def test_what_a_task_has_is_read() -> None:
    message = task_pb2.Task(id="task_1", group_key="acme", rerun_of="task_0")
    message.attributes["cost"].number = 1.5
    message.attributes["urgent"].flag = False
    message.attributes["of a newer server"].SetInParent()
    message.pause.actor = "ann"
    task = from_message(quarterdeck.Task, message)
    assert task.attributes == {"cost": 1.5, "urgent": False}
    assert task.pause is not None
    assert (task.group_key, task.rerun_of, task.pause.actor) == ("acme", "task_0", "ann")


def test_one_task_is_answered_by_its_state_and_many_by_their_outcomes(answer: Answer) -> None:
    gone = refusal(5, "TASK_NOT_FOUND")
    results = [tasks.UpdateResult(state=task_pb2.TASK_STATE_READY), tasks.UpdateResult(error=gone)]
    requests = answer(tasks.UpdateTasksResponse(results=results))
    client = Client()
    assert client.update("task_1", priority=9) == "ready"
    one, two = client.update(
        ["task_1", "task_2"], labels={"a": ""}, retry=5, timeouts=60, reason="why", actor="ann"
    )
    assert (one.task_id, one.state, one.error) == ("task_1", "ready", None)
    assert isinstance(two.error, quarterdeck.NotFoundError)
    first, second = requests
    assert isinstance(first, tasks.UpdateTasksRequest)
    assert isinstance(second, tasks.UpdateTasksRequest)
    assert first.update == tasks.TaskUpdate(priority=9)
    assert list(second.task_ids) == ["task_1", "task_2"]
    assert (second.reason, second.actor, bool(second.request_id)) == ("why", "ann", True)
    assert second.update.timeouts.attempt.seconds == 60


def test_the_refusal_of_one_task_is_raised(answer: Answer) -> None:
    error = refusal(9, "WRONG_STATE")
    answer(tasks.PauseTasksResponse(results=[tasks.PauseResult(error=error)]))
    with pytest.raises(quarterdeck.WrongStateError):
        Client().pause("task_1")


def test_a_change_that_cannot_be_is_refused() -> None:
    client = Client()
    with pytest.raises(ValueError, match="nothing to change: there are priority"):
        client.update("task_1")
    with pytest.raises(TypeError, match="input: unknown option"):
        client.update("task_1", input=1)  # type: ignore[call-overload]


def test_a_rerun_gives_the_new_tasks(answer: Answer) -> None:
    result = tasks.RerunResult(task_id="task_8", dependent_ids=["task_9"])
    requests = answer(tasks.RerunTasksResponse(results=[result]))
    rerun = Client().rerun("task_1", {"x": 1}, with_dependents=True)
    assert rerun == quarterdeck.Rerun("task_8", ("task_9",), "task_1")
    (request,) = requests
    assert isinstance(request, tasks.RerunTasksRequest)
    assert (request.input.data, request.with_dependents) == (b'{"x":1}', True)


def test_each_of_many_reruns_is_told_apart(answer: Answer) -> None:
    wrong = refusal(9, "WRONG_STATE", task_id="task_2")
    results = [tasks.RerunResult(task_id="task_8"), tasks.RerunResult(error=wrong)]
    requests = answer(tasks.RerunTasksResponse(results=results))
    done, refused = Client().rerun(["task_1", "task_2"])
    assert (done.task_id, done.rerun_of, done.error) == ("task_8", "task_1", None)
    assert (refused.task_id, refused.rerun_of) == ("", "task_2")
    assert isinstance(refused.error, quarterdeck.WrongStateError)
    (request,) = requests
    assert isinstance(request, tasks.RerunTasksRequest)
    assert list(request.task_ids) == ["task_1", "task_2"]


def test_an_explanation_is_read(answer: Answer) -> None:
    response = tasks.ExplainTaskResponse(summary="paused", ahead=3)
    response.task.id = "task_1"
    response.obstacles.add(kind=tasks.OBSTACLE_KIND_QUEUE_PAUSED, task_ids=["task_7"])
    response.spans.add(phase=tasks.LIFE_PHASE_READY).start_time.seconds = 1
    answer(response)
    explanation = Client().explain("task_1")
    (obstacle,) = explanation.obstacles
    assert (obstacle.kind, obstacle.task_ids, obstacle.until) == ("queue_paused", ("task_7",), None)
    assert (explanation.task.id, explanation.ahead) == ("task_1", 3)
    assert explanation.spans[0].phase == "ready"
    assert explanation.spans[0].end_time is None


def test_what_is_not_given_of_a_queue_stays(answer: Answer) -> None:
    requests = answer(fleet.UpdateQueueResponse())
    client = Client()
    client.update_queue("q", limits=QueueLimits())
    client.pause_queue("q", "why", arrivals="drop", actor="ann")
    clear, pause = requests
    assert isinstance(clear, fleet.UpdateQueueRequest)
    assert isinstance(pause, fleet.UpdateQueueRequest)
    assert (clear.HasField("limits"), clear.HasField("paused")) == (True, False)
    assert (pause.HasField("limits"), pause.paused) == (False, True)
    assert pause.paused_arrivals == queue_pb2.ARRIVAL_POLICY_DROP
    with pytest.raises(ValueError, match="paused_arrivals: expected one of queue, drop"):
        client.pause_queue("q", arrivals="lose")  # type: ignore[arg-type]


def test_settings_of_a_namespace_are_sent_whole(answer: Answer) -> None:
    requests = answer(fleet.UpdateNamespaceResponse())
    client = Client()
    client.update_namespace(retention=Retention(failed=dt.timedelta(days=30)))
    client.update_namespace(quarantine=QuarantineRules(agent=5), reason="why")
    keep, rules = requests
    assert isinstance(keep, fleet.UpdateNamespaceRequest)
    assert isinstance(rules, fleet.UpdateNamespaceRequest)
    assert keep.retention.failed.seconds == 30 * 86_400
    assert not keep.retention.HasField("succeeded")
    assert (keep.HasField("quarantine"), rules.HasField("retention")) == (False, False)
    assert (rules.quarantine.agent, rules.reason) == (5, "why")


def test_an_act_is_an_exact_request() -> None:
    fields = {"max_count": 5, "watch_token": "seen", "dry_run": True, "keep_children": True}
    request = act_request("n", "state:ready", "cancel", {}, **fields)
    assert request == tasks.ActOnTasksRequest(
        namespace="n",
        filter="state:ready",
        max_count=5,
        watch_token="seen",
        dry_run=True,
        cancel=tasks.CancelAct(keep_children=True),
    )
    request = act_request("n", "id:*", "update", {"priority": 1}, keep_children=False)
    assert request.update.priority == 1
    assert act_request("n", "id:*", "retry", {}, keep_children=False).HasField("retry")


@pytest.mark.parametrize(
    ("act", "changes", "kind"),
    [
        ("explode", {}, ValueError),
        ("update", {}, ValueError),
        ("cancel", {"priority": 1}, TypeError),
    ],
)
def test_an_act_that_cannot_be_is_refused(act: Any, changes: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        Client().act("id:*", act, max_count=1, **changes)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (6, "UNIQUE_KEY_TAKEN", quarterdeck.UniqueKeyTakenError),
        (10, "LIST_TOO_OLD", quarterdeck.ListTooOldError),
        (5, "HOLD_NOT_FOUND", quarterdeck.HoldNotFoundError),
        (8, "LIMIT_EXCEEDED", quarterdeck.LimitExceededError),
        (6, "IDEMPOTENCY_KEY_REUSED", quarterdeck.ConflictError),
    ],
)
def test_a_refusal_has_the_class_of_its_reason(
    code: int, reason: str, kind: type[quarterdeck.ApiError]
) -> None:
    error = error_from_status(refusal(code, reason, task_id="task_1"))
    assert type(error) is kind
    assert error.metadata["task_id"] == "task_1"


def test_an_item_that_is_no_spec_is_named_before_anything_is_sent() -> None:
    wrong: Any = [Spec("a"), "x"]
    with pytest.raises(TypeError, match=r"specs\[1\]: expected Spec\(name, …\), got 'x'"):
        Client("127.0.0.1:9", timeout=0.1).submit_many(wrong)
