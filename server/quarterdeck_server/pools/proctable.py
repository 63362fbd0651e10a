"""Processes of this machine by their identity: a process id alone is soon another process's.

From `/proc` where it exists (proc_pid_stat(5)), otherwise from `ps`.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


class Seen(NamedTuple):
    """A process that is in the table."""

    start: int
    """When it started, in units of the platform. With its id, its identity until a reboot."""
    ended: bool
    """It has ended and waits for its parent to take note."""
    session: int | None
    """The id of its session's leader, where the platform tells."""


def look(pid: int) -> Seen | None:
    """The process with an id; None when there is none."""
    return _from_proc(pid) if has_proc() else _from_ps(pid)


def has_proc() -> bool:
    """Whether this platform has a `/proc` like Linux's."""
    return (_PROC / "self" / "stat").exists()


def with_variable(name: str, value: str) -> list[int]:
    """The processes of this user that were started with an environment variable.

    Returns:
        Their ids, leaders of sessions first; nothing on a platform without `/proc`.
    """
    entry = f"{name}={value}".encode()
    found: list[tuple[bool, int]] = []
    for folder in _PROC.glob("[0-9]*"):
        try:
            environ = (folder / "environ").read_bytes()
        except OSError:
            continue  # ended meanwhile, or another user's
        if entry in environ.split(b"\0"):
            pid = int(folder.name)
            seen = look(pid)
            if seen is not None and not seen.ended:
                found.append((seen.session != pid, pid))
    return [pid for _, pid in sorted(found)]


def _from_proc(pid: int) -> Seen | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name, field 2, is in parentheses and may itself contain spaces and parentheses.
    fields = stat[stat.rindex(b")") + 1 :].split()
    return Seen(int(fields[22 - 3]), fields[0] in b"ZX", int(fields[6 - 3]))


def _from_ps(pid: int) -> Seen | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    environ = {"LC_ALL": "C", "PATH": os.defpath}
    answer = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    state, _, start = answer.stdout.strip().partition(" ")
    if not start:
        return None
    seconds = time.mktime(time.strptime(start.strip(), "%a %b %d %H:%M:%S %Y"))
    return Seen(int(seconds), state.startswith("Z"), None)
