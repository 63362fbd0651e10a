"""`quarterdeck task`: how it is called; `_tasks`, `_submit`, `_bulk`, `_edits` and `_logs` do it."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable
from typing import Any

import click

from quarterdeck.cli import _params
from quarterdeck.cli._help import FILTERED, HintedCommand, example
from quarterdeck.cli._options import Settings, Why, audit_options, common_options
from quarterdeck.cli._spec import change_options, input_options, task_options, task_update


@click.group()
def task() -> None:
    """Submit, find and control tasks."""


@task.command(
    cls=HintedCommand,
    stray="the handler's input goes with --input",
    epilog=example('task submit greet --input \'{"name": "Ada"}\' --wait'),
)
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


@task.command("list", **FILTERED, epilog=example("task list --filter 'state:failed age<1d'"))
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


@task.command(epilog=example("task get task_06yb5h879ag00"))
@click.argument("task_id")
@common_options
def get(settings: Settings, task_id: str) -> None:
    """Show one task with its input, result and attempts."""
    from quarterdeck.cli import _tasks

    _tasks.get(settings, task_id)


_SELECTION: tuple[Callable[[Any], Any], ...] = (
    click.option("-y", "--yes", is_flag=True, help="With --filter: do not ask."),
    click.option("--dry-run", is_flag=True, help="With --filter: only count."),
    click.option(
        "--max",
        "limit",
        type=click.IntRange(1, 1_000_000),
        default=1000,
        show_default=True,
        help="With --filter: do nothing when more match.",
    ),
    click.option("--filter", "filter_", help="What matches, instead of named tasks."),
    click.argument("task_ids", nargs=-1, metavar="[TASK_ID]..."),
)


def _selected(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds what says which tasks, who asks, and the common options; the function makes the act."""

    @functools.wraps(function)
    def act_on(
        settings: Settings,
        task_ids: tuple[str, ...],
        filter_: str | None,
        limit: int,
        dry_run: bool,
        yes: bool,
        why: Why,
        **parameters: Any,
    ) -> Any:
        from quarterdeck.cli import _bulk

        if bool(task_ids) == (filter_ is not None):
            raise click.UsageError("name tasks, or give a --filter, and not both")
        act = function(**parameters)
        if filter_ is None:
            if dry_run:
                raise click.UsageError("--dry-run needs a --filter")
            return _bulk.named(settings, act, task_ids, why)
        return _bulk.by_filter(
            settings, act, filter_, why, limit=limit, ask=not yes, dry_run=dry_run
        )

    command = audit_options(common_options(act_on))
    for option in _SELECTION:
        command = option(command)
    return command


@task.command(
    epilog=example("task cancel --filter 'queue:deep state:ready' --reason 'wrong input'")
)
@click.option("--keep-children", is_flag=True, help="Leave alone what these tasks submitted.")
@_selected
def cancel(keep_children: bool) -> Any:
    """Request that tasks be cancelled.

    Named ones, or those that match a filter.
    """
    from quarterdeck.cli import _acts

    return _acts.Cancel(keep_children)


@task.command(epilog=example("task retry --filter 'state:failed name:research'"))
@_selected
def retry() -> Any:
    """Put ended tasks back in their queue.

    They have a fresh budget of attempts. By filter it redrives the dead-letter list: `--filter state:failed`. It keeps
    the input; `task rerun --input` runs a task again with another one.
    """
    from quarterdeck.cli import _acts

    return _acts.Retry()


@task.command(epilog=example("task update task_06yb5h879ag00 --priority 9"))
@change_options
@_selected
def update(**changes: Any) -> Any:
    """Change tasks that have not ended.

    Named ones, or those that match a filter. Options of retries replace
    the whole policy, and those of time limits all limits.
    """
    from quarterdeck.cli import _acts

    return _acts.Update(task_update(changes))


@task.command(epilog=example("task pause task_06yb5h879ag00 --reason 'let me look'"))
@_selected
def pause() -> Any:
    """Ask the agents of running tasks to let them stand still."""
    from quarterdeck.cli import _acts

    return _acts.Pause()


@task.command(epilog=example("task resume task_06yb5h879ag00"))
@_selected
def resume() -> Any:
    """Let paused tasks go on."""
    from quarterdeck.cli import _acts

    return _acts.Resume()


@task.command(epilog=example("task rerun task_06yb5h879ag00 --with-dependents"))
@click.argument("task_ids", nargs=-1, required=True, metavar="TASK_ID...")
@input_options
@click.option("--with-dependents", is_flag=True, help="Run again also what depended on them.")
@audit_options
@common_options
def rerun(settings: Settings, task_ids: tuple[str, ...], why: Why, **values: Any) -> int:
    """Run ended tasks again as new ones.

    Each id is printed with that of the new task. An input that is given takes the place of the old one.
    """
    from quarterdeck.cli import _edits

    return _edits.rerun(settings, task_ids, values, why)


@task.command(epilog=example("task explain task_06yb5h879ag00"))
@click.argument("task_id")
@common_options
def explain(settings: Settings, task_id: str) -> None:
    """Say why a task waits or failed, and where its time went."""
    from quarterdeck.cli import _edits

    _edits.explain(settings, task_id)


@task.command(epilog=example("task wait task_06yb5h879ag00 --timeout 10m"))
@click.argument("task_id")
@click.option("--timeout", type=_params.duration, help="Give up after so long, with exit code 6.")
@common_options
def wait(settings: Settings, task_id: str, timeout: dt.timedelta | None) -> int:
    """Wait for a task's end and print its result."""
    from quarterdeck.cli import _tasks

    return _tasks.wait(settings, task_id, timeout)


@task.command(epilog=example("task logs task_06yb5h879ag00 --follow"))
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
