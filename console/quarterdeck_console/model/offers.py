"""Which acts can do something for a task, and in words why another one cannot."""

from __future__ import annotations

from quarterdeck_console.model import words
from quarterdeck_console.model.rows import TaskRow
from quarterdeck_console.model.tables import short_id

CANCEL, RETRY, PAUSE, RESUME = "cancel", "retry", "pause", "resume"

_RETRIED = (words.FAILED, words.CANCELLED, words.EXPIRED)


def why_not(act: str, task: TaskRow) -> str:
    """Why an act can do nothing for a task; empty when it can."""
    word = task.state_words()[1]
    about = f"{task.name} {short_id(task.id)[-8:]}"
    if act == CANCEL and task.terminal:
        return f"{about} has ended, {word}: there is nothing to cancel"
    if act == RETRY and task.state == words.SUCCEEDED:
        return f"{about} succeeded: there is nothing to retry; e runs it again as a new task"
    if act == RETRY and task.state not in _RETRIED:
        return f"{about} has not ended, it is {word}: there is nothing to retry"
    if act == PAUSE and task.state != words.RUNNING:
        return f"{about} is {word}: only a running task can be paused"
    if act == RESUME and (task.state != words.RUNNING or task.pause is None):
        return f"{about} is {word}: it is not paused"
    return ""
