"""What the operator typed, as the spec of a task."""

from __future__ import annotations

import json
import re

from quarterdeck.v1 import task_pb2

_DELAY = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


class FieldError(ValueError):
    """One field is wrong; its text says what was expected.

    Attributes:
        field: Its name.
    """

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}")
        self.field = field


def span(text: str) -> float:
    """Seconds in a span such as `30s`, `1h30m` or `1.5h`; 0.0 when empty.

    Raises:
        ValueError: It is none.
    """
    text = text.strip().lower()
    if not text:
        return 0.0
    if not re.fullmatch(rf"(?:{_DELAY.pattern}\s*)+", text):
        raise ValueError("expected a span such as 30s, 10m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in _DELAY.findall(text))


def task_spec(name: str, queue: str, input: str, priority: str, delay: str) -> task_pb2.TaskSpec:
    """Makes the spec; the server checks the rest.

    Raises:
        FieldError: A field cannot be understood.
    """
    if not name.strip():
        raise FieldError("name", "expected a name")
    try:
        json.loads(input or "null")
    except ValueError as error:
        raise FieldError("input", f"expected JSON, {error}") from None
    spec = task_pb2.TaskSpec(name=name.strip(), queue=queue.strip())
    spec.input.content_type = "application/json"
    spec.input.data = (input or "null").encode()
    if priority.strip():
        if not re.fullmatch(r"[0-9]", priority.strip()):
            raise FieldError("priority", "expected 0 to 9")
        spec.priority = int(priority)
    try:
        seconds = span(delay)
    except ValueError as error:
        raise FieldError("delay", str(error)) from None
    if seconds:
        spec.delay.FromMicroseconds(round(seconds * 1_000_000))
    return spec
