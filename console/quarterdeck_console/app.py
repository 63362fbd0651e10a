"""The console: one event loop, one channel, one tick."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.command import Provider
from textual.css.query import NoMatches
from textual.screen import Screen

from quarterdeck_console import commands
from quarterdeck_console.actions import APP, bindings
from quarterdeck_console.model.fleet import Fleet
from quarterdeck_console.model.tables import short_id
from quarterdeck_console.model.text import sanitize
from quarterdeck_console.palette import ActionProvider
from quarterdeck_console.screens.agents import AgentsScreen
from quarterdeck_console.screens.audit import AuditScreen
from quarterdeck_console.screens.base import FleetScreen
from quarterdeck_console.screens.dialogs import FOR_AUDIT, SHOWN, Confirm
from quarterdeck_console.screens.help import HelpScreen
from quarterdeck_console.screens.holds import HoldsScreen
from quarterdeck_console.screens.overview import OverviewScreen
from quarterdeck_console.screens.queues import QueuesScreen
from quarterdeck_console.screens.schedules import SchedulesScreen
from quarterdeck_console.screens.table_screen import TableScreen
from quarterdeck_console.screens.task_detail import TaskScreen
from quarterdeck_console.screens.tasks import TasksScreen
from quarterdeck_console.stream.acts import Acts
from quarterdeck_console.stream.bulk import BulkRun
from quarterdeck_console.stream.channel import Link
from quarterdeck_console.stream.fleet_feed import FleetFeed
from quarterdeck_console.stream.outcome import Outcome
from quarterdeck_console.stream.watcher import follow
from quarterdeck_console.theme import NAME, QUARTERDECK

TICK = 0.1
"""Seconds between two drawings: what comes faster is drawn together."""

HISTORY = 50
"""Views remembered."""

TICKS_A_SECOND = round(1 / TICK)


class ConsoleApp(App[None]):
    """Shows one server's fleet.

    Args:
        address: `host:port` of the server. It need not be there yet.
        keys: Keys by action id, over the registry's own.
        namespace: The tenant that is shown.

    Attributes:
        fleet: Everything but tasks, as last heard of.
        link: The channel; made when the loop runs.
        acts: What can be done to the fleet.
        still: True while nothing is drawn.
        bulk: The act by filter that is under way, or None.
        second: The instant that all ages on the screen are counted to; it moves once a second.
    """

    TITLE = "quarterdeck"
    CSS_PATH = "console.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings(APP)
    COMMANDS: ClassVar[set[type[Provider]]] = {ActionProvider}  # type: ignore[assignment]  # fewer kinds than Textual's
    MODES: ClassVar[dict[str, type[Screen[None]]]] = {  # type: ignore[assignment]  # as above
        "overview": OverviewScreen,
        "tasks": TasksScreen,
        "agents": AgentsScreen,
        "schedules": SchedulesScreen,
        "queues": QueuesScreen,
        "holds": HoldsScreen,
        "audit": AuditScreen,
    }
    DEFAULT_MODE = "overview"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012 - Textual's own shape
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012 - Textual's own shape

    def __init__(
        self, address: str, keys: dict[str, str] | None = None, namespace: str = "default"
    ) -> None:
        super().__init__()
        self.register_theme(QUARTERDECK)
        self.theme = NAME
        self.animation_level = "none"
        self.address = address
        self.namespace = namespace
        place = address if namespace == "default" else f"{address}/{namespace}"
        self.address_label = sanitize(place, 48)
        self.fleet = Fleet()
        self.still = False
        self.bulk: BulkRun | None = None
        self.second = 0.0
        self.link: Link
        self.acts: Acts
        self._keys = keys or {}
        self._watch: asyncio.Task[None] | None = None
        self._ticks = 0
        self._shown: FleetScreen | None = None
        self._views = ["overview", "overview"]
        self._history = ["overview"]
        self._history_at = 0

    async def on_mount(self) -> None:
        """Opens the channel in this loop, and starts to watch and to draw."""
        self.set_keymap(self._keys)
        self.link = Link(self.address, self.fleet.connection, self.namespace)
        self.second = self.now()
        self.acts = Acts(self.link)
        self._watch = asyncio.create_task(follow(self.link, FleetFeed(self.fleet, self.now)))
        self.set_interval(TICK, self._tick)

    async def on_unmount(self) -> None:
        """Ends every stream before the loop goes."""
        if self._shown is not None:
            await self._shown.rest()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self.link.close()

    def now(self) -> float:
        """The instant on the server's clock."""
        return self.link.now()

    # Drawing.

    @property
    def front(self) -> FleetScreen | None:
        """The topmost screen that shows the fleet; dialogs may stand before it."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, FleetScreen):
                return screen
        return None

    async def _tick(self) -> None:
        self._ticks += 1
        second = self._ticks % TICKS_A_SECOND == 0
        if second:
            self.second = self.now()
            self.fleet.sample()
        await self.draw(second)

    async def draw(self, second: bool = True) -> None:
        """Draws what changed on the screen in front; wakes it, and lets the one before rest."""
        front = self.front
        if self._watch is None or front is None or not front.composed:
            return
        if front is not self._shown:
            before, self._shown = self._shown, front
            front.wake()
            if before is not None:
                await before.rest()
            second = True
        if self.still:
            front.draw_bars()
            return
        self.fleet.refresh_totals()
        # A screen that is just coming or going lacks widgets; the next tick finds it whole, or gone.
        with suppress(NoMatches):
            front.tick(second)

    # Going places.

    def action_view(self, view: str) -> None:
        """Shows one of the views."""
        if view != self.current_mode:
            del self._history[self._history_at + 1 :]
            self._history = [*self._history, view][-HISTORY:]
            self._history_at = len(self._history) - 1
            self._show_view(view)
        else:
            while len(self.screen_stack) > 1:
                self.pop_screen()

    def _show_view(self, view: str) -> None:
        self._views = [self.current_mode, view]
        self.switch_mode(view)

    def action_history(self, steps: int) -> None:
        """Back or forward among the views that were shown."""
        at = self._history_at + steps
        if 0 <= at < len(self._history):
            self._history_at = at
            self._show_view(self._history[at])

    def action_last_view(self) -> None:
        """Shows the view before this one."""
        self.action_view(self._views[0])

    def show_tasks(self, filter_text: str) -> None:
        """The list of tasks with a filter."""
        self.action_view("tasks")
        self.call_after_refresh(self._filter_front, filter_text)

    async def _filter_front(self, filter_text: str) -> None:
        front = self.front
        if isinstance(front, TableScreen):
            await front.set_filter(filter_text)

    def show_row(self, view: str, row_id: str) -> None:
        """A row in its list."""
        self.action_view(view)
        self.call_after_refresh(self._go_to_row, row_id)

    def _go_to_row(self, row_id: str) -> None:
        front = self.front
        if isinstance(front, TableScreen):
            front.tick(True)
            front.table.go_to_id(row_id)

    def open_task(self, task_id: str, *, logs: bool = False, attempt: int = 0) -> None:
        """One task, in front of where it was asked for."""
        self.push_screen(TaskScreen(task_id, logs=logs, attempt=attempt))

    # The actions of the registry that belong to all screens.

    def action_help(self) -> None:
        """What every key does here."""
        front = self.front
        if front is not None:
            fields = front.filter_fields if isinstance(front, TableScreen) else ()
            self.push_screen(HelpScreen(front.view, self.screen.active_bindings, fields))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leaves `:` to the line that is being typed, and to dialogs."""
        if action == "command" and (self.front is not self.screen or self.front.asking):
            return False
        return super().check_action(action, parameters)

    def action_command(self) -> None:
        """Asks for a command."""
        if self.front is not None:
            self.front.ask("command", ":")

    async def action_back(self) -> None:
        """Gives up one thing, then the screen; never quits."""
        front = self.front
        if front is None or front.back():
            return
        if len(self.screen_stack) > 1:
            self.pop_screen()

    def action_leave(self) -> None:
        """Back; at the top it quits."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        else:
            self.exit()

    def action_still(self) -> None:
        """Holds the picture still while everything goes on."""
        self.still = not self.still

    def action_resync(self) -> None:
        """Asks the server for everything anew."""
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.create_task(follow(self.link, FleetFeed(self.fleet, self.now)))
        if self.front is not None:
            self.front.resync()

    def action_redraw(self) -> None:
        """Draws every line again."""
        self.refresh(layout=True)
        self.screen.refresh(repaint=True, layout=True)

    # The namespace, and acts by filter.

    def action_freeze(self) -> None:
        """Asks for a reason, then stops all claiming in the namespace."""
        facts = ["No agent is given anything until it is thawed.", "What runs goes on."]
        self.run_worker(self._to_namespace("Freeze", facts, SHOWN, self.acts.freeze))

    def action_thaw(self) -> None:
        """Asks for a reason, then ends the freeze."""
        if self.fleet.freeze is None:
            self.say("the namespace is not frozen")
            return
        facts = ["Agents are given tasks again."]
        self.run_worker(self._to_namespace("Thaw", facts, FOR_AUDIT, self.acts.thaw))

    async def _to_namespace(
        self, act: str, facts: list[str], hears: str, call: Callable[[str], Awaitable[Outcome]]
    ) -> None:
        question = f"{act} the namespace {sanitize(self.namespace)}?"
        reason = await self.push_screen_wait(Confirm(question, facts, act, reason=hears))
        if reason is not None:
            self.tell(await call(reason))

    def start_bulk(self, run: BulkRun, too_late: Callable[[BulkRun], Awaitable[bool]]) -> bool:
        """Runs an act by filter, whatever is on the screen. False when one is under way.

        Args:
            run: The act.
            too_late: Called when nothing was done because too much had changed since the list; True when it has told
                the operator.
        """
        if self.bulk is not None:
            self.say("one act by filter at a time; :stop ends the one under way", bad=True)
            return False
        self.bulk = run
        self.run_worker(self._run_bulk(run, too_late))
        return True

    async def _run_bulk(self, run: BulkRun, too_late: Callable[[BulkRun], Awaitable[bool]]) -> None:
        try:
            outcome = await run.run(self.link)
        finally:
            self.bulk = None
        # What asks anew says what became of it; both at once would cover each other.
        if not run.too_late or not await too_late(run):
            self.tell(outcome)

    def action_stop_act(self) -> None:
        """Ends the act by filter after the page that is being done."""
        if self.bulk is None:
            self.say("no act by filter is under way; :stop stops no task, X cancels them")
        else:
            self.bulk.stop()

    # Saying things.

    def say(self, text: str, *, bad: bool = False) -> None:
        """A word that goes away by itself. The text is shown as it is."""
        self.notify(
            sanitize(text, 300), severity="error" if bad else "information", timeout=6, markup=False
        )

    def tell(self, outcome: Outcome) -> None:
        """What became of an act."""
        text = outcome.text
        if len(outcome.made) == 1:
            text += f"\n:task {short_id(outcome.made[0])} opens it"
        if outcome.sentence:
            text += f"\n{outcome.sentence}"
        self.notify(
            text, severity="warning" if outcome.failed else "information", timeout=8, markup=False
        )

    # Commands.

    def command_completions(self, typed: str) -> Sequence[str]:
        """Command lines that begin with what was typed."""
        front = self.front
        themes = sorted(self.available_themes)
        return commands.complete(typed, front.view if front else "", themes)

    async def run_command(self, text: str) -> None:
        """Does what a command line asks for."""
        front = self.front
        try:
            command = commands.parse(text, front.view if front else "")
        except commands.CommandError as error:
            self.say(str(error), bad=True)
            return
        match command:
            case commands.GoTo(view, None):
                self.action_view(view)
            case commands.GoTo(view, filter_text):
                self.action_view(view)
                self.call_after_refresh(self._filter_front, filter_text)
            case commands.OpenTask(task_id, logs):
                self.open_task(task_id, logs=logs)
            case commands.SetTheme(name):
                if name in self.available_themes:
                    self.theme = name
                else:
                    self.say(f"no theme {name}; tab completes", bad=True)
            case commands.Do(action) if not action.keys:
                await self.run_action(action.method)
            case commands.Do(action):
                await self.run_bound(action.id)

    async def run_bound(self, action_id: str) -> None:
        """Runs an action where its key is bound."""
        for active in self.screen.active_bindings.values():
            if active.binding.id == action_id:
                await self.run_action(active.binding.action, active.node)
                return
