"""The list of agents."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from quarterdeck.v1 import fleet_service_pb2
from quarterdeck.v1 import watch_service_pb2 as watch_pb
from quarterdeck_console.actions import AGENTS, bindings
from quarterdeck_console.model import words
from quarterdeck_console.model.describe import describe_agent
from quarterdeck_console.model.lines import Line
from quarterdeck_console.model.rows import AgentRow
from quarterdeck_console.model.store import Store
from quarterdeck_console.model.tables import AGENT_COLUMNS
from quarterdeck_console.screens.dialogs import Confirm
from quarterdeck_console.screens.store_screen import StoreScreen
from quarterdeck_console.stream.channel import CALL_TIMEOUT
from quarterdeck_console.widgets.livetable import LiveTable


class AgentsScreen(StoreScreen[AgentRow]):
    """Agents."""

    view = AGENTS
    BINDINGS: ClassVar[list[BindingType]] = bindings(AGENTS)
    columns = AGENT_COLUMNS
    noun = "agents"
    empty = "No agents: start one with `quarterdeck agent run module:agent`"
    kind = watch_pb.RESOURCE_KIND_AGENT
    field = "agent"
    filter_fields = ("state:", "name:", "queue:", "host:", "version:", "pool:", "silent>", "id:")

    def __init__(self) -> None:
        super().__init__()
        self.sorted_by = "state"

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
        return describe_agent(row, (), self.context(), cells)

    def name_of(self, row_id: str) -> str:
        """Its label, and what it holds."""
        row = self.table.row(row_id)
        return f"{row.label}  {row.running} running" if row is not None else row_id

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Its tasks."""
        self.console_app.show_tasks(f"agent:{event.row_id}")

    async def action_drain(self) -> None:
        """Asks, then tells agents to claim no more."""
        ids = self.table.chosen()
        if not ids:
            return
        what = "this agent" if len(ids) == 1 else f"{len(ids)} agents"

        def confirmed(answer: str | None) -> None:
            if answer is not None:
                self.run_worker(self._drain(ids))

        await self.app.push_screen(
            Confirm(
                f"Drain {what}? Running tasks finish, no new ones start.",
                self.names_of(ids),
                "Drain",
            ),
            confirmed,
        )

    async def _drain(self, ids: list[str]) -> None:
        self.acted(await self.console_app.acts.drain(ids))
