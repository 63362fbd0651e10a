"""What an instance writes: read with bounded memory and at a bounded rate, its end kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

KEPT_BYTES = 64 * 1024
_LONGEST_LINE = 4096
_CHUNK = 64 * 1024
_BYTES_PER_SECOND = 1024 * 1024


def open_pipe() -> tuple[int, int]:
    """A pipe for an instance's output: our end to read, and its end to write.

    On Linux the end to write is opened for reading too, so that the pipe has a reader as long as
    the instance lives: when the server is killed, the instance is not, by its next print. It
    waits once the pipe is full, until a new server reads on with `reopen`.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    with contextlib.suppress(OSError):
        both = os.open(f"/proc/self/fd/{write_end}", os.O_RDWR | os.O_CLOEXEC)
        os.close(write_end)
        write_end = both
    return read_end, write_end


def reopen(pid: int) -> int | None:
    """Our end of the pipe that a running process writes to; None where that is not possible."""
    path = Path(f"/proc/{pid}/fd/1")
    try:
        if not stat.S_ISFIFO(path.stat().st_mode):
            return None
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


class Output:
    """Reads a pipe on the running event loop, and keeps the last `KEPT_BYTES`.

    Args:
        fd: The end to read, not blocking; owned and closed by this object.
        on_line: Told every line, without its end, cut at 4096 bytes.
    """

    def __init__(self, fd: int, on_line: Callable[[str], None]) -> None:
        self._fd: int | None = fd
        self._on_line = on_line
        self._kept = bytearray()
        self._line = bytearray()
        self._allowance = _BYTES_PER_SECOND
        self._resume: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._on_readable)

    @property
    def text(self) -> str:
        """The last that was written, from the start of a line where it was cut."""
        return self._kept.decode(errors="replace")

    def close(self) -> None:
        """Take what is still in the pipe, up to what is kept, and stop reading."""
        if self._fd is None:
            return
        for _ in range(KEPT_BYTES // _CHUNK + 1):
            if not self._read():
                break
        self._release()

    def _on_readable(self) -> None:
        if not self._read():
            self._release()
        elif self._allowance <= 0 and self._fd is not None:
            # A runaway writer waits in its own write; the server has more to do than to read it.
            self._loop.remove_reader(self._fd)
            self._resume = self._loop.call_later(1.0, self._go_on)

    def _go_on(self) -> None:
        self._allowance = _BYTES_PER_SECOND
        if self._fd is not None:
            self._loop.add_reader(self._fd, self._on_readable)

    def _read(self) -> bool:
        if self._fd is None:
            return False
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._allowance -= len(data)
        self._keep(data)
        return bool(data)

    def _keep(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > KEPT_BYTES:
            del self._kept[:-KEPT_BYTES]
            del self._kept[: self._kept.find(b"\n") + 1]
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._extend_line(line)
            self._flush_line()
        self._extend_line(rest)

    def _extend_line(self, data: bytes) -> None:
        self._line += data[: _LONGEST_LINE - len(self._line)]

    def _flush_line(self) -> None:
        self._on_line(self._line.decode(errors="replace"))
        self._line.clear()

    def _release(self) -> None:
        if self._resume is not None:
            self._resume.cancel()
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None
        if self._line:
            self._flush_line()
