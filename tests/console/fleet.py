"""A server that only pretends: the services of the API over a small scripted state.

It speaks through a real grpc.aio server, so the console under test uses its real channel. What it answers to
calls stands in `*_calls.py`; `load.py` makes a busy fleet of it.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.message import Message
from tests.console.calls import Calls, serve
from tests.console.edit_calls import EditCalls
from tests.console.fleet_calls import FleetCalls
from tests.console.hold_calls import HoldCalls
from tests.console.schedule_calls import ScheduleCalls
from tests.console.speech import ENDED, stamp, task_id
from tests.console.task_calls import TaskCalls
from tests.console.watch_calls import KINDS, WatchCalls, Watcher

from quarterdeck.v1 import (
    agent_pb2,
    audit_pb2,
    fleet_service_pb2,
    pool_pb2,
    queue_pb2,
    schedule_pb2,
    schedule_service_pb2,
    system_service_pb2,
    task_pb2,
    task_service_pb2,
    watch_service_pb2,
)

_SERVICES: tuple[tuple[Any, tuple[type[Calls], ...]], ...] = (
    (task_service_pb2, (TaskCalls, EditCalls)),
    (fleet_service_pb2, (FleetCalls, HoldCalls)),
    (schedule_service_pb2, (ScheduleCalls,)),
    (system_service_pb2, (ScheduleCalls,)),
    (watch_service_pb2, (WatchCalls,)),
)


class Fleet:
    """The state, and the server in front of it."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self.inputs: dict[str, bytes] = {}
        self.results: dict[str, bytes] = {}
        self.attempts: dict[str, list[task_pb2.Attempt]] = {}
        self.logs: dict[str, list[task_pb2.LogLine]] = {}
        self.details: dict[str, task_service_pb2.GetTaskResponse] = {}
        self.explanations: dict[str, task_service_pb2.ExplainTaskResponse] = {}
        self.audit: list[audit_pb2.AuditEntry] = []
        self.lists_too_old = 0
        self.act_gate = asyncio.Event()
        self.act_gate.set()
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
        for module, makers in _SERVICES:
            for service in module.DESCRIPTOR.services_by_name.values():
                serve(self._server, service, [make(self) for make in makers])
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
            if KINDS[kind] in watcher.kinds:
                watcher.dirty[(kind, key)] = self.revision
                watcher.wake.set()

    def drop(self, kind: str, key: str) -> None:
        """Removes a resource and tells the watchers."""
        self.revision += 1
        del self.items[kind][key]
        self.changed_at[(kind, key)] = self.revision
        for watcher in self.watchers:
            if KINDS[kind] in watcher.kinds:
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
        if item.state in ENDED:
            stamp(item.end_time, ended)
        for field, value in fields.items():
            give(item, field, value)
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
            if item.state in ENDED:
                stamp(item.end_time, time.time())
        for field, value in fields.items():
            give(item, field, value)
        self.put("task", key, item)

    def agent(
        self, key: str, name: str = "researcher", state: str = "ACTIVE", **fields: Any
    ) -> None:
        """Adds or changes an agent."""
        info = agent_pb2.AgentInfo(
            agent_id=key, name=name, hostname=fields.pop("hostname", "host-1"), pid=4711,
            slots=fields.pop("slots", 8), version=fields.pop("version", "1.2.0"),
        )  # fmt: skip
        info.labels.update(fields.pop("labels", {}))
        item = agent_pb2.Agent(
            info=info, namespace="default", queues=fields.pop("queues", ["default"])
        )
        item.state = agent_pb2.AgentState.Value(f"AGENT_STATE_{state}")
        stamp(item.create_time, time.time() - 3_600)
        stamp(item.last_contact_time, time.time())
        for field, value in fields.items():
            give(item, field, value)
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
            give(item, field, value)
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
            give(item, field, value)
        self.put("schedule", key, item)

    def pool(self, key: str, **fields: Any) -> None:
        """Adds or changes a pool."""
        item = pool_pb2.Pool(name=key, queue="default", min=0, max=4, slots=8, launcher="process")
        for field, value in fields.items():
            give(item, field, value)
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


def give(item: Any, field: str, value: Any) -> None:
    """Sets a field of a message, whatever it is."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if isinstance(entry, Message):
                getattr(item, field)[key].CopyFrom(entry)
            else:
                getattr(item, field)[key] = entry
    elif isinstance(value, Message):
        getattr(item, field).CopyFrom(value)
    else:
        setattr(item, field, value)
