"""The list of agents."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import grpc
from textual.binding import BindingType

from quarterdeck._words import counted
from quarterdeck.v1 import fleet_service_pb2, task_service_pb2
from quarterdeck.v1 import watch_service_pb2 as watch_pb
from quarterdeck.v1.hold_pb2 import HoldKind
from quarterdeck_console.actions import AGENTS, bindings
from quarterdeck_console.model import words
from quarterdeck_console.model.describe import describe_agent
from quarterdeck_console.model.filters import term
from quarterdeck_console.model.holds import AGENT, AGENT_VERSION, hold_id
from quarterdeck_console.model.lines import Line
from quarterdeck_console.model.rows import AgentRow, TaskRow
from quarterdeck_console.model.store import Store
from quarterdeck_console.model.tables import AGENT_COLUMNS
from quarterdeck_console.screens.acts import HoldActs
from quarterdeck_console.screens.dialogs import FOR_AUDIT, Choose, Confirm
from quarterdeck_console.screens.store_screen import StoreScreen
from quarterdeck_console.stream.channel import CALL_TIMEOUT
from quarterdeck_console.widgets.livetable import LiveTable

RUNNING = 10
"""Running tasks named in the inspector."""


class AgentsScreen(StoreScreen[AgentRow], HoldActs):
    """Agents."""

    view = AGENTS
    BINDINGS: ClassVar[list[BindingType]] = bindings(AGENTS)
    columns = AGENT_COLUMNS
    noun = ("agent", "agents")
    empty = "No agents: start one with `quarterdeck agent run module:agent`"
    kind = watch_pb.RESOURCE_KIND_AGENT
    field = "agent"
    filter_fields = ("state:", "name:", "queue:", "host:", "version:", "pool:", "silent>", "id:")

    def __init__(self) -> None:
        super().__init__()
        self.sorted_by = "state"
        self._tasks_of: list[TaskRow] = []
        self._asked_about: tuple[object, ...] = ()
        self._asking: asyncio.Task[None] | None = None
        self._version = 0

    def all_rows(self) -> Store[AgentRow]:
        """All agents."""
        return self.console_app.fleet.agents

    def is_problem(self, row: AgentRow) -> bool:
        """Lost."""
        return row.state == words.LOST

    async def try_filter(self, text: str) -> None:
        """Asks for one agent."""
        await self.console_app.link.fleet.ListAgents(
            fleet_service_pb2.ListAgentsRequest(
                namespace=self.console_app.link.namespace, filter=text, page_size=1
            ),
            timeout=CALL_TIMEOUT,
        )

    def inspect(self, row: AgentRow, cells: int) -> list[Line]:
        """The agent."""
        about = (row.id, row.revision, row.running)
        if about != self._asked_about and (self._asking is None or self._asking.done()):
            self._asked_about = about
            self._asking = asyncio.create_task(self._ask_running(row.id))
        running = [task for task in self._tasks_of if task.agent_id == row.id]
        return describe_agent(row, running, self.context(), cells)

    async def _ask_running(self, agent: str) -> None:
        link = self.console_app.link
        request = task_service_pb2.ListTasksRequest(
            namespace=link.namespace,
            filter=f"{term('agent', agent)} state:running",
            page_size=RUNNING,
        )
        try:
            answer = await link.tasks.ListTasks(request, timeout=CALL_TIMEOUT)
        except grpc.aio.AioRpcError:
            return
        self._tasks_of = [TaskRow.of(task) for task in answer.tasks]
        self._version += 1

    def inspected_version(self) -> int:
        """More came about the agent."""
        return self._version

    def name_of(self, row_id: str) -> str:
        """Its label, and what it holds."""
        row = self.table.row(row_id)
        return f"{self._label(row)}  {row.running} running" if row is not None else row_id

    def _label(self, row: AgentRow) -> str:
        return self.console_app.fleet.agent_label(row.id)

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Its tasks."""
        self.console_app.show_tasks(term("agent", event.row_id))

    def offer(self, action_id: str) -> str | None:
        """Only what can do something for the agent under the cursor."""
        row = self.table.cursor_row
        if action_id not in ("agent.drain", "row.hold"):
            return None
        if row is None:
            return ""
        if action_id == "row.hold":
            return "release" if self.console_app.fleet.hold_of(row) is not None else "hold"
        return "" if _why_not_drained(row) and not self.table.marks else None

    def action_drain(self) -> None:
        """Asks, then tells agents to claim no more."""
        self.run_worker(self._drain())

    async def _drain(self) -> None:
        ids = self.table.chosen()
        if not ids:
            return
        rows = [self.table.row(agent) for agent in ids]
        reasons = [_why_not_drained(row) for row in rows if row is not None]
        if reasons and all(reasons):
            self.console_app.say(f"{self.name_of(ids[0])}: {reasons[0]}")
            return
        what = "this agent" if len(ids) == 1 else counted(len(ids), "agent")
        question = Confirm(
            f"Drain {what}? Running tasks finish, no new ones start.",
            self.names_of(ids),
            "Drain",
            reason=FOR_AUDIT,
        )
        reason = await self.app.push_screen_wait(question)
        if reason is not None:
            self.acted(await self.console_app.acts.drain(ids, reason))

    def action_hold(self) -> None:
        """Holds agents or their version, or releases them."""
        self.run_worker(self._hold())

    async def _hold(self) -> None:
        ids = self.table.chosen()
        row = self.table.row(ids[0]) if ids else None
        if row is None:
            return
        version = f"{row.name}@{row.version}"
        if not row.version or len(ids) > 1:
            await self.hold_or_release(AGENT, ids)
            return
        holds = self.console_app.fleet.holds

        def act(kind: HoldKind.ValueType, subject: str) -> str:
            return "release" if hold_id(kind, subject) in holds else "hold"

        options = [
            ("agent", f"{act(AGENT, row.id)} this agent, {self._label(row)}"),
            ("version", f"{act(AGENT_VERSION, version)} all agents of {version}"),
        ]
        hold = self.console_app.fleet.hold_of(row)
        first = "version" if hold is not None and hold.kind == AGENT_VERSION else "agent"
        chosen = await self.app.push_screen_wait(Choose("hold or release", options, first))
        if chosen is not None:
            kind = AGENT if chosen == "agent" else AGENT_VERSION
            await self.hold_or_release(kind, [row.id if kind == AGENT else version])


def _why_not_drained(agent: AgentRow) -> str:
    """Why a drain can do nothing for an agent; empty when it can."""
    if agent.state == words.DRAINING:
        return "it is draining already"
    return "it has said goodbye" if agent.state == words.GONE else ""
