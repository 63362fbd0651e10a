"""`quarterdeck task`: how it is called; `_tasks`, `_submit`, `_bulk` and `_logs` do it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import click

from quarterdeck.cli import _params
from quarterdeck.cli._options import Settings, common_options
from quarterdeck.cli._spec import task_options


@click.group()
def task() -> None:
    """Submit, find and control tasks."""


@task.command()
@click.argument("name", required=False)
@task_options
@click.option(
    "--file",
    "file",
    type=click.File("rb"),
    help="Submit many: a TaskSpec as JSON a line, `-` for stdin; `input` is any JSON value.",
)
@click.option("--wait", is_flag=True, help="Wait for the end; the exit code says how it ended.")
@click.option(
    "--timeout", type=_params.duration, help="With --wait: give up after so long, with exit code 6."
)
@common_options
def submit(
    settings: Settings, file: Any, wait: bool, timeout: dt.timedelta | None, **spec: Any
) -> int:
    """Submit one task, or many from a file, and print their ids."""
    from quarterdeck.cli import _submit

    if file is not None:
        given = [name for name, value in spec.items() if value not in (None, ())]
        if given or wait:
            raise click.UsageError("--file takes everything from its lines: give no other option")
        return _submit.submit_file(settings, file)
    if not spec["name"]:
        raise click.UsageError("a task needs a NAME, or many tasks a --file")
    if timeout is not None and not wait:
        raise click.UsageError("--timeout needs --wait")
    return _submit.submit_one(settings, spec, wait=wait, timeout=timeout)


@task.command("list")
@click.option(
    "--filter", "filter_", default="", help="Such as `queue:default state:running age>5m`."
)
@click.option(
    "--order-by",
    default="",
    help="create_time, run_time, end_time, priority, name or state, with ` desc` to reverse.",
)
@click.option(
    "--limit", type=click.IntRange(min=0), default=100, show_default=True, help="0 lists all."
)
@click.option(
    "--page-token", default="", help="Continue a list: the `next_page_token` of the one before."
)
@common_options
def list_tasks(
    settings: Settings, filter_: str, order_by: str, limit: int, page_token: str
) -> None:
    """List tasks, the newest first."""
    from quarterdeck.cli import _tasks

    _tasks.list_tasks(settings, filter_, order_by, limit, page_token)


@task.command()
@click.argument("task_id")
@common_options
def get(settings: Settings, task_id: str) -> None:
    """Show one task with its input, result and attempts."""
    from quarterdeck.cli import _tasks

    _tasks.get(settings, task_id)


@task.command()
@click.argument("task_ids", nargs=-1, metavar="[TASK_ID]...")
@click.option("--filter", "filter_", help="Cancel what matches, instead of named tasks.")
@click.option(
    "--max", "limit", type=click.IntRange(min=1), default=1000, show_default=True,
    help="With --filter: at most so many, the newest first.",
)  # fmt: skip
@click.option("--reason", default="", help="Why, for the agent and for whoever asks later.")
@click.option("--keep-children", is_flag=True, help="Leave alone what these tasks submitted.")
@click.option("-y", "--yes", is_flag=True, help="With --filter: do not ask.")
@common_options
def cancel(
    settings: Settings,
    task_ids: tuple[str, ...],
    filter_: str | None,
    limit: int,
    reason: str,
    keep_children: bool,
    yes: bool,
) -> int:
    """Request that tasks be cancelled: named ones, or those that match a filter."""
    from quarterdeck.cli import _bulk

    _one_of(task_ids, filter_)
    act = _bulk.Cancel(reason=reason, keep_children=keep_children)
    return _bulk.run(settings, act, task_ids, filter_, limit=limit, ask=not yes)


@task.command()
@click.argument("task_ids", nargs=-1, metavar="[TASK_ID]...")
@click.option("--filter", "filter_", help="Retry what matches, instead of named tasks.")
@click.option(
    "--max", "limit", type=click.IntRange(min=1), default=1000, show_default=True,
    help="With --filter: at most so many, the newest first.",
)  # fmt: skip
@click.option("-y", "--yes", is_flag=True, help="With --filter: do not ask.")
@common_options
def retry(
    settings: Settings, task_ids: tuple[str, ...], filter_: str | None, limit: int, yes: bool
) -> int:
    """Put ended tasks back in their queue, with a fresh budget of attempts."""
    from quarterdeck.cli import _bulk

    _one_of(task_ids, filter_)
    return _bulk.run(settings, _bulk.Retry(), task_ids, filter_, limit=limit, ask=not yes)


@task.command()
@click.argument("task_id")
@click.option("--timeout", type=_params.duration, help="Give up after so long, with exit code 6.")
@common_options
def wait(settings: Settings, task_id: str, timeout: dt.timedelta | None) -> int:
    """Wait for a task's end and print its result."""
    from quarterdeck.cli import _tasks

    return _tasks.wait(settings, task_id, timeout)


@task.command()
@click.argument("task_id")
@click.option("-f", "--follow", is_flag=True, help="Go on until the task has ended.")
@click.option("--attempt", type=click.IntRange(min=1), help="Only lines of this attempt.")
@click.option("--tail", type=click.IntRange(min=1), help="Only the last lines.")
@common_options
def logs(
    settings: Settings, task_id: str, follow: bool, attempt: int | None, tail: int | None
) -> None:
    """Print a task's log, also while it runs."""
    from quarterdeck.cli import _logs

    _logs.logs(settings, task_id, follow=follow, attempt=attempt or 0, tail=tail or 0)


def _one_of(task_ids: tuple[str, ...], filter_: str | None) -> None:
    if bool(task_ids) == (filter_ is not None):
        raise click.UsageError("name tasks, or give a --filter, and not both")
