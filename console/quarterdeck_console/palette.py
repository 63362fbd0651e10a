"""The palette: every action that can be done here, by its name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from quarterdeck_console.actions import BY_ID, Action
from quarterdeck_console.commands import word_of


def _help(action: Action, key: str) -> str:
    return f"{key}   {action.id}" + (f"   {action.about}" if action.about else "")


class ActionProvider(Provider):
    """Offers the live bindings of the screen below the palette."""

    def _actions(self) -> Iterator[tuple[Action, str]]:
        seen: set[str] = set()
        for active in self.screen.active_bindings.values():
            action = BY_ID.get(active.binding.id or "")
            if action is not None and action.group != "Move" and action.id not in seen:
                seen.add(action.id)
                key = active.binding.key_display or self.app.get_key_display(active.binding)
                yield action, key
        for action in BY_ID.values():
            if not action.keys:
                yield action, f":{word_of(action)}"

    async def discover(self) -> Hits:
        """All of them."""
        for action, key in self._actions():
            yield DiscoveryHit(
                Content(f"{action.title}"), partial(self._run, action), help=_help(action, key)
            )

    async def search(self, query: str) -> Hits:
        """Those that match."""
        matcher = self.matcher(query)
        for action, key in self._actions():
            score = matcher.match(f"{action.title} {action.id}")
            if score > 0:
                yield Hit(
                    score,
                    Content(action.title),
                    partial(self._run, action),
                    help=_help(action, key),
                )

    async def _run(self, action: Action) -> None:
        if not action.keys:
            await self.app.run_action(action.method)
            return
        node = self.focused or self.screen
        for active in self.screen.active_bindings.values():
            if active.binding.id == action.id:
                node = active.node  # type: ignore[assignment]  # any node has actions
                break
        await self.app.run_action(action.method, node)
