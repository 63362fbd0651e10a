"""`python -m quarterdeck_server.demo.guard MARK`: ends what a demo started when the demo has gone.

The demo holds the other end of this process's standard input. However the demo ends, killed or not, that
end closes, and then no process with the demo's mark in its environment is left alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

from quarterdeck_server.pools import proctable

MARK = "QUARTERDECK_DEMO"
"""Environment variable by which everything that a demo started is found again."""

_PATIENCE = 15.0
_PAUSE = 0.05


def sweep(mark: str) -> None:
    """Ends every process with the mark: SIGTERM once to each, and SIGKILL when they take too long."""
    told: set[int] = set()
    end = time.monotonic() + _PATIENCE
    while left := proctable.with_variable(MARK, mark):
        late = time.monotonic() > end
        for pid in left:
            if late or pid not in told:
                told.add(pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(_PAUSE)


def main() -> None:
    """Waits for the end of standard input, then sweeps."""
    # In a session of its own nobody sends these by a terminal; it must outlive the demo.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    sweep(sys.argv[1])


if __name__ == "__main__":
    main()
