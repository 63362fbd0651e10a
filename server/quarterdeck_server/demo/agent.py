"""The demo's agent: `quarterdeck agent run quarterdeck_server.demo.agent:agent`.

A `survey` fans out one `inspect` a file, a `report` waits for the end of them all, and a schedule's
`reinspect` looks for files that changed meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import quarterdeck
from quarterdeck_server.demo import report as reports
from quarterdeck_server.demo.analysis import analyse
from quarterdeck_server.demo.languages import language_of
from quarterdeck_server.demo.repository import History, Repository
from quarterdeck_server.demo.work import (
    GATHER,
    INSPECT,
    QUEUE,
    REPORT,
    RUN_LABEL,
    Inspected,
    InspectOrder,
    Reinspected,
    ReinspectOrder,
    Reported,
    ReportOrder,
    Surveyed,
    SurveyOrder,
    inspect_key,
    inspect_order,
)

SLOTS = 8
MOST_DEPENDENCIES = 10_000
"""Of one task, by the API; a report on more files waits for tasks that gather them."""

_BATCH = 1000
_LABEL = 256
_CALL_TIMEOUT = 60.0
_INSPECT_RETRY = quarterdeck.Retry(max_attempts=3, initial_backoff=0.3, max_backoff=1.0)
_INSPECT_TIMEOUT = 120.0

agent = quarterdeck.Agent("demo", slots=SLOTS, queues=(QUEUE,))


@agent.task
def survey(run: quarterdeck.Run, order: SurveyOrder) -> Surveyed:
    """List the files that git tracks and submit an inspection of each, and the report on them."""
    repository = Repository(Path(order.folder))
    run.progress("listing files")
    tracked = repository.files()
    sources = [(path, language) for path in tracked if (language := language_of(path))]
    run.log.info("%d of %d tracked files are source code", len(sources), len(tracked))
    history = repository.history(told=lambda commits: run.progress("reading the history", commits))
    run.log.info("git told the history of %d files", len(history))
    with quarterdeck.Client(timeout=_CALL_TIMEOUT) as client:
        ids: list[str] = []
        for start in range(0, len(sources), _BATCH):
            part = sources[start : start + _BATCH]
            specs = [
                _inspection(order.run, repository, path, language, history.get(path), run.id)
                for path, language in part
            ]
            ids += [task_id for task_id, _ in _submit(client, specs)]
            run.progress("submitting inspections", len(ids), len(sources))
        skipped = len(tracked) - len(sources)
        report_id = _submit_report(client, order, skipped, ids, run.id)
    return Surveyed(len(sources), skipped, len(history), report_id)


@agent.task
def inspect(run: quarterdeck.Run, order: InspectOrder) -> Inspected:
    """Take one file apart; a file that cannot be read or parsed fails."""
    folder = Path(order.folder).resolve()
    file = (folder / order.file).resolve()
    if not file.is_relative_to(folder):
        raise quarterdeck.Fail(f"{order.path} is outside of the folder", type="OutsideError")
    data = file.read_bytes()
    run.log.info("%s: %d bytes of %s", order.path, len(data), order.language)
    facts = analyse(order.path, data, order.language)
    history = order.history
    if history is None:
        history = Repository(folder).history([order.file]).get(order.file)
    run.log.info(
        "%d lines, %d functions, complexity %d, %d notes of work left",
        facts.lines, facts.function_count, facts.complexity, facts.todo_count,
    )  # fmt: skip
    for worst in facts.functions[:1]:
        run.log.debug(
            "most complex: %s with %d in line %d", worst.name, worst.complexity, worst.line
        )
    return Inspected(order.path, order.language, len(data), facts, history)


@agent.task
def gather(run: quarterdeck.Run, count: int) -> int:
    """Stand for `count` inspections that have ended."""
    return count


@agent.task
def report(run: quarterdeck.Run, order: ReportOrder) -> Reported:
    """Write the report on every inspection of the run, those that failed included."""
    with quarterdeck.Client(timeout=_CALL_TIMEOUT) as client:
        tasks = _latest(client.list(f"name:{INSPECT} label.{RUN_LABEL}:{order.run}"))
        done = [task for task in tasks if task.state == quarterdeck.TaskState.SUCCEEDED]
        failed = [
            reports.Failed(
                path=task.labels.get("path", task.id),
                attempts=task.attempt,
                error=_error(task),
            )
            for task in tasks
            if task.ended and task.state != quarterdeck.TaskState.SUCCEEDED
        ]
        inspected: list[Inspected] = []
        with ThreadPoolExecutor(8) as threads:
            for result in threads.map(lambda task: client.result(task.id, Inspected), done):
                inspected.append(result)
                run.progress("reading results", len(inspected), len(done))
    text = reports.markdown(order.folder, inspected, failed, order.skipped)
    _write(Path(order.report), text)
    run.log.info("wrote %s: %d files, %d failed", order.report, len(inspected), len(failed))
    return Reported(order.report, len(inspected), len(failed))


@agent.task
def reinspect(run: quarterdeck.Run, order: ReinspectOrder) -> Reinspected:
    """Submit an inspection of each file whose content has changed since it was last inspected."""
    repository = Repository(Path(order.folder))
    changed = [
        (path, language)
        for path in repository.changed(order.base)
        if (language := language_of(path))
    ]
    specs = [
        _inspection(order.run, repository, path, language, None, "") for path, language in changed
    ]
    with quarterdeck.Client(timeout=_CALL_TIMEOUT) as client:
        new = sum(is_new for _, is_new in _submit(client, specs))
    run.log.info(
        "%d files differ from the start, %d of them are inspected again", len(changed), new
    )
    return Reinspected(len(changed), new)


def _inspection(
    run: str, repository: Repository, path: str, language: str, history: History | None, parent: str
) -> quarterdeck.Spec:
    order = inspect_order(str(repository.folder), path, language, history)
    options = quarterdeck.TaskOptions(
        queue=QUEUE,
        retry=_INSPECT_RETRY,
        timeouts=_INSPECT_TIMEOUT,
        labels={RUN_LABEL: run, "path": order.path[-_LABEL:], "language": language},
        idempotency_key=inspect_key(run, path, repository.read(path)),
    )
    if parent:
        options["parent"] = parent
    return quarterdeck.Spec(INSPECT, order, options)


def _submit_report(
    client: quarterdeck.Client, order: SurveyOrder, skipped: int, ids: Sequence[str], parent: str
) -> str:
    def spec(name: str, given: object, waits_for: Sequence[str], key: str) -> quarterdeck.Spec:
        options = quarterdeck.TaskOptions(
            queue=QUEUE,
            depends_on=waits_for,
            when_dependencies="ended",
            labels={RUN_LABEL: order.run},
            parent=parent,
            idempotency_key=f"{name}:{order.run}:{key}",
        )
        return quarterdeck.Spec(name, given, options)

    if len(ids) > MOST_DEPENDENCIES:
        parts = [ids[n : n + MOST_DEPENDENCIES] for n in range(0, len(ids), MOST_DEPENDENCIES)]
        gathers = [spec(GATHER, len(part), part, str(n)) for n, part in enumerate(parts)]
        ids = [task_id for task_id, _ in _submit(client, gathers)]
    report_order = ReportOrder(order.run, order.folder, order.report, skipped)
    ((report_id, _),) = _submit(client, [spec(REPORT, report_order, ids, "")])
    return report_id


def _submit(
    client: quarterdeck.Client, specs: Sequence[quarterdeck.Spec]
) -> list[tuple[str, bool]]:
    """The ids of the tasks, and whether each is new.

    A key that is taken is no error, even by a task with other details: the survey that is run again, or the
    schedule, has met the same content of the same file.

    Raises:
        ApiError: the first other refusal.
    """
    found: list[tuple[str, bool]] = []
    for item in client.submit_many(specs) if specs else ():
        if item.error is None:
            found.append((item.task_id, not item.existed))
        elif item.error.reason == "IDEMPOTENCY_KEY_REUSED":
            found.append((item.error.metadata["task_id"], False))
        else:
            raise item.error
    return found


def _latest(tasks: Iterator[quarterdeck.Task]) -> list[quarterdeck.Task]:
    """Of each file the newest inspection that has ended, in the order of the paths."""
    found: dict[str, quarterdeck.Task] = {}
    for task in tasks:
        path = task.labels.get("path", task.id)
        if task.ended and (path not in found or task.id > found[path].id):
            found[path] = task
    return [found[path] for path in sorted(found)]


def _error(task: quarterdeck.Task) -> str:
    if task.failure is None:
        return task.reason or task.state
    return f"{task.failure.type}: {task.failure.message}"


def _write(path: Path, text: str) -> None:
    """Writes a file as a whole: a reader sees the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
