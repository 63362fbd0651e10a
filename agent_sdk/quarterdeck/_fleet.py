"""Methods of the blocking client about queues, agents, holds, namespaces and the audit log."""

# Generated from _async_fleet.py by `make client`: not to be edited.

from __future__ import annotations

from collections.abc import Iterator, Sequence

from quarterdeck import _calls, _operator_calls
from quarterdeck._limits import Arrivals, QueueLimits
from quarterdeck._methods import PAGE, Methods
from quarterdeck._models import AgentStatus, Hold, Queue, ServerInfo
from quarterdeck._operating import AuditEntry, HoldKind, Namespace, QuarantineRules, Retention
from quarterdeck._watch import Kind, Mode, Watch, watch_request


class FleetMethods(Methods):
    """What a client asks about the fleet."""

    def watch(
        self,
        kinds: Sequence[Kind] = (),
        *,
        filter: str = "",
        mode: Mode = "every_change",
        resume_token: str = "",
        skip_snapshot: bool = False,
    ) -> Watch:
        """Changes as they happen; reconnects by itself and misses none.

        Args:
            kinds: What to watch, such as `["task"]`; none means everything.
            filter: Needs exactly one kind.
            mode: `every_change` in order, or only the `latest` of each resource.
            resume_token: From an earlier watch: only what came after it.
            skip_snapshot: Leave out the current state.

        Raises:
            WatchTokenExpiredError: While iterating: watch again without a token.
        """
        return self._watch(
            watch_request(self._namespace, kinds, filter, mode, resume_token, skip_snapshot)
        )

    def queues(self, filter: str = "", *, page_size: int = PAGE) -> Iterator[Queue]:
        """Queues that match a filter, fetched as they are read.

        Args:
            filter: Such as `paused:yes`; empty for all. docs/filters.md has the grammar.
            page_size: How many are fetched at once, 1,000 at most.

        Raises:
            InvalidArgumentError: While iterating: the filter is wrong.
        """
        return self._pages(lambda token: _calls.queues(self._namespace, filter, page_size, token))

    def pause_queue(
        self, queue: str, reason: str = "", *, arrivals: Arrivals = "queue", actor: str = ""
    ) -> Queue:
        """Hand out nothing from a queue.

        Args:
            queue: Its name; one that was never used is created.
            reason: Why, for the audit log; while it is paused it stands in its `pause_note`.
            arrivals: What becomes of tasks that arrive meanwhile: they `queue`, or `drop`.
            actor: Who asks.
        """
        return self._do(
            _operator_calls.update_queue(
                self._namespace, queue, paused=True, arrivals=arrivals, reason=reason, actor=actor
            )
        )

    def resume_queue(self, queue: str, reason: str = "", *, actor: str = "") -> Queue:
        """Hand out tasks from a queue again."""
        return self._do(
            _operator_calls.update_queue(
                self._namespace, queue, paused=False, reason=reason, actor=actor
            )
        )

    def update_queue(
        self,
        queue: str,
        *,
        limits: QueueLimits | None = None,
        paused: bool | None = None,
        arrivals: Arrivals | None = None,
        update_mask: Sequence[str] = (),
        etag: str = "",
        reason: str = "",
        actor: str = "",
    ) -> Queue:
        """Change what may start from a queue, also while it is in use; what is None stays.

        Args:
            queue: Its name; one that was never used is created.
            limits: All of its limits; `QueueLimits()` removes them.
            paused: Whether nothing is handed out from it.
            arrivals: What becomes of tasks that arrive while it is paused: `queue` or `drop`.
            update_mask: Change these alone, such as `["limits.rate"]`, of `paused`,
                `paused_arrivals`, `limits` and its attributes; what is named and None is removed.
            etag: That of the queue that was seen; empty for whatever it is now.
            reason: Why, for the audit log.
            actor: Who asks.

        Raises:
            ConflictError: What operators set of the queue is no longer what it was at `etag`.
        """
        return self._do(
            _operator_calls.update_queue(
                self._namespace,
                queue,
                paused=paused,
                limits=limits,
                arrivals=arrivals,
                update_mask=update_mask,
                etag=etag,
                reason=reason,
                actor=actor,
            )
        )

    def agents(self, filter: str = "", *, page_size: int = PAGE) -> Iterator[AgentStatus]:
        """Agents that match a filter, fetched as they are read, the newest first.

        Args:
            filter: Such as `state:active`; empty for all. docs/filters.md has the grammar.
            page_size: How many are fetched at once, 1,000 at most.

        Raises:
            InvalidArgumentError: While iterating: the filter is wrong.
        """
        return self._pages(lambda token: _calls.agents(self._namespace, filter, page_size, token))

    def drain_agent(self, agent_id: str, reason: str = "", *, actor: str = "") -> AgentStatus:
        """Tell an agent to finish what it has and to claim no more.

        Raises:
            NotFoundError: There is no such agent, or retention has removed it.
        """
        return self._do(_calls.drain_agent(self._namespace, agent_id, reason, actor))

    def freeze(self, reason: str = "", *, actor: str = "") -> Hold:
        """Stop all claiming in the namespace at once; what runs goes on.

        Returns:
            The freeze; of a namespace that was frozen before, the first one.
        """
        return self._do(_operator_calls.freeze(self._namespace, reason, actor))

    def thaw(self, reason: str = "", *, actor: str = "") -> bool:
        """End a freeze; False when the namespace was not frozen."""
        return self._do(_operator_calls.thaw(self._namespace, reason, actor))

    def put_hold(
        self,
        kind: HoldKind,
        subject: str,
        reason: str = "",
        *,
        arrivals: Arrivals = "queue",
        actor: str = "",
    ) -> Hold:
        """Pause a task name, or put an agent, or a version of one, in quarantine.

        Args:
            kind: `task_name`, `agent` or `agent_version`.
            subject: The task's name, the agent's id, or `name@version` of an agent's code,
                where the first `@` counts.
            reason: Why.
            arrivals: What becomes of tasks of the name that arrive meanwhile: `queue` or `drop`.
            actor: Who asks.
        """
        return self._do(
            _operator_calls.put_hold(self._namespace, kind, subject, reason, actor, arrivals)
        )

    def release_hold(
        self, kind: HoldKind, subject: str, reason: str = "", *, actor: str = ""
    ) -> Hold:
        """End a pause or a quarantine.

        Returns:
            What was held.

        Raises:
            HoldNotFoundError: It was not held.
        """
        return self._do(_operator_calls.release_hold(self._namespace, kind, subject, reason, actor))

    def holds(self, *, page_size: int = PAGE) -> Iterator[Hold]:
        """What is held: freezes, pauses of names, quarantines, fetched as it is read.

        Args:
            page_size: How many are fetched at once, 1,000 at most.
        """
        return self._pages(lambda token: _operator_calls.holds(self._namespace, page_size, token))

    def get_namespace(self) -> Namespace:
        """The settings of the client's namespace."""
        return self._do(_operator_calls.get_namespace(self._namespace))

    def update_namespace(
        self,
        *,
        retention: Retention | None = None,
        quarantine: QuarantineRules | None = None,
        update_mask: Sequence[str] = (),
        etag: str = "",
        reason: str = "",
        actor: str = "",
    ) -> Namespace:
        """Change the settings of the client's namespace; what is None stays.

        Args:
            retention: How long ended tasks are kept: all of it.
            quarantine: When something is put in quarantine: all of it.
            update_mask: Change these alone, such as `["retention.failed"]`, of `retention`,
                `quarantine` and their attributes.
            etag: That of the settings that were seen; empty for whatever they are now.
            reason: Why, for the audit log.
            actor: Who asks.

        Raises:
            ConflictError: The settings are no longer what they were at `etag`.
        """
        return self._do(
            _operator_calls.update_namespace(
                self._namespace,
                retention,
                quarantine,
                update_mask=update_mask,
                etag=etag,
                reason=reason,
                actor=actor,
            )
        )

    def audit(self, *, page_size: int = PAGE) -> Iterator[AuditEntry]:
        """What operators did, the newest first, fetched as it is read.

        Args:
            page_size: How many are fetched at once, 1,000 at most.
        """
        return self._pages(lambda token: _operator_calls.audit(self._namespace, page_size, token))

    def server_info(self) -> ServerInfo:
        """Version, capabilities and limits of the server."""
        return self._do(_calls.server_info())
