"""What is read of committed state; `store.base.Store` says what each method is for."""

from __future__ import annotations

import contextlib
import json
from array import array
from collections.abc import Sequence
from typing import Any

from quarterdeck_server.engine.explain.facts import Handler, Stored
from quarterdeck_server.engine.filters import (
    TASK_FIELDS,
    Filter,
    compile_predicate,
    compile_sql,
)
from quarterdeck_server.engine.filters.ast import All, ValueTerm
from quarterdeck_server.engine.ids import MAX_TASK_ID
from quarterdeck_server.engine.model import (
    Admission,
    AdmissionKey,
    Agent,
    Attempt,
    AuditEntry,
    Hold,
    LogRow,
    Payload,
    Queue,
    Task,
)
from quarterdeck_server.engine.namespaces import NO_SETTINGS, NamespaceSettings, settings_of
from quarterdeck_server.engine.pools import Instance, PoolStatus
from quarterdeck_server.engine.schedule.schedules import Schedule
from quarterdeck_server.engine.selection import Selection
from quarterdeck_server.engine.states import READY, SUCCEEDED
from quarterdeck_server.store.base import Page, TaskDetail
from quarterdeck_server.store.sqlite.reader import Reader

_FILTERED = 500
"""Queues that are read at once when they are filtered here."""
_SELECTED = 10_000
"""Ids that are read at once."""

_COLUMNS = ", ".join(Task._fields)
_SORTS = {
    # Ids rise with the time of creation.
    "create_time": "id",
    "run_at": "run_at",
    "end_time": "ifnull(end_time, 0)",
    "priority": "priority",
    "name": "name",
    "state": "state",
}


