"""A server that only pretends: the services of the API over a small scripted state.

It speaks through a real grpc.aio server, so the console under test uses its real channel. Run as a
module it is a load generator: `python -m tests.console.fleet --tasks 100000 --rate 5000`.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Never

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage

from quarterdeck.v1 import (
    agent_pb2,
    fleet_service_pb2,
    fleet_service_pb2_grpc,
    pool_pb2,
    queue_pb2,
    schedule_pb2,
    schedule_service_pb2,
    schedule_service_pb2_grpc,
    status_pb2,
    system_service_pb2,
    system_service_pb2_grpc,
    task_pb2,
    task_service_pb2,
    task_service_pb2_grpc,
    watch_service_pb2,
    watch_service_pb2_grpc,
)

FRAME = 0.05
"""Seconds between two answers of a watch."""

_TASK = watch_service_pb2.RESOURCE_KIND_TASK
_KINDS = {
    "task": watch_service_pb2.RESOURCE_KIND_TASK,
    "agent": watch_service_pb2.RESOURCE_KIND_AGENT,
    "queue": watch_service_pb2.RESOURCE_KIND_QUEUE,
    "schedule": watch_service_pb2.RESOURCE_KIND_SCHEDULE,
    "instance": watch_service_pb2.RESOURCE_KIND_INSTANCE,
    "pool": watch_service_pb2.RESOURCE_KIND_POOL,
}
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ENDED = (
    task_pb2.TASK_STATE_SUCCEEDED,
    task_pb2.TASK_STATE_FAILED,
    task_pb2.TASK_STATE_CANCELLED,
    task_pb2.TASK_STATE_EXPIRED,
)


def task_id(number: int) -> str:
    """The id of the n-th task."""
    text = ""
    for _ in range(13):
        number, digit = divmod(number, 32)
        text = _ALPHABET[digit] + text
    return f"task_{text}"


def status(code: int, reason: str, message: str, **metadata: str) -> status_pb2.Status:
    """An error as the server writes it."""
    detail = AnyMessage(type_url="type.googleapis.com/google.rpc.ErrorInfo")
    detail.value = status_pb2.ErrorInfo(
        reason=reason, domain="quarterdeck", metadata=metadata
    ).SerializeToString()
    return status_pb2.Status(code=code, message=message, details=[detail])


async def abort(
    context: Any, code: grpc.StatusCode, reason: str, message: str, **metadata: str
) -> Never:
    """Ends a call with an error as the server does."""
    error = status(code.value[0], reason, message, **metadata)
    await context.abort(code, message, (("grpc-status-details-bin", error.SerializeToString()),))
    raise AssertionError("abort raises")


class FilterError(ValueError):
    """A filter with an unknown field; carries its position."""


def parse(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Terms `field:a,b` of the fields that the console itself asks for."""
    terms = []
    at = 0
    for word in text.split():
        field, colon, values = word.partition(":")
        if not colon or field not in {
            "state",
            "queue",
            "id",
            "agent",
            "name",
            "schedule",
            "paused",
        }:
            raise FilterError(f"unknown field {field!r}", str(at))
        terms.append((field, tuple(values.replace('"', "").split(","))))
        at += len(word) + 1
    return terms


def matches(kind: str, item: Any, terms: Iterable[tuple[str, tuple[str, ...]]]) -> bool:
    """Whether a resource passes a filter."""
    for field, values in terms:
        if field == "state":
            enum = task_pb2.TaskState if kind == "task" else agent_pb2.AgentState
            prefix = "TASK_STATE_" if kind == "task" else "AGENT_STATE_"
            value = enum.Name(item.state).removeprefix(prefix).lower()
        elif field == "agent":
            value = item.agent_id
        elif field == "schedule":
            value = item.schedule_id
        elif field == "paused":
            value = "yes" if item.paused else "no"
        elif field == "name" and kind == "agent":
            value = item.info.name
        else:
            value = getattr(item, field)
        if value not in values:
            return False
    return True


class Watcher:
    """One open watch: what changed since its last answer."""

    def __init__(self, kinds: set[int], terms: list[tuple[str, tuple[str, ...]]]) -> None:
        self.kinds = kinds
        self.terms = terms
        self.dirty: dict[tuple[str, str], int] = {}
        self.wake = asyncio.Event()
        self.seen: set[tuple[str, str]] = set()


