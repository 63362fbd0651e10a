"""`quarterdeck schedule`: how it is called; `_schedules` does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from quarterdeck.cli import _params
from quarterdeck.cli._help import FILTERED, HintedCommand, example
from quarterdeck.cli._options import Settings, Why, audit_options, common_options
from quarterdeck.cli._spec import rule_options


def _when_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--end", type=_params.instant, help="Nothing at or after this time."),
        click.option("--start", type=_params.instant, help="Nothing before this time."),
        click.option("--once", type=_params.instant, help="Once, at this time; now if it is past."),
        click.option("--every", type=_params.duration, help="Every so often, at least 1s."),
        click.option(
            "--zone", metavar="ZONE", help="With --cron: an IANA time zone.  [default: UTC]"
        ),
        click.option(
            "--cron", metavar="EXPRESSION", help="Five fields, six with seconds first, or @daily."
        ),
    ):
        function = option(function)
    return function


@click.group()
def schedule() -> None:
    """Create, list and control schedules."""


@schedule.command(
    "set",
    cls=HintedCommand,
    stray="its rule goes with --cron, --every or --once, and its tasks' input with --input",
    epilog=example("schedule set nightly clean --cron '30 2 * * *' --zone Europe/Berlin"),
)
@click.argument("schedule_id")
@click.argument("name")
@_when_options
@rule_options
@audit_options
@common_options
def set_(settings: Settings, schedule_id: str, why: Why, **rule: Any) -> None:
    """Create a schedule of tasks NAME, or replace its rule."""
    from quarterdeck.cli import _schedules

    _schedules.set_schedule(settings, schedule_id, rule, why)


@schedule.command("list", **FILTERED, epilog=example("schedule list --filter paused:yes"))
@click.option("--filter", "filter_", default="", help="Such as `paused:true`.")
@common_options
def list_schedules(settings: Settings, filter_: str) -> None:
    """List schedules by id."""
    from quarterdeck.cli import _schedules

    _schedules.list_schedules(settings, filter_)


@schedule.command(epilog=example("schedule get nightly"))
@click.argument("schedule_id")
@common_options
def get(settings: Settings, schedule_id: str) -> None:
    """Show one schedule."""
    from quarterdeck.cli import _schedules

    _schedules.get(settings, schedule_id)


@schedule.command(epilog=example("schedule pause nightly --reason holiday"))
@click.argument("schedule_id")
@audit_options
@common_options
def pause(settings: Settings, schedule_id: str, why: Why) -> None:
    """Stop a schedule from creating tasks."""
    from quarterdeck.cli import _schedules

    _schedules.pause(settings, schedule_id, why)


@schedule.command(epilog=example("schedule resume nightly"))
@click.argument("schedule_id")
@audit_options
@common_options
def resume(settings: Settings, schedule_id: str, why: Why) -> None:
    """Let a schedule create tasks again; missed times are skipped."""
    from quarterdeck.cli import _schedules

    _schedules.resume(settings, schedule_id, why)


@schedule.command(epilog=example("schedule trigger nightly"))
@click.argument("schedule_id")
@audit_options
@common_options
def trigger(settings: Settings, schedule_id: str, why: Why) -> None:
    """Create one task now, beside the schedule's times.

    Its id is printed.
    """
    from quarterdeck.cli import _schedules

    _schedules.trigger(settings, schedule_id, why)


@schedule.command(epilog=example("schedule preview --cron '0 9 * * mon' --count 5"))
@click.argument("schedule_id", required=False)
@_when_options
@click.option("--count", type=click.IntRange(1, 100), default=10, show_default=True)
@click.option("--after", type=_params.instant, help="Times after this one.  [default: now]")
@common_options
def preview(settings: Settings, schedule_id: str | None, **rule: Any) -> None:
    """Print when a schedule, or a rule given by options, creates tasks. Creates nothing."""
    from quarterdeck.cli import _schedules

    _schedules.preview(settings, schedule_id, rule)


@schedule.command(epilog=example("schedule delete nightly --yes"))
@click.argument("schedule_id")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@audit_options
@common_options
def delete(settings: Settings, schedule_id: str, yes: bool, why: Why) -> None:
    """Remove a schedule; its tasks stay."""
    from quarterdeck.cli import _schedules

    _schedules.delete(settings, schedule_id, why, ask=not yes)