class Reads(Reader):
    """Reads of tasks, of the fleet and of the change log."""

    # Tasks

    async def get_task(self, namespace: str, task_id: int) -> TaskDetail | None:
        found: dict[str, list[Any]] = {}
        async with self._snapshot() as connection:
            for name, *parameters in (
                ("read_task", task_id, namespace),
                ("inputs_by_id", f"[{task_id}]"),
                ("results_by_id", f"[{task_id}]"),
                ("read_attempts", task_id),
                ("read_dependencies", task_id),
                ("details_by_id", f"[{task_id}]"),
                ("admissions_by_task", f"[{task_id}]"),
            ):
                found[name] = list(
                    await connection.execute_fetchall(self._queries[name], parameters)
                )
                if not found["read_task"]:
                    return None
        split = len(AdmissionKey._fields)
        return TaskDetail(
            Task._make(found["read_task"][0]),
            _payload(found["inputs_by_id"]),
            _payload(found["results_by_id"]),
            [Attempt._make(row) for row in found["read_attempts"]],
            [row[0] for row in found["read_dependencies"]],
            _payload(found["details_by_id"]),
            [
                (AdmissionKey._make(row[:split]), Admission._make(row[split:]))
                for row in found["admissions_by_task"]
            ],
        )

    async def explain_task(
        self, namespace: str, task_id: int, handlers: Sequence[Handler]
    ) -> Stored | None:
        from quarterdeck_server.store.sqlite.explain import Explainer

        async with self._snapshot() as connection:
            return await Explainer(connection, handlers).stored(namespace, task_id)

    async def get_tasks(self, task_ids: Sequence[int]) -> list[Task]:
        rows = await self._named("tasks_by_id", f"[{','.join(map(str, task_ids))}]")
        return [Task._make(row) for row in rows]

    async def get_result(self, task_id: int) -> Payload | None:
        return _payload(await self._named("results_by_id", f"[{task_id}]"))

    async def get_details(self, task_id: int) -> Payload | None:
        return _payload(await self._named("details_by_id", f"[{task_id}]"))

    async def list_tasks(
        self,
        namespace: str,
        filter: Filter | None,
        order_by: str,
        descending: bool,
        limit: int,
        after: list[Any] | None,
        now: int,
    ) -> Page[Task]:
        where, parameters = _where(namespace, filter, now)
        sort = _SORTS[order_by]
        way, beyond = ("DESC", "<") if descending else ("ASC", ">")
        keys = "id" if sort == "id" else f"{sort}, id"
        if after is not None:
            marks = "?" if sort == "id" else "?, ?"
            where += f" AND ({keys}) {beyond} ({marks})"
            parameters += after
        order = ", ".join(f"{key} {way}" for key in ([sort] if sort == "id" else [sort, "id"]))
        sql = f"SELECT {_COLUMNS} FROM tasks WHERE {where} ORDER BY {order} LIMIT ?"
        async with self._filtering if filter is not None else contextlib.nullcontext():
            rows, revision = await self._page(sql, *parameters, limit + 1)
        tasks = [Task._make(row) for row in rows[:limit]]
        key = _task_key(tasks[-1], order_by) if len(rows) > limit else None
        return Page(tasks, key, revision)

    async def count_tasks(
        self, namespace: str, filter: Filter | None, now: int
    ) -> tuple[dict[int, int], int]:
        if filter is None or filter.takes_everything:
            rows, revision = await self._page(self._queries["count_all"], namespace)
            return dict(rows), revision
        where, parameters = _where(namespace, filter, now)
        sql = f"SELECT state, count(*) FROM tasks WHERE {where} GROUP BY state"
        async with self._filtering:
            rows, revision = await self._page(sql, *parameters)
        return dict(rows), revision

    async def select_tasks(
        self, namespace: str, filter: Filter | None, now: int, keep: int
    ) -> Selection:
        where, parameters = _where(namespace, filter, now)
        sql = f"SELECT id FROM tasks WHERE {where} AND id > ? ORDER BY id LIMIT ?"
        ids, total, after = array("q"), 0, -1
        async with self._filtering, self._snapshot() as connection:
            while True:
                rows = list(await connection.execute_fetchall(sql, (*parameters, after, _SELECTED)))
                ids.extend(row[0] for row in rows[: keep - len(ids)])
                total += len(rows)
                if len(rows) < _SELECTED:
                    break
                after = rows[-1][0]
            last = await connection.execute_fetchall(self._queries["last_revision"])
        return Selection(ids, total, next(iter(last))[0])

    async def read_logs(
        self, namespace: str, task_id: int, after: int, attempt: int, limit: int
    ) -> list[LogRow]:
        if after < 0:
            first = (await self._named("read_log_tail", task_id, attempt, -after))[0][0]
            after = (first or 1) - 1
        rows = await self._named("read_logs", task_id, after, attempt, limit, namespace)
        return [LogRow._make(row) for row in rows]

    # The fleet

    async def list_agents(
        self, namespace: str, filter: Filter | None, limit: int, after: list[Any] | None, now: int
    ) -> Page[Agent]:
        where, parameters = _where(namespace, filter, now)
        if after is not None:
            where += " AND (create_time < ? OR (create_time = ? AND id > ?))"
            parameters += [after[0], *after]
        columns = ", ".join(Agent._fields)
        sql = f"SELECT {columns} FROM agents WHERE {where} ORDER BY create_time DESC, id LIMIT ?"
        rows, revision = await self._page(sql, *parameters, limit + 1)
        agents = [Agent._make(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(agents, [agents[-1].create_time, agents[-1].id] if more else None, revision)

    async def list_queues(
        self, namespace: str, filter: Filter | None, limit: int, after: list[Any] | None, now: int
    ) -> Page[Queue]:
        """Counts are filtered on too and have no column, so pages are filtered here."""
        matches = None if filter is None else compile_predicate(filter)
        position, found = (after[0] if after else ""), list[Queue]()
        size = limit if matches is None else max(limit, _FILTERED)
        revision: int | None = None
        while True:
            rows, seen = await self._page(
                self._queries["read_queues"], namespace, position, size + 1
            )
            # What was read first is true at the first revision; later ones may have seen it change.
            revision = seen if revision is None else revision
            queues = await self._with_counts(rows[:size])
            for queue in queues:
                if matches is None or matches(queue, now):
                    if len(found) == limit:
                        return Page(found, [found[-1].name], revision)
                    found.append(queue)
            if len(rows) <= size:
                return Page(found, None, revision)
            position = queues[-1].name

    async def get_queues(self, namespace: str, names: Sequence[str]) -> list[Queue]:
        keys = json.dumps([(namespace, name) for name in names])
        return await self._with_counts(await self._named("queues_by_key", keys))

    async def _with_counts(self, rows: list[Any]) -> list[Queue]:
        wanted = [(row[0], row[1]) for row in rows]
        counts: dict[tuple[str, str], list[tuple[str, int, int]]] = {key: [] for key in wanted}
        for namespace, queue, name, state, count in await self._named(
            "counts_by_key", json.dumps(wanted)
        ):
            if count:
                counts[namespace, queue].append((name, state, count))
        return [Queue._make((*row, tuple(counts[row[0], row[1]]))) for row in rows]

    async def list_schedules(
        self, namespace: str, filter: Filter | None, limit: int, after: list[Any] | None, now: int
    ) -> Page[Schedule]:
        where, parameters = _where(namespace, filter, now)
        if after is not None:
            where += " AND id > ?"
            parameters += after
        columns = ", ".join(Schedule._fields)
        sql = f"SELECT {columns} FROM schedules WHERE {where} ORDER BY id LIMIT ?"
        rows, revision = await self._page(sql, *parameters, limit + 1)
        found = [Schedule._make(row) for row in rows[:limit]]
        return Page(found, [found[-1].id] if len(rows) > limit else None, revision)

    async def get_agent(self, namespace: str, agent_id: str) -> Agent | None:
        rows = await self._named("read_agent", namespace, agent_id)
        return Agent._make(rows[0]) if rows else None

    async def get_schedule(self, namespace: str, schedule_id: str) -> Schedule | None:
        rows = await self._named("read_schedule", namespace, schedule_id)
        return Schedule._make(rows[0]) if rows else None

    async def list_audit(
        self, namespace: str, limit: int, after: list[Any] | None
    ) -> Page[AuditEntry]:
        before = after[0] if after else MAX_TASK_ID
        rows, revision = await self._page(self._queries["read_audit"], namespace, before, limit + 1)
        found = [AuditEntry._make(row) for row in rows[:limit]]
        return Page(found, [found[-1].id] if len(rows) > limit else None, revision)

    async def list_holds(self, namespace: str, limit: int, after: list[Any] | None) -> Page[Hold]:
        sql, position = self._queries["read_holds"], after or [0, ""]
        rows, revision = await self._page(sql, namespace, *position, limit + 1)
        found = [Hold._make(row) for row in rows[:limit]]
        return Page(found, list(found[-1][1:3]) if len(rows) > limit else None, revision)

    async def get_namespace(self, namespace: str) -> NamespaceSettings:
        rows = await self._named("read_namespace", namespace)
        return settings_of(rows[0][0]) if rows else NO_SETTINGS

    async def list_pools(self, namespace: str) -> list[PoolStatus]:
        return [PoolStatus._make(row) for row in await self._named("read_pools", namespace)]

    async def list_instances(self, namespace: str | None, ended: bool = False) -> list[Instance]:
        name = "read_all_instances" if ended else "read_instances"
        return [Instance._make(row) for row in await self._named(name, namespace)]

    # What a starting server must know, and the change log

    async def ready_counts(self) -> dict[tuple[str, str], dict[str, int]]:
        found: dict[tuple[str, str], dict[str, int]] = {}
        for namespace, queue, name, count in await self._named("ready_counts"):
            found.setdefault((namespace, queue), {})[name] = count
        return found

    async def running_tasks(self) -> list[Task]:
        return [Task._make(row) for row in await self._named("running_tasks")]

    async def live_agents(self) -> list[Agent]:
        return [Agent._make(row) for row in await self._named("live_agents")]

    async def revision(self) -> int:
        return int((await self._named("last_revision"))[0][0])

    async def change_blobs(self, revision: int, limit: int) -> tuple[int, int, list[Any]]:
        """Return the first and last kept revision, and rows of the log with `limit` changes after `revision`."""
        async with self._snapshot() as connection:
            bounds = await connection.execute_fetchall(self._queries["change_bounds"])
            rows = await connection.execute_fetchall(
                self._queries["changes_after"], (revision, limit)
            )
        first, last = next(iter(bounds))
        return first, last, list(rows)


def _payload(rows: list[Any]) -> Payload | None:
    return Payload(*rows[0][1:]) if rows else None


def _where(namespace: str, filter: Filter | None, now: int) -> tuple[str, list[Any]]:
    if filter is None or filter.takes_everything:
        return "namespace = ?", [namespace]
    fragment = compile_sql(filter, now)
    where = f"namespace = ? AND {fragment.sql}{_index_hint(filter)}"
    return where, [namespace, *fragment.params]


def _index_hint(filter: Filter) -> str:
    """Repeat what a filter on states implies in the words of a partial index, which the planner needs to use it."""
    if filter.table is not TASK_FIELDS:
        return ""
    root = filter.root
    for node in root.children if isinstance(root, All) else (root,):
        if (
            isinstance(node, ValueTerm)
            and node.field.name == "state"
            and node.values
            and not {READY, SUCCEEDED} & set(node.values)
        ):
            return " AND state NOT IN (3, 6)"
    return ""


def _task_key(task: Task, order_by: str) -> list[Any]:
    if order_by == "create_time":
        return [task.id]
    value = getattr(task, order_by)
    return [0 if value is None else value, task.id]
