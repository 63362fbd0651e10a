"""Creating tasks."""

from __future__ import annotations

from quarterdeck_server.engine import overflow
from quarterdeck_server.engine.commands import Refusal, Spec, Submit, Submitted
from quarterdeck_server.engine.deadlines import wake_at
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.policy import policy_of
from quarterdeck_server.engine.states import BLOCKED, ENDED, READY, SCHEDULED, SUCCEEDED, TaskState
from quarterdeck_server.engine.world import World


def submit(world: World, command: Submit) -> list[Submitted]:
    """Create a task for every spec, or say why not; one refused spec leaves its neighbours alone."""
    results: list[Submitted] = []
    for spec in command.specs:
        results.append(_submit_one(world, command.namespace, spec, results))
    return results


def _submit_one(world: World, namespace: str, spec: Spec, earlier: list[Submitted]) -> Submitted:
    if spec.idempotency_key is not None:
        known = _same_key(world, namespace, spec)
        if known is not None:
            return known
    if not spec.depends_on:
        refusal = _refused(world, namespace, spec)
        if refusal is not None:
            return Submitted(0, refusal=refusal)
        return Submitted(create(world, namespace, spec, pending=0).id)
    dependencies, refusal = _resolve(world, namespace, spec, earlier)
    if refusal is not None:
        return Submitted(0, refusal=refusal)
    return _create_dependent(world, namespace, spec, dependencies)


def _refused(world: World, namespace: str, spec: Spec) -> Refusal | None:
    """Refuse a spec whose dependencies have ended, for its queue's limits."""
    if not world.active or spec.delay or (spec.run_at or 0) > world.now:
        return None
    return overflow.refusal(world, namespace, spec)


def _same_key(world: World, namespace: str, spec: Spec) -> Submitted | None:
    """Answer for a spec whose idempotency key is taken; None when it is free."""
    assert spec.idempotency_key is not None and spec.content_hash is not None
    key = (namespace, spec.idempotency_key)
    holder = world.new_keys.get(key) or world.keys.get(key)
    if holder is None:
        return None
    task_id, content = holder
    if content == spec.content_hash:
        return Submitted(task_id, existed=True)
    text = encode_task_id(task_id)
    return Submitted(
        task_id,
        refusal=Refusal(
            "IDEMPOTENCY_KEY_REUSED",
            f"idempotency key {spec.idempotency_key!r} belongs to {text}, which was submitted with other content; "
            "use another key, or submit the same content",
            (("idempotency_key", spec.idempotency_key), ("task_id", text)),
        ),
    )


def _resolve(
    world: World, namespace: str, spec: Spec, earlier: list[Submitted]
) -> tuple[list[Task], Refusal | None]:
    """Find the tasks that a spec depends on, each once."""
    found: dict[int, Task] = {}
    for reference in spec.depends_on:
        task_id = reference
        if reference < 0:
            sibling = earlier[-reference - 1]
            if sibling.refusal is not None:
                return [], Refusal(
                    "INVALID_FIELD",
                    f"depends_on: item #{-reference - 1} of this request was refused, so this one was not accepted",
                    (("field", "depends_on"),),
                )
            task_id = sibling.task_id
        task = world.tasks.get(task_id)
        if task is None or task.namespace != namespace:
            text = encode_task_id(task_id)
            return [], Refusal(
                "TASK_NOT_FOUND", f"depends_on: there is no task {text}", (("task_id", text),)
            )
        found[task_id] = task
    return list(found.values()), None


def _create_dependent(
    world: World, namespace: str, spec: Spec, dependencies: list[Task]
) -> Submitted:
    all_ended = policy_of(spec.policy).all_ended
    pending = []
    failed: Task | None = None
    for dependency in dependencies:
        if dependency.state not in ENDED:
            pending.append(dependency.id)
        elif dependency.state != SUCCEEDED and not all_ended:
            failed = failed or dependency
    if failed is not None:
        text = encode_task_id(failed.id)
        return Submitted(
            0,
            refusal=Refusal(
                "WRONG_STATE",
                f"depends_on: {text} has ended without success, so this task could never start",
                (("task_id", text), ("state", TaskState(failed.state).name)),
            ),
        )
    refusal = None if pending else _refused(world, namespace, spec)
    if refusal is not None:
        return Submitted(0, refusal=refusal)
    task = create(world, namespace, spec, pending=len(pending))
    for dependency in dependencies:
        world.dependencies[task.id, dependency.id] = dependency.state in ENDED
    return Submitted(task.id)


def create(
    world: World,
    namespace: str,
    spec: Spec,
    *,
    pending: int = 0,
    schedule_id: str | None = None,
    schedule_time: int | None = None,
) -> Task:
    """Add the task that a spec describes, in the state that its delay and its dependencies give."""
    now = world.now
    run_at = (now if spec.run_at is None else spec.run_at) + spec.delay
    state = BLOCKED if pending else SCHEDULED if run_at > now else READY
    policy = policy_of(spec.policy)
    to_start, total = policy.schedule_to_start, policy.task_timeout
    expire_at = None if to_start is None else max(now, run_at) + to_start
    deadline = None if total is None else now + total
    # Positional, in the order of the fields: keywords would double the cost of the hottest line here.
    task = Task(
        world.new_id(),
        namespace,
        spec.queue,
        spec.name,
        state,
        spec.priority,
        run_at if run_at > now else now,
        now,
        0,
        policy.max_attempts,
        0,
        spec.policy,
        spec.labels,
        spec.attributes,
        spec.lane,
        spec.parent_id,
        None,
        schedule_id,
        schedule_time,
        spec.idempotency_key,
        pending,
        expire_at,
        deadline,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        0,
        None,
        0,
    )
    if state == SCHEDULED or expire_at is not None or deadline is not None:
        task = task._replace(wake_at=wake_at(task))
    if spec.idempotency_key is not None and spec.content_hash is not None:
        world.new_keys[namespace, spec.idempotency_key] = (task.id, spec.content_hash)
    if spec.input is not None:
        world.inputs[task.id] = spec.input
    task = world.create(task)
    queue = world.queues.get((namespace, spec.queue))
    if world.holds or (queue is not None and queue.limits is not None):
        return overflow.arrived(world, task)
    return task
