"""What cannot be a schedule."""

from __future__ import annotations

from typing import Literal


class CronError(ValueError):
    """An expression or a time zone that cannot be used.

    Attributes:
        field: ``cron`` or ``time_zone``.
        message: Names the cron field at fault and what is expected there.
    """

    def __init__(self, field: Literal["cron", "time_zone"], message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field: Literal["cron", "time_zone"] = field
        self.message = message


class ScheduleError(ValueError):
    """A schedule that cannot be.

    Attributes:
        field: ``id``, ``kind``, ``cron``, ``interval``, ``once``, ``time_zone``, ``start_at``,
            ``end_at`` or ``count``.
        message: What is expected.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
