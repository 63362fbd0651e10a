"""One task: its course, what went in and out, why it failed, who cancelled it, what it logs."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal

from quarterdeck._words import counted
from quarterdeck_console.actions import DETAIL, FACTS, TASKS, bindings
from quarterdeck_console.model.columns import Cell
from quarterdeck_console.model.describe import (
    attempt_lines,
    cancel_lines,
    failure_lines,
    payload_lines,
    state_cell,
    task_facts,
    timeline,
)
from quarterdeck_console.model.detail import TaskDetail
from quarterdeck_console.model.flowfacts import pause_lines
from quarterdeck_console.model.format import count
from quarterdeck_console.model.lines import Line, join, length, line, paragraph, wrapped_fact
from quarterdeck_console.model.rows import TaskRow
from quarterdeck_console.model.tables import NOTHING, short_id, time_in_state
from quarterdeck_console.model.text import shortened, width
from quarterdeck_console.model.why import brief_lines, why_lines
from quarterdeck_console.model.words import Tone
from quarterdeck_console.screens.acts import TaskActs
from quarterdeck_console.screens.base import WIDE
from quarterdeck_console.stream.detail_feed import DetailFeed
from quarterdeck_console.widgets.bar import Bar
from quarterdeck_console.widgets.logview import LogView
from quarterdeck_console.widgets.pane import Pane

LONG = 5_000
"""Lines shown of one payload."""

SECTIONS = ("timeline", "why", "logs", "input/result", "error", "facts")


class TaskScreen(TaskActs):
    """The view of one task. On a narrow screen one section at a time, on a wide one all."""

    view = DETAIL
    BINDINGS: ClassVar[list[BindingType]] = bindings(DETAIL, FACTS)

    def __init__(self, task_id: str, *, logs: bool = False, attempt: int = 0) -> None:
        super().__init__()
        self.task_id = task_id
        self._attempt = attempt
        self._full = False
        self._section = SECTIONS.index("logs") if logs else 0
        self._feed: DetailFeed | None = None
        self._drawn_of: tuple[int, ...] = ()
        self._made_of: tuple[TaskDetail, int] | None = None
        self._payloads: list[list[Line]] = []
        self._error: list[Line] = []

    def compose_body(self) -> ComposeResult:
        """Facts, the sections' names, the sections."""
        yield Bar(id="task-head")
        yield Bar(id="sections")
        with Container(id="detail"):
            yield Pane(id="timeline")
            with Horizontal(id="lower"):
                yield Pane(id="about")
                yield LogView(id="log")

    def on_mount(self) -> None:
        """The keys go to the log when that was asked for."""
        self._lay_out()

    @property
    def tab(self) -> str:
        """It belongs to the tasks."""
        return TASKS

    @property
    def feed(self) -> DetailFeed:
        """What feeds it."""
        if self._feed is None:
            self._feed = DetailFeed(self.console_app.link, self.task_id, self._attempt)
            self._feed.explain(self._explains)
        return self._feed

    @property
    def log_view(self) -> LogView:
        """The log."""
        return self.query_one("#log", LogView)

    @property
    def wide(self) -> bool:
        """True when all sections fit at once, and none was asked for alone."""
        return self.size.width >= WIDE and not self._full

    @property
    def _explains(self) -> bool:
        """True while the explanation is on the screen, alone or beside the rest."""
        section = SECTIONS[self._section]
        return section == "why" or (self.wide and section in ("timeline", "logs"))

    def wake(self) -> None:
        """It is live while it is shown."""
        self.feed.start()

    async def rest(self) -> None:
        """Hidden, it costs nothing."""
        if self._feed is not None:
            await self._feed.stop()

    def resync(self) -> None:
        """Reads everything anew."""
        old, self._feed = self._feed, None
        if old is not None:
            self.run_worker(old.stop())
        self.feed.start()

    def on_resize(self) -> None:
        """All sections, or one."""
        self._lay_out()

    def _lay_out(self) -> None:
        section = SECTIONS[self._section]
        self.query_one("#sections", Bar).display = True
        log_only = section == "logs"
        self.query_one("#timeline").display = self.wide or section == "timeline"
        self.query_one("#lower").display = self.wide or section != "timeline"
        self.query_one("#about").display = self.wide or not log_only
        self.log_view.display = self.wide or log_only
        self.set_class(self.wide, "-all")
        self.feed.explain(self._explains)
        if log_only:
            self.set_focus(self.log_view)
        else:
            self.set_focus(self.query_one("#timeline" if section == "timeline" else "#about"))

    def action_section(self, step: int) -> None:
        """The next or the previous section."""
        self._section = (self._section + step) % len(SECTIONS)
        self._lay_out()
        self.query_one("#about", Pane).scroll_to(y=0, animate=False)
        self.tick(True)

    def action_full(self) -> None:
        """One section alone on the screen, or all that fit."""
        if not self._full and self.log_view.has_focus:
            self._section = SECTIONS.index("logs")
        self._full = not self._full
        self._lay_out()
        self.tick(True)

    def action_previous_logs(self) -> None:
        """The log of the attempt before, down to the first; then that of all."""
        task = self.current_task()
        if task is None:
            return
        shown = self._attempt or task.attempt
        self._attempt = shown - 1 if shown > 1 else 0
        self._section = SECTIONS.index("logs")
        self.resync()
        self._lay_out()

    # Drawing.

    def tick(self, second: bool) -> None:
        """Draws what changed."""
        detail = self.feed.detail
        head = self.query_one("#task-head", Bar)
        if detail is None:
            why = self.feed.refusal or self.feed.problem
            text = f" {short_id(self.task_id)}  " + (why.words if why is not None else "loading …")
            head.show((Cell(text, Tone.BAD if why is not None else Tone.DIM),))
            if why is not None:
                # The line may be too short for it.
                for pane in (self.query_one("#timeline", Pane), self.query_one("#about", Pane)):
                    pane.show(paragraph(why.words, pane.room, Tone.BAD))
        else:
            head.show(*self._head(detail.task, head.size.width or self.size.width))
            self._draw_sections(second)
        sections = self.query_one("#sections", Bar)
        sections.show(*self._sections_and_log(sections.size.width or self.size.width))
        if self.log_view.display:
            self.log_view.feed(self.feed.logs)
        self.draw_bars()

    def _head(self, task: TaskRow, cells: int) -> tuple[Line, Line]:
        """What it is called and how it stands. Long names give way: the state has to be seen."""
        spent = time_in_state(task, self.context().now)
        state: Line = (
            Cell(f"  {short_id(task.id)}  ", Tone.DIM),
            state_cell(task),
            Cell("  "),
            *((spent,) if spent != NOTHING else ()),
        )
        tried: Line = (
            Cell("  attempt ", Tone.DIM),
            Cell(f"{task.attempt}/{task.max_attempts}"),
            Cell("  queue ", Tone.DIM),
        )
        free = cells - length((*state, *tried)) - 2
        queue = shortened(task.queue, max(6, free - min(width(task.name), max(8, free // 2))))
        name = shortened(task.name, max(8, free - width(queue)))
        return (Cell(f" {name}", Tone.STRONG), *state), (*tried, Cell(f"{queue} "))

    def _draw_sections(self, second: bool) -> None:
        course, about = self.query_one("#timeline", Pane), self.query_one("#about", Pane)
        shape = (self.feed.version, self._section, course.room, about.room)
        if shape == self._drawn_of and not second:
            return
        self._drawn_of = shape
        if course.display:
            course.show(self._course(course.room))
        if about.display:
            about.show(self._about(about.room))

    def _course(self, cells: int) -> list[Line]:
        detail, context = self.feed.detail, self.context()
        if detail is None:
            return []
        course = timeline(detail, context.now, cells)
        if self.wide:
            return course
        return join(
            [
                course,
                cancel_lines(detail.task.cancel, context.now, cells),
                pause_lines(detail.task.pause, context.now, cells),
                failure_lines(detail, cells, trace=False),
                task_facts(detail.task, context, cells),
            ]
        )

    def _about(self, cells: int) -> list[Line]:
        detail, context = self.feed.detail, self.context()
        if detail is None:
            return []
        section = SECTIONS[self._section]
        payloads, error = self._texts(detail, cells)
        facts = [
            [
                *task_facts(detail.task, context, cells),
                *(row for title, text in detail.wants for row in wrapped_fact(title, text, cells)),
            ],
            wrapped_fact("after", "  ".join(map(short_id, detail.depends_on[:200])), cells)
            if detail.depends_on
            else [],
            cancel_lines(detail.task.cancel, context.now, cells),
            pause_lines(detail.task.pause, context.now, cells),
            attempt_lines(detail.attempts, context, cells),
        ]
        why = self.feed.why
        if section == "why":
            groups = [why_lines(why, context, cells) if why else [line("asking …", Tone.DIM)]]
        elif section == "input/result":
            groups = payloads
        elif section == "error":
            groups = [error or [line("no failure", Tone.DIM)]]
        elif section == "facts" or not self.wide:
            groups = facts
        else:
            brief = brief_lines(why, context, cells) if why else []
            groups = [facts[0], brief, *facts[1:4], error, facts[4], *payloads]
        return join(groups)

    def _texts(self, detail: TaskDetail, cells: int) -> tuple[list[list[Line]], list[Line]]:
        """Payloads and error, which can be long: made once for each width."""
        about = (detail, cells)
        if self._made_of != about:
            self._made_of = about
            self._payloads = [
                payload_lines("result", detail.result, cells, LONG),
                payload_lines("saved", detail.saved, cells, LONG),
                payload_lines("input", detail.input, cells, LONG),
            ]
            self._error = failure_lines(detail, cells, trace=True)
        return self._payloads, self._error

    def _section_names(self) -> Line:
        pieces: list[Cell] = []
        for at, name in enumerate(SECTIONS):
            here = at == self._section
            pieces.append(Cell(f" {name} ", Tone.ACCENT if here else Tone.DIM))
        return tuple(pieces)

    def _sections_and_log(self, cells: int) -> tuple[Line, Line]:
        """The names of the sections, whole, and beside them what fits of how the log stands."""
        names = self._section_names()
        moving: Line = (*names, Cell("  < > moves ", Tone.DIM))
        states = self._log_states() if self.log_view.display else [()]
        choice = [(moving, states[0]), *((names, state) for state in states)]
        return next(
            ((left, right) for left, right in choice if length(left) + length(right) <= cells),
            choice[-1],
        )

    def _log_states(self) -> list[Line]:
        """How the log stands, the longest way to say it first."""
        log = self.log_view
        of = f"attempt {self._attempt}" if self._attempt else ""
        lines = counted(len(self.feed.logs.lines), "line")
        short = Cell("▼ following ", Tone.OK) if log.following else Cell("‖ F follows ", Tone.WARN)
        state = short
        if log.newer and not log.following:
            state = Cell(f"‖ {count(log.newer)} newer, F follows ", Tone.WARN)
        whole = f" {of}, {lines} " if of else f" {lines} "
        return [
            (state, Cell(whole, Tone.DIM)),
            (state, Cell(f" {of} " if of else "", Tone.DIM)),
            (short, Cell(f" {of} " if of else "", Tone.DIM)),
        ]

    # Acts.

    def chosen_tasks(self) -> list[str]:
        """This task."""
        return [self.task_id]

    def current_task(self) -> TaskRow | None:
        """This task."""
        return self.feed.detail.task if self.feed.detail is not None else None

    def action_copy(self) -> None:
        """Copies the id."""
        self.app.copy_to_clipboard(self.task_id)
        self.console_app.say(f"copied {self.task_id}")

    def action_search(self) -> None:
        """Asks for what to search."""
        self.ask("search", "/")

    async def answered(self, kind: str, text: str) -> None:
        """Searches."""
        self.close_prompt()
        found = self.log_view.matches(text)
        self.log_view.focus()
        if text:
            self.console_app.say(
                f"{counted(found, 'match', 'matches')}; n and N move"
                if found
                else "no line matches"
            )

    def focus_body(self) -> None:
        """The keys go to the section."""
        self._lay_out()