class Fleet:
    """The state, and the server in front of it."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
        self.inputs: dict[str, bytes] = {}
        self.results: dict[str, bytes] = {}
        self.attempts: dict[str, list[task_pb2.Attempt]] = {}
        self.logs: dict[str, list[task_pb2.LogLine]] = {}
        self.revision = 0
        self.changed_at: dict[tuple[str, str], int] = {}
        self.watchers: set[Watcher] = set()
        self.calls: Counter[str] = Counter()
        self.requests: list[Any] = []
        self.expire_tokens = 0
        self.log_wake = asyncio.Event()
        self.left = asyncio.Event()
        self.port = 0
        self._server: grpc.aio.Server | None = None
        self._numbers = itertools.count(1)

    # The server.

    async def start(self) -> str:
        """Listens; on the port of before when it was stopped."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        services = _Services(self)  # type: ignore[abstract]  # what the console does not call
        task_service_pb2_grpc.add_TaskServiceServicer_to_server(services, self._server)
        fleet_service_pb2_grpc.add_FleetServiceServicer_to_server(services, self._server)
        schedule_service_pb2_grpc.add_ScheduleServiceServicer_to_server(services, self._server)
        system_service_pb2_grpc.add_SystemServiceServicer_to_server(services, self._server)
        watch_service_pb2_grpc.add_WatchServiceServicer_to_server(services, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()
        return f"127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Goes away as a killed server does."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    # The state.

    def put(self, kind: str, key: str, item: Any) -> None:
        """Stores a new version and tells the watchers."""
        self.revision += 1
        item.revision = self.revision
        self.items[kind][key] = item
        self.changed_at[(kind, key)] = self.revision
        for watcher in self.watchers:
            if _KINDS[kind] in watcher.kinds:
                watcher.dirty[(kind, key)] = self.revision
                watcher.wake.set()

    def drop(self, kind: str, key: str) -> None:
        """Removes a resource and tells the watchers."""
        self.revision += 1
        del self.items[kind][key]
        self.changed_at[(kind, key)] = self.revision
        for watcher in self.watchers:
            if _KINDS[kind] in watcher.kinds:
                watcher.dirty[(kind, key)] = self.revision
                watcher.wake.set()

    def task(self, name: str = "digest", state: str = "READY", **fields: Any) -> str:
        """Adds a task; answers its id."""
        key = fields.pop("id", None) or task_id(next(self._numbers))
        now = time.time()
        started, ended = fields.pop("started", now), fields.pop("ended", now)
        item = task_pb2.Task(id=key, name=name, namespace="default", queue="default")
        item.state = task_pb2.TaskState.Value(f"TASK_STATE_{state}")
        item.priority, item.max_attempts = 5, 3
        stamp(item.create_time, fields.pop("created", now))
        if state in ("RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"):
            item.attempt = 1
            stamp(item.start_time, started)
        if item.state in _ENDED:
            stamp(item.end_time, ended)
        for field, value in fields.items():
            if field == "labels":
                item.labels.update(value)
            elif field == "failure":
                item.failure.CopyFrom(value)
            elif field == "progress":
                item.progress.CopyFrom(value)
            else:
                setattr(item, field, value)
        self.put("task", key, item)
        return key

    def change_task(self, key: str, state: str | None = None, **fields: Any) -> None:
        """Changes a task."""
        item = task_pb2.Task()
        item.CopyFrom(self.items["task"][key])
        if state is not None:
            item.state = task_pb2.TaskState.Value(f"TASK_STATE_{state}")
            if state == "RUNNING":
                stamp(item.start_time, time.time())
                item.attempt += 1
            if item.state in _ENDED:
                stamp(item.end_time, time.time())
        for field, value in fields.items():
            setattr(item, field, value)
        self.put("task", key, item)

    def agent(
        self, key: str, name: str = "researcher", state: str = "ACTIVE", **fields: Any
    ) -> None:
        """Adds or changes an agent."""
        info = agent_pb2.AgentInfo(
            agent_id=key, name=name, hostname=fields.pop("hostname", "host-1"), pid=4711,
            slots=fields.pop("slots", 8), version="1.2.0",
        )  # fmt: skip
        info.labels.update(fields.pop("labels", {}))
        item = agent_pb2.Agent(
            info=info, namespace="default", queues=fields.pop("queues", ["default"])
        )
        item.state = agent_pb2.AgentState.Value(f"AGENT_STATE_{state}")
        stamp(item.create_time, time.time() - 3_600)
        stamp(item.last_contact_time, time.time())
        for field, value in fields.items():
            setattr(item, field, value)
        self.put("agent", key, item)

    def queue(self, key: str = "default", **fields: Any) -> None:
        """Adds or changes a queue; its counters are those of its tasks unless given."""
        item = queue_pb2.Queue(name=key, namespace="default")
        counts = fields.pop("counts", None)
        if counts is None:
            tasks = [task for task in self.items["task"].values() if task.queue == key]
            counts = Counter(task.state for task in tasks)
            by_name: dict[str, Counter[int]] = {}
            for task in tasks:
                by_name.setdefault(task.name, Counter())[task.state] += 1
            for name, states in itertools.islice(by_name.items(), 100):
                item.names.append(queue_pb2.NameCount(name=name, counts=_counts(states)))
            item.succeeded_total = counts.get(task_pb2.TASK_STATE_SUCCEEDED, 0)
            item.failed_total = counts.get(task_pb2.TASK_STATE_FAILED, 0)
        item.counts.extend(_counts(counts))
        stamp(item.create_time, time.time() - 7_200)
        for field, value in fields.items():
            setattr(item, field, value)
        self.put("queue", key, item)

    def schedule(self, key: str, cron: str = "0 * * * *", **fields: Any) -> None:
        """Adds or changes a schedule."""
        item = schedule_pb2.Schedule(id=key, namespace="default")
        item.spec.cron.expression = cron
        item.spec.cron.time_zone = "Europe/Berlin"
        item.spec.task.name = fields.pop("task_name", "digest")
        stamp(item.create_time, time.time() - 86_400)
        stamp(item.next_time, time.time() + 55)
        stamp(item.last_time, time.time() - 3_545)
        item.fired_count = 24
        for field, value in fields.items():
            setattr(item, field, value)
        self.put("schedule", key, item)

    def pool(self, key: str, **fields: Any) -> None:
        """Adds or changes a pool."""
        item = pool_pb2.Pool(name=key, queue="default", min=0, max=4, slots=8, launcher="process")
        for field, value in fields.items():
            setattr(item, field, value)
        self.put("pool", key, item)

    def write_log(self, key: str, *texts: str, level: str = "info") -> None:
        """Appends lines to a task's log."""
        lines = self.logs.setdefault(key, [])
        for text in texts:
            entry = task_pb2.LogLine(level=level, stream="log", text=text, attempt=1)
            stamp(entry.time, time.time())
            entry.sequence = len(lines) + 1
            lines.append(entry)
        self.log_wake.set()
        self.log_wake = asyncio.Event()

    def populate(self) -> None:
        """A small fleet with something of everything."""
        now = time.time()
        for name in ("wren-0001", "heron-0002", "owl-0003"):
            self.agent(name, name.split("-")[0], running=2, slots=4, queues=["default", "research"])
        self.agent("crow-0004", "crow", state="LOST", running=2, slots=2, queues=["research"])
        names = ("summarise-pr", "fetch-papers", "digest", "triage", "eval-run")
        states = (
            ("SUCCEEDED",) * 5 + ("READY",) * 4 + ("RUNNING", "RUNNING", "SCHEDULED", "CANCELLED")
        )
        for number in range(120):
            state = states[number * 7 % len(states)]
            self.task(
                names[number * 3 % 5], state, queue=("default", "research")[number % 2],
                created=now - 4 * (120 - number), started=now - 3 * (120 - number),
                ended=now - 2 * (120 - number), agent_id="heron-0002" if state != "READY" else "",
            )  # fmt: skip
        failure = task_pb2.Task().failure
        failure.type, failure.message = "TimeoutError", "read timed out after 30s"
        self.task(
            "fetch-papers",
            "FAILED",
            queue="research",
            failure=failure,
            agent_id="crow-0004",
            created=now - 500,
            started=now - 90,
            ended=now - 60,
            attempt=3,
        )
        self.task(
            "deploy",
            "RUNNING",
            created=now - 60,
            started=now - 51,
            agent_id="wren-0001",
            progress=task_pb2.Progress(message="page 7 of 12", done=7, total=12),
        )
        for queue in ("default", "research"):
            self.queue(queue)
        self.queue("gpu", paused=True, pause_note="driver update", counts={3: 12})
        self.schedule("hourly-digest")
        self.schedule("nightly-eval", "0 2 * * *")
        self.schedule("triage-inbox", "*/5 * * * *", paused=True)
        self.pool("workers", instances=3)


def _counts(states: dict[int, int]) -> Iterator[queue_pb2.StateCount]:
    for state, number in sorted(states.items()):
        yield queue_pb2.StateCount(state=state, count=number)  # type: ignore[arg-type]


def stamp(field: Any, seconds: float) -> None:
    """Sets an instant."""
    field.FromMicroseconds(int(seconds * 1_000_000))


_ORDERS: dict[str, Callable[[Any], tuple[Any, str]]] = {
    "create_time": lambda task: (task.create_time.ToMicroseconds(), task.id),
    "run_time": lambda task: (task.run_time.ToMicroseconds(), task.id),
    "end_time": lambda task: (task.end_time.ToMicroseconds(), task.id),
    "priority": lambda task: (task.priority, task.id),
    "name": lambda task: (task.name, task.id),
    "state": lambda task: (task.state, task.id),
}


class _Services(
    task_service_pb2_grpc.TaskServiceServicer,
    fleet_service_pb2_grpc.FleetServiceServicer,
    schedule_service_pb2_grpc.ScheduleServiceServicer,
    system_service_pb2_grpc.SystemServiceServicer,
    watch_service_pb2_grpc.WatchServiceServicer,
):
    """The RPCs that the console calls."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def _note(self, name: str, request: Any) -> None:
        self._fleet.calls[name] += 1
        self._fleet.requests.append(request)

    async def _terms(self, text: str, context: Any) -> list[tuple[str, tuple[str, ...]]]:
        try:
            return parse(text)
        except FilterError as error:
            why, position = error.args
            await abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                "INVALID_FILTER",
                why,
                position=position,
                field="filter",
            )

    async def GetServerInfo(self, request: Any, context: Any) -> Any:
        self._note("GetServerInfo", request)
        answer = system_service_pb2.GetServerInfoResponse(version="0.1.0")
        stamp(answer.time, time.time())
        return answer

    async def ListTasks(self, request: Any, context: Any) -> Any:
        self._note("ListTasks", request)
        terms = await self._terms(request.filter, context)
        field, _, direction = (request.order_by or "create_time desc").partition(" ")
        key = _ORDERS[field]
        rows = [task for task in self._fleet.items["task"].values() if matches("task", task, terms)]
        rows.sort(key=key, reverse=direction == "desc")
        start = 0
        if request.page_token:
            after = self._fleet.items["task"][request.page_token]
            edge = key(after)
            passed = [key(task) <= edge for task in rows]
            if direction == "desc":
                passed = [key(task) >= edge for task in rows]
            start = sum(passed)
        size = request.page_size or 100
        page = rows[start : start + size]
        more = start + size < len(rows)
        return task_service_pb2.ListTasksResponse(
            tasks=page, next_page_token=page[-1].id if more else "",
            watch_token=f"r{self._fleet.revision}",
        )  # fmt: skip

    async def CountTasks(self, request: Any, context: Any) -> Any:
        self._note("CountTasks", request)
        terms = await self._terms(request.filter, context)
        tasks = self._fleet.items["task"].values()
        total = sum(matches("task", task, terms) for task in tasks) if terms else len(tasks)
        return task_service_pb2.CountTasksResponse(total=total)

    async def GetTask(self, request: Any, context: Any) -> Any:
        self._note("GetTask", request)
        fleet = self._fleet
        task = fleet.items["task"].get(request.task_id)
        if task is None:
            await abort(
                context,
                grpc.StatusCode.NOT_FOUND,
                "TASK_NOT_FOUND",
                "there is no such task",
                task_id=request.task_id,
            )
        answer = task_service_pb2.GetTaskResponse(task=task)
        answer.input.content_type = "application/json"
        answer.input.data = fleet.inputs.get(task.id, b'{"source": "arxiv", "page": 7}')
        if task.id in fleet.results:
            answer.result.data = fleet.results[task.id]
        answer.attempts.extend(fleet.attempts.get(task.id, ()))
        if not answer.attempts and task.attempt:
            attempt = answer.attempts.add(attempt=task.attempt, agent_id=task.agent_id)
            attempt.start_time.CopyFrom(task.start_time)
            if task.state in _ENDED:
                attempt.end_time.CopyFrom(task.end_time)
                attempt.outcome = (
                    task_pb2.ATTEMPT_OUTCOME_SUCCEEDED
                    if task.state == task_pb2.TASK_STATE_SUCCEEDED
                    else task_pb2.ATTEMPT_OUTCOME_FAILED
                )
            if task.HasField("failure"):
                attempt.failure.CopyFrom(task.failure)
                attempt.failure.stack_trace = 'Traceback:\n  File "fetch.py", line 7\n' + (
                    task.failure.stack_trace
                )
        return answer

    async def ReadLogs(self, request: Any, context: Any) -> Any:
        self._note("ReadLogs", request)
        fleet = self._fleet
        while True:
            lines = fleet.logs.get(request.task_id, [])
            after = request.after_sequence
            found = lines[after:]
            task = fleet.items["task"].get(request.task_id)
            ended = task is not None and task.state in _ENDED
            if found or ended or not request.wait.seconds:
                page = found[: request.page_size or 1_000]
                last = page[-1].sequence if page else max(after, 0)
                return task_service_pb2.ReadLogsResponse(
                    lines=page, next_sequence=last, end=ended and last == len(lines)
                )
            await fleet.log_wake.wait()

    async def Submit(self, request: Any, context: Any) -> Any:
        self._note("Submit", request)
        results = []
        for spec in request.tasks:
            key = self._fleet.task(spec.name, queue=spec.queue or "default")
            self._fleet.inputs[key] = spec.input.data
            results.append(task_service_pb2.SubmitResult(task_id=key))
        return task_service_pb2.SubmitResponse(results=results)

    async def CancelTasks(self, request: Any, context: Any) -> Any:
        self._note("CancelTasks", request)
        results = []
        for key in request.task_ids:
            task = self._fleet.items["task"].get(key)
            result = task_service_pb2.CancelResult()
            if task is None:
                result.error.CopyFrom(status(5, "TASK_NOT_FOUND", "there is no such task"))
            elif task.state in _ENDED:
                result.error.CopyFrom(status(9, "WRONG_STATE", "the task has ended"))
            else:
                self._fleet.change_task(key, "CANCELLED")
            results.append(result)
        return task_service_pb2.CancelTasksResponse(results=results)

    async def RetryTasks(self, request: Any, context: Any) -> Any:
        self._note("RetryTasks", request)
        results = []
        for key in request.task_ids:
            result = task_service_pb2.RetryResult()
            if self._fleet.items["task"][key].state == task_pb2.TASK_STATE_FAILED:
                self._fleet.change_task(key, "READY")
            else:
                result.error.CopyFrom(status(9, "WRONG_STATE", "the task has not failed"))
            results.append(result)
        return task_service_pb2.RetryTasksResponse(results=results)

    async def ListAgents(self, request: Any, context: Any) -> Any:
        self._note("ListAgents", request)
        await self._terms(request.filter, context)
        return fleet_service_pb2.ListAgentsResponse()

    async def DrainAgent(self, request: Any, context: Any) -> Any:
        self._note("DrainAgent", request)
        item = agent_pb2.Agent()
        item.CopyFrom(self._fleet.items["agent"][request.agent_id])
        item.state = agent_pb2.AGENT_STATE_DRAINING
        self._fleet.put("agent", request.agent_id, item)
        return fleet_service_pb2.DrainAgentResponse(agent=item)

    async def ListQueues(self, request: Any, context: Any) -> Any:
        self._note("ListQueues", request)
        await self._terms(request.filter, context)
        return fleet_service_pb2.ListQueuesResponse()

    async def UpdateQueue(self, request: Any, context: Any) -> Any:
        self._note("UpdateQueue", request)
        item = queue_pb2.Queue()
        item.CopyFrom(self._fleet.items["queue"][request.queue])
        item.paused, item.pause_note = request.paused, request.note
        self._fleet.put("queue", request.queue, item)
        return fleet_service_pb2.UpdateQueueResponse(queue=item)

    async def ListPools(self, request: Any, context: Any) -> Any:
        self._note("ListPools", request)
        return fleet_service_pb2.ListPoolsResponse()

    async def ListSchedules(self, request: Any, context: Any) -> Any:
        self._note("ListSchedules", request)
        await self._terms(request.filter, context)
        return schedule_service_pb2.ListSchedulesResponse()

    async def PreviewSchedule(self, request: Any, context: Any) -> Any:
        self._note("PreviewSchedule", request)
        answer = schedule_service_pb2.PreviewScheduleResponse()
        for step in range(request.count or 10):
            stamp(answer.times.add(), time.time() + 3_600 * (step + 1))
        return answer

    async def TriggerSchedule(self, request: Any, context: Any) -> Any:
        self._note("TriggerSchedule", request)
        key = self._fleet.task("digest", schedule_id=request.schedule_id)
        return schedule_service_pb2.TriggerScheduleResponse(task_id=key)

    async def PauseSchedule(self, request: Any, context: Any) -> Any:
        self._note("PauseSchedule", request)
        self._pause(request.schedule_id, True)
        return schedule_service_pb2.PauseScheduleResponse()

    async def ResumeSchedule(self, request: Any, context: Any) -> Any:
        self._note("ResumeSchedule", request)
        self._pause(request.schedule_id, False)
        return schedule_service_pb2.ResumeScheduleResponse()

    def _pause(self, key: str, paused: bool) -> None:
        item = schedule_pb2.Schedule()
        item.CopyFrom(self._fleet.items["schedule"][key])
        item.paused = paused
        self._fleet.put("schedule", key, item)

    async def GetSchedule(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def Schedule(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def DeleteSchedule(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def WaitTask(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self._note("Watch", request)
        fleet = self._fleet
        terms = await self._terms(request.filter, context)
        watcher = Watcher(set(request.kinds) or set(_KINDS.values()), terms)
        kinds = [kind for kind, number in _KINDS.items() if number in watcher.kinds]
        if request.resume_token:
            if fleet.expire_tokens:
                fleet.expire_tokens -= 1
                await abort(context, grpc.StatusCode.OUT_OF_RANGE, "WATCH_TOKEN_EXPIRED", "too old")
            since = int(request.resume_token[1:])
            for key, revision in fleet.changed_at.items():
                if revision > since and key[0] in kinds:
                    watcher.dirty[key] = revision
                    watcher.wake.set()
            watcher.seen = {(kind, key) for kind in kinds for key in fleet.items[kind]}
        fleet.watchers.add(watcher)
        try:
            if not request.resume_token:
                yield self._snapshot(watcher, kinds)
            while True:
                await watcher.wake.wait()
                watcher.wake.clear()
                dirty, watcher.dirty = watcher.dirty, {}
                answer = self._answer(watcher, dirty)
                if answer.changes:
                    yield answer
                await asyncio.sleep(FRAME)
        finally:
            fleet.watchers.discard(watcher)
            fleet.left.set()

    def _snapshot(self, watcher: Watcher, kinds: list[str]) -> Any:
        answer = watch_service_pb2.WatchResponse(
            snapshot_complete=True, resume_token=f"r{self._fleet.revision}"
        )
        for kind in kinds:
            for key, item in self._fleet.items[kind].items():
                if matches(kind, item, watcher.terms):
                    watcher.seen.add((kind, key))
                    change = answer.changes.add(type=watch_service_pb2.CHANGE_TYPE_SNAPSHOT)
                    getattr(change, kind).CopyFrom(item)
        return answer

    def _answer(self, watcher: Watcher, dirty: dict[tuple[str, str], int]) -> Any:
        answer = watch_service_pb2.WatchResponse(resume_token=f"r{self._fleet.revision}")
        for (kind, key), revision in dirty.items():
            item = self._fleet.items[kind].get(key)
            seen = (kind, key) in watcher.seen
            if item is None:
                if not seen:
                    continue
                change = answer.changes.add(type=watch_service_pb2.CHANGE_TYPE_DELETED)
                _identify(change, kind, key)
                watcher.seen.discard((kind, key))
            elif matches(kind, item, watcher.terms):
                kind_of_change = (
                    watch_service_pb2.CHANGE_TYPE_UPDATED
                    if seen
                    else watch_service_pb2.CHANGE_TYPE_CREATED
                )
                change = answer.changes.add(type=kind_of_change)
                getattr(change, kind).CopyFrom(item)
                watcher.seen.add((kind, key))
            elif seen:
                change = answer.changes.add(type=watch_service_pb2.CHANGE_TYPE_LEFT)
                getattr(change, kind).CopyFrom(item)
                watcher.seen.discard((kind, key))
            else:
                continue
            change.revision = revision
        return answer


def _identify(change: Any, kind: str, key: str) -> None:
    if kind == "agent":
        change.agent.info.agent_id = key
    elif kind in ("queue", "pool"):
        getattr(change, kind).name = key
    else:
        getattr(change, kind).id = key
