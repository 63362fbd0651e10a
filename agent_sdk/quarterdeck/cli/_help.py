"""What the help of a command ends with, and what is said to a line that was typed wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import click


def example(line: str) -> str:
    """A line that can be typed as it stands, as the end of a command's help.

    Args:
        line: What comes after `quarterdeck`.
    """
    # click wraps what does not begin so.
    return f"\b\nExample:\n  quarterdeck {line}"


def meant(name: str, known: Iterable[str]) -> str:
    """A question for whoever typed `name`, with a blank before it; empty when nothing is like it."""
    alike = difflib.get_close_matches(name, sorted(known), 1)
    return f" Did you mean {alike[0]!r}?" if alike else ""


class HintedCommand(click.Command):
    """A command that says what to do with a word that it has no place for.

    Args:
        stray: What to write instead.
    """

    # Left over words are refused here, with the hint.
    allow_extra_args = True

    def __init__(self, *arguments: Any, stray: str, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self._stray = stray

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the words behind the command's name.

        Raises:
            click.UsageError: There is one too many.
        """
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            ctx.fail(f"unexpected argument {' '.join(rest)!r}: {self._stray}")
        return rest


FILTERED: dict[str, Any] = {"cls": HintedCommand, "stray": "a filter goes with --filter"}
"""What makes a command of a list say so."""
