"""Acts on everything that a filter matches: counted first, asked about, then followed to the end."""

from __future__ import annotations

from quarterdeck._words import counted
from quarterdeck_console.model.format import clock
from quarterdeck_console.screens.base import FleetScreen
from quarterdeck_console.screens.dialogs import FOR_AGENT, FOR_AUDIT, Confirm
from quarterdeck_console.stream.bulk import (
    LIST_TOO_OLD,
    BulkAct,
    BulkRun,
    Everything,
    count_matching,
)


class BulkActs(FleetScreen):
    """Asks for acts by filter."""

    def __init__(self) -> None:
        super().__init__()
        self._late: BulkRun | None = None
        """An act that came too late for its list: the next one like it is for the same reason."""

    async def bulk(self, act: BulkAct, what: Everything, given: str = "") -> None:
        """Counts, asks with the count, and starts it; must run in a worker."""
        matched = await count_matching(self.console_app.link, act, what)
        if not isinstance(matched, int):
            if matched.reason == LIST_TOO_OLD:
                await self._list_again(act)
            else:
                self.console_app.say(matched.words, bad=True)
            return
        if not matched:
            self.console_app.say("nothing matches any more")
            return
        tasks = counted(matched, "task")
        facts = [
            f"filter  {what.filter}",
            f"exactly those that matched at {clock(what.at)}, when they were marked",
        ]
        hears = FOR_AGENT if act.cancel or act.pause else FOR_AUDIT
        if self._late is not None and self._late.progress.act == act:
            given = given or self._late.reason
        question = Confirm(
            f"{act.ask} {tasks}?", facts, f"{act.ask} {tasks}", reason=hears, given=given
        )
        reason = await self.app.push_screen_wait(question)
        if reason is None:
            return
        self._late = None
        run = BulkRun(act, what, matched, reason)
        if self.console_app.start_bulk(run, self._too_late):
            self.bulk_started()

    async def _too_late(self, run: BulkRun) -> bool:
        """While the question stood, too much changed: what was given as the reason is kept."""
        if self.console_app.front is not self:
            return False
        self._late = run
        await self._list_again(run.progress.act)
        return True

    async def _list_again(self, act: BulkAct) -> None:
        question = Confirm(
            "The list is too old to act on.",
            [
                "Nothing was done: too much has changed since it was marked to know what it was.",
                f"List again, look at it, mark it with *, and {act.ask.lower()} then.",
            ],
            "List again",
        )
        if await self.app.push_screen_wait(question) is not None:
            self.bulk_started()
            self.resync()

    def bulk_started(self) -> None:
        """The marks have served."""
