"""What all screens have in common: status, tabs, message, prompt and keys around a body."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import Container
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widget import Widget

from quarterdeck_console.actions import BY_ID
from quarterdeck_console.commands import VIEWS
from quarterdeck_console.model import words
from quarterdeck_console.model.columns import Cell, Context
from quarterdeck_console.model.format import age, bar, clock, count, rate, short_count, spark
from quarterdeck_console.model.lines import Line, length
from quarterdeck_console.model.words import Tone
from quarterdeck_console.widgets.bar import Bar, Hint, KeyBar
from quarterdeck_console.widgets.prompt import Prompt

if TYPE_CHECKING:
    from quarterdeck_console.app import ConsoleApp

WIDE = 120
"""Columns from which there is room for an inspector."""

TALL = 30
"""Lines from which there is room for the counters."""


class FleetScreen(Screen[None]):
    """A screen that is drawn by the app's tick while it is shown, and costs nothing while not."""

    view = ""
    """Its name in the registry of actions, and its tab."""

    def __init__(self) -> None:
        super().__init__()
        self.composed = False

    def on_mount(self) -> None:
        """All its widgets are there from now on; it need not stay empty until the next tick."""
        self.composed = True
        self.call_after_refresh(self.console_app.draw)

    def compose(self) -> ComposeResult:
        """Bars around a body."""
        yield Bar(id="status")
        yield Bar(id="counters")
        yield Bar(id="freeze")
        yield Bar(id="tabs")
        with Container(id="body"):
            yield from self.compose_body()
        yield Bar(id="message")
        yield Prompt(id="prompt")
        yield KeyBar(id="keys")

    def compose_body(self) -> ComposeResult:
        """The middle of the screen."""
        yield Widget()

    @property
    def console_app(self) -> ConsoleApp:
        """The app, by its own type."""
        return cast("ConsoleApp", self.app)

    def context(self) -> Context:
        """What cells are made from."""
        return Context(self.console_app.fleet, self.console_app.second)

    @property
    def tab(self) -> str:
        """The tab it stands under."""
        return self.view

    # Called by the app.

    def wake(self) -> None:
        """It is shown: whatever feeds it runs from now on."""

    async def rest(self) -> None:
        """It is hidden: whatever feeds only it stops."""

    def tick(self, second: bool) -> None:
        """Draws what changed. Ten times a second while shown; ``second`` is true once a second."""
        self.draw_bars()

    def back(self) -> bool:
        """`esc`: gives up one thing. False when there is nothing left to give up here."""
        return self.close_prompt()

    def resync(self) -> None:
        """Asks the server anew."""

    # The bars.

    def draw_bars(self) -> None:
        """Draws the lines around the body."""
        try:
            self.query_one("#status", Bar).show(self._status(), self._totals())
            if self.size.height >= TALL:
                self.query_one("#counters", Bar).show(*self._counters())
            self._draw_freeze()
            self.query_one("#tabs", Bar).show(self._tabs(), self.corner())
            under_way = self._under_way()
            self.query_one("#message", Bar).show(
                under_way or self.message(), () if under_way else self.message_right()
            )
            self.query_one("#keys", KeyBar).offer(self.hints())
        except NoMatches:  # not composed yet
            return

    def _draw_freeze(self) -> None:
        banner, hold = self.query_one("#freeze", Bar), self.console_app.fleet.freeze
        banner.display = hold is not None
        if hold is not None:
            since = age(self.console_app.second - hold.created)
            said = f" by {hold.actor or '?'}, {since}: {hold.reason or 'no reason'}"
            banner.show((Cell(" FROZEN", Tone.STRONG), Cell(said)), (Cell("  :thaw ends it "),))

    def _under_way(self) -> Line:
        """How far the act by filter has come."""
        run = self.console_app.bulk
        if run is None:
            return ()
        now = run.progress
        came = now.done + now.refused
        return (
            Cell(f" {now.act.verb} {count(now.done)} of {count(now.matched)} ", Tone.ACCENT),
            Cell(bar(came, now.matched, 20), Tone.RUN),
            Cell("  :stop ends it", Tone.DIM),
        )

    def corner(self) -> Line:
        """Right of the tabs: how much there is."""
        return ()

    def message(self) -> Line:
        """Below the body: what is filtered, marked, sorted, wrong."""
        return ()

    def message_right(self) -> Line:
        """Below the body, at the right."""
        return ()

    def connection_cell(self) -> Cell:
        """Live, or for how long not and when next."""
        app = self.console_app
        connection = app.fleet.connection
        now = app.now()
        if app.still:
            return Cell("‖ held still", Tone.WARN)
        if connection.live:
            return Cell("● live", Tone.OK)
        if not connection.since:
            return Cell("○ connecting", Tone.WARN)
        left = connection.retry_at - now
        again = f", retry in {left:.0f}s" if left >= 1 else ", connecting"
        if not connection.ever_live:
            return Cell(f"✗ no server{again}", Tone.BAD)
        return Cell(f"✗ stale {age(now - connection.since)}{again}", Tone.BAD)

    def _status(self) -> Line:
        app = self.console_app
        pieces = [Cell(" quarterdeck ", Tone.STRONG), Cell(f" {app.address_label}  ", Tone.DIM)]
        pieces.append(self.connection_cell())
        if self.size.width >= WIDE and app.fleet.connection.live:
            connection = app.fleet.connection
            pieces.append(Cell(f"   {rate(app.fleet.events.last())} changes", Tone.DIM))
            pieces.append(Cell(f"   round trip {connection.round_trip * 1000:.0f} ms", Tone.DIM))
            if connection.version:
                pieces.append(Cell(f"   server {connection.version}", Tone.DIM))
        return tuple(pieces)

    def _totals(self) -> Line:
        app = self.console_app
        if self.size.height >= TALL:
            return (Cell(f"{clock(app.now())} "),)
        if not app.fleet.connection.live and app.fleet.connection.since:
            # For how long that was, and when it is tried again, needs the room.
            return ()
        totals = app.fleet.totals
        failed = totals.of(words.FAILED)
        pieces = [
            Cell(" ready ", Tone.DIM),
            Cell(short_count(totals.of(words.READY))),
            Cell(" run ", Tone.DIM),
            Cell(short_count(totals.of(words.RUNNING)), Tone.RUN),
            Cell(" fail ", Tone.DIM),
            Cell(short_count(failed), Tone.BAD if failed else Tone.PLAIN),
            Cell(" agents ", Tone.DIM),
            Cell(f"{totals.agents_up}/{totals.agents_known} "),
        ]
        return tuple(pieces)

    def _counters(self) -> tuple[Line, Line]:
        fleet = self.console_app.fleet
        totals = fleet.totals
        left: list[Cell] = [Cell(" tasks  ", Tone.DIM)]
        for state, (glyph, word, tone) in words.TASK_STATES.items():
            number = totals.of(state)
            if not number and state not in (words.READY, words.RUNNING, words.FAILED):
                continue
            shown = tone if number else Tone.DIM
            left += [Cell(f"{glyph} {word} ", Tone.DIM), Cell(f"{count(number)}   ", shown)]
        left += [Cell("agents ", Tone.DIM), Cell(f"{totals.agents_up}/{totals.agents_known}")]
        if totals.slots:
            left += [Cell("   slots ", Tone.DIM), Cell(f"{totals.used}/{totals.slots}", Tone.RUN)]
        recent = fleet.done.steps(20, 1)
        pace = sum(recent[-10:]) / max(1, len(recent[-10:]))
        label, shown_pace = Cell("   done ", Tone.DIM), Cell(f" {rate(pace)} ")
        # The counters are worth more than the chart: it takes what they leave.
        room = self.size.width - length((*left, label, shown_pace))
        if room < 0:
            return tuple(left), ()
        return tuple(left), (label, Cell(spark(recent, min(20, room)), Tone.OK), shown_pace)

    def _tabs(self) -> Line:
        pieces: list[Cell] = []
        for number, name in enumerate(VIEWS, start=1):
            here = name == self.tab
            pieces.append(Cell(f" {number}", Tone.ACCENT if here else Tone.DIM))
            pieces.append(Cell(f" {name} ", Tone.STRONG if here else Tone.DIM))
        if self.tab not in VIEWS:
            pieces += [Cell(" :", Tone.ACCENT), Cell(f"{self.tab} ", Tone.STRONG)]
        return tuple(pieces)

    def offer(self, action_id: str) -> str | None:
        """How an act is offered now: None under its own title, empty not at all."""
        return None

    def hints(self) -> list[Hint]:
        """The keys that matter here and now, from the live bindings."""
        found: dict[str, tuple[int, Hint]] = {}
        for active in self.active_bindings.values():
            action = BY_ID.get(active.binding.id or "")
            if action is None or not action.footer or action.id in found or not active.enabled:
                continue
            title = self.offer(action.id)
            if title == "":
                continue
            shown = active.binding.key_display or self.app.get_key_display(active.binding)
            found[action.id] = (action.footer, Hint(shown, title or action.title))
        return [hint for _, hint in sorted(found.values(), key=lambda pair: pair[0])]

    # The prompt.

    def close_prompt(self) -> bool:
        """Hides the prompt and gives the keys back to the body. True when it was shown."""
        prompt = self.query_one(Prompt)
        if not prompt.close():
            return False
        self.query_one("#message").display = True
        self.focus_body()
        return True

    @property
    def asking(self) -> bool:
        """Whether a line is being typed."""
        return self.composed and self.query_one(Prompt).display

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leaves `/` to the line that is being typed."""
        if action in ("filter", "search") and (self.asking or self.app.screen is not self):
            return False
        return super().check_action(action, parameters)

    def ask(self, kind: str, sign: str, text: str = "") -> None:
        """Shows the prompt instead of the message."""
        self.query_one("#message").display = False
        self.query_one(Prompt).ask(kind, sign, text, lambda typed: self.completions(kind, typed))

    def completions(self, kind: str, typed: str) -> list[str]:
        """What may be meant by what was typed so far."""
        return list(self.console_app.command_completions(typed)) if kind == "command" else []

    async def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        """A line was typed."""
        event.stop()
        if event.kind == "command":
            self.close_prompt()
            if event.text:
                await self.console_app.run_command(event.text)
        else:
            await self.answered(event.kind, event.text)

    async def answered(self, kind: str, text: str) -> None:
        """A line was typed for one of the screen's own questions."""
        self.close_prompt()

    def focus_body(self) -> None:
        """Gives the keys to the middle of the screen, at once: while the line has them a command finds no act's key."""
        for widget in self.query_one("#body").query("*"):
            if widget.focusable:
                self.set_focus(widget)
                return
