"""Acts on everything that a filter matches: counted first, asked about, then followed to the end."""

from __future__ import annotations

from quarterdeck._words import counted
from quarterdeck_console.model.format import clock
from quarterdeck_console.screens.base import FleetScreen
from quarterdeck_console.screens.dialogs import Confirm
from quarterdeck_console.stream.bulk import (
    LIST_TOO_OLD,
    BulkAct,
    BulkRun,
    Everything,
    count_matching,
)


class BulkActs(FleetScreen):
    """Asks for acts by filter."""

    async def bulk(self, act: BulkAct, what: Everything) -> None:
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
        question = Confirm(f"{act.ask} {tasks}?", facts, f"{act.ask} {tasks}", ask_reason=True)
        reason = await self.app.push_screen_wait(question)
        if reason is None:
            return
        run = BulkRun(act, what, matched, reason)
        if self.console_app.start_bulk(run):
            self.bulk_started()

    async def _list_again(self, act: BulkAct) -> None:
        question = Confirm(
            "The list is too old to act on.",
            [
                "Too much has changed since it was marked for the server to know what it was.",
                f"List again, look at it, mark it with *, and {act.ask.lower()} then.",
            ],
            "List again",
        )
        if await self.app.push_screen_wait(question) is not None:
            self.bulk_started()
            self.resync()

    def bulk_started(self) -> None:
        """The marks have served."""
