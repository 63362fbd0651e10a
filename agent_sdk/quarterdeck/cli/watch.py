"""`quarterdeck watch`."""

from __future__ import annotations

import click

from quarterdeck.cli._help import example
from quarterdeck.cli._options import Settings, common_options

KINDS = ("task", "agent", "queue", "schedule", "instance", "pool", "hold")


@click.command(epilog=example("watch task --filter queue:deep -o json --no-snapshot"))
@click.argument("kinds", nargs=-1, type=click.Choice(KINDS), metavar="[KIND]...")
@click.option("--filter", "filter_", default="", help="Needs exactly one KIND.")
@click.option(
    "--latest", is_flag=True, help="Only the latest version of each resource, 20 times a second."
)
@click.option(
    "--no-snapshot", is_flag=True, help="Only changes from now on, without the current state."
)
@click.option("--resume-token", default="", help="Continue an earlier watch.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many changes.")
@common_options
def watch(
    settings: Settings,
    kinds: tuple[str, ...],
    filter_: str,
    latest: bool,
    no_snapshot: bool,
    resume_token: str,
    count: int | None,
) -> None:
    """Print changes as they happen: of one KIND of resource, of several, or of all.

    With `-o json` each change is one JSON object on a line of its own. A server that restarts is
    waited for; no change is lost or printed twice.
    """
    from quarterdeck.cli import _watch

    if filter_ and len(kinds) != 1:
        raise click.UsageError("--filter needs exactly one KIND")
    _watch.watch(
        settings,
        kinds,
        _watch.Options(filter_, latest, no_snapshot, resume_token, count),
    )
