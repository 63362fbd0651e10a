"""Admission: whether a submit makes a task at all, when others of the same key came before it.

A key belongs to one kind (unique, debounce, throttle), one namespace and one task name. Who has it stands in one row,
which outlives its meaning: whether the key is taken is always read from the task that the row names, or its instant.

Tasks that wait for each other because of AFTER_EXISTING stand in a chain: each depends on the one before it, and the
last has the key. One that is cancelled out of the middle leaves no gap: see `mend`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from quarterdeck_server.engine import edit_transitions
from quarterdeck_server.engine.commands import (
    Debounce,
    Refusal,
    Spec,
    Submitted,
    Throttle,
    Unique,
)
from quarterdeck_server.engine.flow import overflow
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.model import Admission, AdmissionKey, Task
from quarterdeck_server.engine.policy import policy_of, policy_text
from quarterdeck_server.engine.states import ENDED, SCHEDULED
from quarterdeck_server.engine.world import World

UNIQUE, DEBOUNCE, THROTTLE = 1, 2, 3
"""Kinds of keys, as the store has them."""

PENDING, ACTIVE, PERIOD = 1, 2, 3
"""Scopes of unique keys; the numbers of `quarterdeck.v1.UniqueScope`."""

REJECT, RETURN_EXISTING, REPLACE_PENDING, AFTER_EXISTING = 1, 2, 3, 4
"""Policies of unique keys; the numbers of `quarterdeck.v1.UniquePolicy`."""

_KINDS = {Unique: UNIQUE, Debounce: DEBOUNCE, Throttle: THROTTLE}


class Admitted(NamedTuple):
    """A spec that makes a task, and what goes with it."""

    spec: Spec
    key: AdmissionKey
    row: Admission
    """Without the id of the task."""
    after: Task | None = None
    """The task that it waits for."""
    replaces: Task | None = None
    """The task that is cancelled once the new one exists."""


def key_of(namespace: str, spec: Spec) -> AdmissionKey:
    """Return the key of a spec that has one."""
    assert spec.admission is not None
    return AdmissionKey(namespace, _KINDS[type(spec.admission)], spec.name, spec.admission.key)


def admit(world: World, namespace: str, spec: Spec) -> Admitted | Submitted:
    """Decide about a spec that has a key: it makes a task, or the answer is another one or a refusal.

    But for a task that is waiting and takes a debounced submit in, nothing is changed yet; see `admitted`.
    """
    key = key_of(namespace, spec)
    row = world.admissions.get(key)
    if row is not None and row.since > world.now:
        row = _brought_forward(world, key, row)
    match spec.admission:
        case Unique():
            return _unique(world, spec, spec.admission, key, row)
        case Debounce():
            return _debounce(world, spec, spec.admission, key, row)
        case Throttle():
            return _throttle(world, spec, spec.admission, key, row)
    raise AssertionError(spec.admission)


def admitted(world: World, entry: Admitted, task: Task) -> None:
    """Give the key to the task that was made, and end the one that it replaces.

    A task that was turned away or cancelled at once gets no unique key, and takes nobody's place.
    """
    if task.state in ENDED and entry.key.kind == UNIQUE:
        if entry.replaces is not None:
            overflow.put_back(world, entry.replaces)
        return
    world.put_admission(entry.key, entry.row._replace(task_id=task.id))
    if entry.replaces is not None:
        world.put(edit_transitions.replaced(entry.replaces, world.now))


def _unique(
    world: World, spec: Spec, unique: Unique, key: AdmissionKey, row: Admission | None
) -> Admitted | Submitted:
    now = world.now
    expire_at = now + unique.period if unique.scope == PERIOD else None
    if unique.scope != PERIOD:
        pending = unique.scope == PENDING
        spec = _with_policy(spec, unique_key=unique.key, unique_pending=pending)
    entry = Admitted(spec, key, Admission(0, now, 0, expire_at, unique.scope))
    if row is None or not _taken(world, row):
        return entry
    holder = world.tasks.get(row.task_id)
    if unique.policy == RETURN_EXISTING:
        return Submitted(row.task_id, existed=True)
    if unique.policy == AFTER_EXISTING and holder is not None:
        return entry._replace(spec=_serial(spec), after=holder)
    if unique.policy == REPLACE_PENDING and holder is not None and _replaceable(holder):
        if not _is_open_link(holder):
            return entry._replace(replaces=holder)
        if not spec.depends_on:
            # It takes the holder's place in the chain: what that waited for is what this one waits for.
            return entry._replace(spec=_serial(spec), after=holder, replaces=holder)
    text = encode_task_id(row.task_id)
    return Submitted(
        row.task_id,
        refusal=Refusal(
            "UNIQUE_KEY_TAKEN",
            f"unique key {unique.key!r} of {spec.name!r} belongs to {text}; wait for it, or submit with another key",
            (("unique_key", unique.key), ("task_id", text)),
        ),
    )


def _taken(world: World, row: Admission) -> bool:
    return is_held(UNIQUE, row, world.tasks.get(row.task_id), world.now)


def is_held(kind: int, row: Admission, task: Task | None, now: int) -> bool:
    """Say whether a key still decides about submits; `task` is the one that the row names."""
    if kind == THROTTLE or (kind == UNIQUE and row.scope == PERIOD):
        return row.expire_at is not None and row.expire_at > now
    if task is None or task.state in ENDED:
        return False
    if kind == DEBOUNCE:
        return _waits_for_delay(task)
    return row.scope != PENDING or task.attempt == 0


def _replaceable(task: Task) -> bool:
    return task.attempt == 0 and task.state not in ENDED


def _serial(spec: Spec) -> Spec:
    return _with_policy(spec, all_ended=True, serial=True)


def _with_policy(spec: Spec, **fields: Any) -> Spec:
    return spec._replace(policy=policy_text(policy_of(spec.policy)._replace(**fields)))


def kept_keys(tasks: Iterable[Task]) -> set[AdmissionKey]:
    """Return the unique keys that tasks need again to be retried."""
    return {key for task in tasks if (key := _kept_key(task)) is not None}


def _kept_key(task: Task) -> AdmissionKey | None:
    policy = policy_of(task.policy)
    if policy.unique_key is None or (policy.unique_pending and task.attempt):
        return None
    return AdmissionKey(task.namespace, UNIQUE, task.name, policy.unique_key)


def taken_back(world: World, task: Task) -> Refusal | None:
    """Give a task that is to be retried its unique key again, or say which task has it."""
    key = _kept_key(task)
    if key is None:
        return None
    row = world.admissions.get(key)
    if row is not None and row.task_id != task.id and _taken(world, row):
        text = encode_task_id(row.task_id)
        return Refusal(
            "UNIQUE_KEY_TAKEN",
            f"unique key {key.key!r} of {task.name!r} belongs to {text} now; retry this one when that has ended",
            (("unique_key", key.key), ("task_id", text)),
        )
    scope = PENDING if policy_of(task.policy).unique_pending else ACTIVE
    world.put_admission(key, Admission(task.id, world.now, 0, None, scope))
    return None


def _debounce(
    world: World, spec: Spec, debounce: Debounce, key: AdmissionKey, row: Admission | None
) -> Admitted | Submitted:
    now = world.now
    waiting = None if row is None else world.tasks.get(row.task_id)
    if row is not None and waiting is not None and is_held(DEBOUNCE, row, waiting, now):
        run_at = now + debounce.delay
        if debounce.max_wait is not None:
            run_at = min(run_at, row.since + debounce.max_wait)
        world.put(edit_transitions.debounced(waiting, spec, run_at, now))
        if spec.queue != waiting.queue:
            world.count_arrival(waiting.namespace, spec.queue)
        world.put_input(waiting.id, spec.input)
        return Submitted(waiting.id, existed=True)
    delay = debounce.delay
    if debounce.max_wait is not None:
        delay = min(delay, debounce.max_wait)
    return Admitted(spec._replace(delay=delay), key, Admission(0, now, 0, None, 0))


def _waits_for_delay(task: Task) -> bool:
    return task.state == SCHEDULED and task.attempt == 0


def _brought_forward(world: World, key: AdmissionKey, row: Admission) -> Admission:
    """Let the span of a key begin now: the wall clock was ahead when it began, and has been set back."""
    by = row.since - world.now
    expire_at = None if row.expire_at is None else row.expire_at - by
    row = row._replace(since=world.now, expire_at=expire_at)
    world.put_admission(key, row)
    return row


def _throttle(
    world: World, spec: Spec, throttle: Throttle, key: AdmissionKey, row: Admission | None
) -> Admitted | Submitted:
    now = world.now
    if row is None or not is_held(THROTTLE, row, None, now):
        return Admitted(spec, key, Admission(0, now, 1, now + throttle.period, 0))
    if row.passed >= throttle.limit:
        return Submitted(row.task_id, existed=True)
    return Admitted(spec, key, row._replace(passed=row.passed + 1))


def open_links(ended: Iterable[Task]) -> list[int]:
    """Return those that ended while they still waited in a chain."""
    return [task.id for task in ended if task.pending and _is_open_link(task)]


def _is_open_link(task: Task) -> bool:
    return task.pending > 0 and policy_of(task.policy).serial


def note_links(world: World, links: Iterable[int], stored: Iterable[tuple[int, int]]) -> None:
    """Note what ended links waited for: `stored` are the dependencies that the store knows as not met."""
    for task_id, dependency_id in stored:
        if (task_id, dependency_id) not in world.met:
            world.links[task_id] = dependency_id
    wanted = set(links)
    for edge, met in world.dependencies.items():
        if edge[0] in wanted and not met and edge not in world.met:
            world.links[edge[0]] = edge[1]


def before(world: World, link: Task) -> Task | None:
    """Return the task that a link waits for, past those that ended before it was their turn.

    What ended links waited for, and who has their keys, must be loaded.
    """
    passed = [link.id]
    task: Task | None = link
    while passed[-1] in world.links:
        passed.append(world.links[passed[-1]])
        task = world.tasks.get(passed[-1])
        if task is None or task.state not in ENDED or not _is_open_link(task):
            break
    for task_id in passed[:-1]:
        # The way is gone once: a chain may have thousands of ended links.
        world.links[task_id] = passed[-1]
    return task if task is not None and task.state not in ENDED else None


def mend(world: World, links: Sequence[int]) -> None:
    """Give the keys of ended links back to those that they waited for."""
    if not links:
        return
    held = {row.task_id: key for key, row in world.admissions.items() if key.kind == UNIQUE}
    for task_id in links:
        key = held.get(task_id)
        earlier = before(world, world.tasks[task_id])
        if key is not None and earlier is not None:
            row = world.admissions[key]
            world.put_admission(key, row._replace(task_id=earlier.id))
