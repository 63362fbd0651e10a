"""`quarterdeck queue`."""

from __future__ import annotations

import click

from quarterdeck.cli._options import Settings, common_options


@click.group()
def queue() -> None:
    """List, pause and resume queues."""


@queue.command("list")
@click.option("--filter", "filter_", default="", help="Such as `paused:true`.")
@common_options
def list_queues(settings: Settings, filter_: str) -> None:
    """List queues by name, with their tasks by state."""
    from quarterdeck.cli import _fleet

    _fleet.list_queues(settings, filter_)


@queue.command()
@click.argument("name")
@click.option("--note", default="", help="Who pauses it, and why.")
@common_options
def pause(settings: Settings, name: str, note: str) -> None:
    """Hand out nothing more from a queue; what runs goes on."""
    from quarterdeck.cli import _fleet

    _fleet.pause_queue(settings, name, paused=True, note=note)


@queue.command()
@click.argument("name")
@common_options
def resume(settings: Settings, name: str) -> None:
    """Hand out tasks from a queue again."""
    from quarterdeck.cli import _fleet

    _fleet.pause_queue(settings, name, paused=False, note="")
