"""Methods of the blocking client about schedules."""

# Generated from _async_schedules.py by `make client`: not to be edited.

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any, Unpack

from quarterdeck import _calls
from quarterdeck._methods import PAGE, Methods
from quarterdeck._models import Schedule
from quarterdeck._specs import TaskOptions, When, task_spec


class ScheduleMethods(Methods):
    """What a client asks about schedules."""

    def schedule(
        self,
        schedule_id: str,
        when: When,
        name: str,
        input: Any = None,
        *,
        start: dt.datetime | None = None,
        end: dt.datetime | None = None,
        reason: str = "",
        actor: str = "",
        **options: Unpack[TaskOptions],
    ) -> Schedule:
        """Create a schedule, or replace the rule of the one with this id.

        Args:
            schedule_id: Chosen by you.
            when: A cron expression or `Cron`, an interval, or one instant.
            name: What is to be done.
            input: The handler's input.
            start: No task before this instant.
            end: No task at or after this instant.
            reason: Why, for the audit log.
            actor: Who asks.
            options: How its tasks are to be run.
        """
        task = task_spec(name, input, options)
        return self._do(
            _calls.schedule(self._namespace, schedule_id, when, task, start, end, reason, actor)
        )

    def get_schedule(self, schedule_id: str) -> Schedule:
        """One schedule.

        Raises:
            NotFoundError: There is no such schedule.
        """
        return self._do(_calls.get_schedule(self._namespace, schedule_id))

    def schedules(self, filter: str = "", *, page_size: int = PAGE) -> Iterator[Schedule]:
        """Schedules that match a filter, fetched as they are read.

        Args:
            filter: Such as `paused:yes`; empty for all. docs/filters.md has the grammar.
            page_size: How many are fetched at once, 1,000 at most.

        Raises:
            InvalidArgumentError: While iterating: the filter is wrong.
        """
        return self._pages(
            lambda token: _calls.schedules(self._namespace, filter, page_size, token)
        )

    def pause_schedule(self, schedule_id: str, reason: str = "", *, actor: str = "") -> Schedule:
        """Stop a schedule from creating tasks; its `pause_note` says who and why.

        One that is paused already only changes its note.

        Raises:
            NotFoundError: There is no such schedule.
        """
        return self._do(_calls.pause_schedule(self._namespace, schedule_id, reason, actor))

    def resume_schedule(self, schedule_id: str, reason: str = "", *, actor: str = "") -> Schedule:
        """Let a schedule create tasks again, from now on; instants that passed meanwhile are skipped.

        Raises:
            NotFoundError: There is no such schedule.
        """
        return self._do(_calls.resume_schedule(self._namespace, schedule_id, reason, actor))

    def trigger_schedule(self, schedule_id: str, reason: str = "", *, actor: str = "") -> str:
        """Create one task of a schedule now, beside its times and also while it is paused; its id.

        Raises:
            NotFoundError: There is no such schedule.
        """
        return self._do(_calls.trigger_schedule(self._namespace, schedule_id, reason, actor))

    def preview_schedule(
        self,
        schedule_id: str = "",
        when: When | None = None,
        *,
        count: int = 10,
        after: dt.datetime | None = None,
    ) -> Sequence[dt.datetime]:
        """When an existing schedule, or the rule `when`, would create tasks. Creates nothing.

        Args:
            schedule_id: The schedule; empty where `when` is given.
            when: A rule, instead of a schedule.
            count: How many instants, 1 to 100; fewer where the rule ends before.
            after: Only instants later than this; None means now.

        Raises:
            NotFoundError: There is no such schedule.
            InvalidArgumentError: The rule is wrong, or both or neither are given.
        """
        return self._do(_calls.preview_schedule(self._namespace, schedule_id, when, count, after))

    def delete_schedule(self, schedule_id: str, reason: str = "", *, actor: str = "") -> None:
        """Remove a schedule; its tasks stay.

        Raises:
            NotFoundError: There is no such schedule.
        """
        self._do(_calls.delete_schedule(self._namespace, schedule_id, reason, actor))
