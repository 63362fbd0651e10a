"""Handlers that stand still, and the time of attempts, which stands still with them."""

from __future__ import annotations

import time
from collections.abc import Callable

from quarterdeck._control import Control
from quarterdeck._lease import Cause, Lease


class Pauses:
    """Has handlers stand still and go on. Lives on the control thread, but for `standing`.

    Args:
        control: The control thread.
        interrupt: Stops a lease's handler for a cause, with a reason.
        hurry: Has the server hear of what is new.
    """

    def __init__(
        self,
        control: Control,
        interrupt: Callable[[Lease, Cause, str], None],
        hurry: Callable[[], None],
    ) -> None:
        self._control = control
        self._interrupt = interrupt
        self._hurry = hurry

    def time(self, lease: Lease, seconds: float) -> None:
        """Interrupt the handler after so many seconds."""
        lease.timer = self._control.loop.call_later(
            seconds, self._interrupt, lease, Cause.TIMEOUT, "the attempt's time is over"
        )

    def hold(self, lease: Lease, hold: bool) -> None:
        """Have a handler stand still at its next chance, or go on."""
        if hold:
            lease.pause.set()
        else:
            # Before it goes on: the handler finds its new deadline.
            self._move_limit(lease)
            lease.pause.clear()
        if lease.hold_child is not None:
            lease.hold_child(hold)

    def standing(self, lease: Lease) -> None:
        """A handler begins to stand still. For any thread."""
        self._control.soon(self._stand, lease)

    def _stand(self, lease: Lease) -> None:
        pause = lease.pause
        if pause.since or lease.finished or not pause.is_set():
            return
        pause.since = time.monotonic()
        if lease.timer is not None:
            pause.left = lease.timer.when() - self._control.loop.time()
            lease.timer.cancel()
        self._hurry()

    def _move_limit(self, lease: Lease) -> None:
        pause = lease.pause
        if not pause.since:
            return
        lease.move_deadline(time.monotonic() - pause.since)
        if pause.left is not None:
            self.time(lease, pause.left)
            pause.left = None
