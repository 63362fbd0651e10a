"""Refusals of calls about single tasks."""

from __future__ import annotations

from quarterdeck_server.engine.commands import Refusal
from quarterdeck_server.engine.ids import encode_task_id
from quarterdeck_server.engine.model import Task
from quarterdeck_server.engine.states import TaskState


def task_not_found(task_id: int) -> Refusal:
    """Refuse a call about a task that is not there."""
    text = encode_task_id(task_id)
    return Refusal(
        "TASK_NOT_FOUND",
        f"there is no task {text}; it never existed, or retention has removed it",
        (("task_id", text),),
    )


def wrong_state(task: Task, why: str) -> Refusal:
    """Refuse a call that the task's state does not allow."""
    text, state = encode_task_id(task.id), TaskState(task.state).name
    return Refusal(
        "WRONG_STATE", f"{text} is {state}: {why}", (("task_id", text), ("state", state))
    )
