from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from quarterdeck_server.pools import proctable
from quarterdeck_server.pools.launcher import LaunchError, Order
from quarterdeck_server.pools.output import KEPT_BYTES, Output, open_pipe
from quarterdeck_server.pools.process import ProcessHandle, ProcessLauncher, inherited

if TYPE_CHECKING:
    from tests.pools.conftest import Mailbox

needs_proc = pytest.mark.skipif(not proctable.has_proc(), reason="needs /proc")

# Their own in each process of the tests: whoever looks for an instance that has ended kills, on the whole
# machine, what carries its id.
INSTANCE = f"inst_{uuid.uuid4().hex}"
ORPHAN = f"inst_{uuid.uuid4().hex}"

TELL = "import sys, time, os, signal\ntell = lambda text: open(sys.argv[1], 'w').write(text)\n"


@pytest.fixture(params=["pidfd", "poll"])
def launcher(request: pytest.FixtureRequest) -> ProcessLauncher:
    return ProcessLauncher(os.environ, use_pidfd=request.param == "pidfd")


def order(
    code: str, *args: object, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Order:
    argv = (sys.executable, "-c", TELL + code, *map(str, args))
    return Order(INSTANCE, argv, env or {}, cwd)


def open_descriptors() -> int:
    """How many this process has; /dev/fd exists on every Unix."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


def pid_of(handle: ProcessHandle) -> int:
    assert handle.pid is not None
    return handle.pid


async def test_end_tells_exit_code_and_output(launcher: ProcessLauncher) -> None:
    handle = await launcher.start(order("print('out'); print('err', file=sys.stderr); exit(3)"))
    ended = await handle.wait()
    assert ended.how == "exit 3"
    assert set(ended.output.split()) == {"out", "err"}
    assert proctable.look(pid_of(handle)) is None


async def test_end_by_signal_is_told(launcher: ProcessLauncher) -> None:
    handle = await launcher.start(order("os.kill(os.getpid(), signal.SIGSEGV)"))
    assert (await handle.wait()).how == "killed by signal 11"


async def test_stop_lets_the_process_end_by_itself(
    launcher: ProcessLauncher, mailbox: Mailbox
) -> None:
    code = "signal.signal(15, lambda *_: exit(7)); tell('up'); time.sleep(99)"
    handle = await launcher.start(order(code, mailbox.path))
    assert await mailbox.read() == "up"
    handle.stop()
    assert (await handle.wait()).how == "exit 7"


async def test_kill_ends_one_that_ignores_stop(launcher: ProcessLauncher, mailbox: Mailbox) -> None:
    code = "signal.signal(15, signal.SIG_IGN); tell('up'); time.sleep(99)"
    handle = await launcher.start(order(code, mailbox.path))
    await mailbox.read()
    handle.stop()
    handle.kill()
    assert (await handle.wait()).how == "killed by signal 9"


async def test_nothing_of_the_group_outlives_its_leader(
    launcher: ProcessLauncher, mailbox: Mailbox
) -> None:
    code = "import subprocess\np = subprocess.Popen(['sleep', '99']); tell(str(p.pid))"
    handle = await launcher.start(order(code, mailbox.path))
    grandchild = int(await mailbox.read())
    await handle.wait()
    await gone(grandchild)


async def gone(pid: int) -> None:
    """Wait until a process that is nobody's child here has ended."""
    while (seen := proctable.look(pid)) is not None and not seen.ended:
        await asyncio.to_thread(os.sched_yield)


async def test_signals_after_the_end_hit_nobody(launcher: ProcessLauncher) -> None:
    handle = await launcher.start(order(""))
    ended = await handle.wait()
    handle.stop()
    handle.kill()
    assert await handle.wait() is ended


async def test_cancelled_wait_loses_nothing(launcher: ProcessLauncher, mailbox: Mailbox) -> None:
    handle = await launcher.start(order("tell('up'); time.sleep(99)", mailbox.path))
    await mailbox.read()
    waiting = asyncio.create_task(handle.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    handle.kill()
    assert (await handle.wait()).how == "killed by signal 9"


async def test_only_listed_variables_are_inherited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("SOME_API_KEY", "secret")
    launcher = ProcessLauncher(os.environ)
    code = "import json; print(json.dumps([dict(os.environ), os.getcwd(), sys.stdin.read()]))"
    handle = await launcher.start(order(code, env={"A": "1"}, cwd=tmp_path))
    environ, cwd, stdin = json.loads((await handle.wait()).output)
    assert environ["QUARTERDECK_INSTANCE_ID"] == INSTANCE
    assert (environ["A"], environ["LC_TIME"], stdin) == ("1", "C", "")
    assert "SOME_API_KEY" not in environ
    assert Path(cwd) == tmp_path
    assert inherited({"PATH": "p", "PATHX": "x", "LC_ALL": "C"}) == {"PATH": "p", "LC_ALL": "C"}


async def test_process_is_the_leader_of_its_own_session(launcher: ProcessLauncher) -> None:
    handle = await launcher.start(order("print(os.getsid(0) == os.getpgid(0) == os.getpid())"))
    assert (await handle.wait()).output == "True\n"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Order("i", ("/nonexistent/agent",)), "No such file"),
        (Order("i", ("/",)), "Permission denied"),
        (Order("i", (sys.executable,), cwd=Path("/nonexistent")), "/nonexistent"),
        (Order("i", ("a\0b",)), "null byte"),
    ],
)
async def test_what_cannot_be_started_says_why(bad: Order, message: str) -> None:
    before = open_descriptors()
    with pytest.raises(LaunchError, match=message):
        await ProcessLauncher(os.environ).start(bad)
    assert open_descriptors() == before


async def test_only_the_end_of_much_output_is_kept(launcher: ProcessLauncher) -> None:
    handle = await launcher.start(order("for i in range(40000): print('line', i)"))
    output = (await handle.wait()).output
    assert len(output) <= KEPT_BYTES
    assert output.endswith("line 39999\n")
    assert output.startswith("line ")


async def test_runaway_writer_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = open_pipe()
    os.set_blocking(write_end, False)
    paused = asyncio.Event()
    go_on: list[Callable[[], None]] = []

    def call_later(seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        assert seconds == 1
        go_on.append(callback)
        paused.set()
        return asyncio.TimerHandle(0, callback, (), loop)

    loop = asyncio.get_running_loop()
    output = Output(read_end, lambda line: None)
    monkeypatch.setattr(loop, "call_later", call_later)
    taken = 0
    for _ in range(2):
        while not paused.is_set():
            with contextlib.suppress(BlockingIOError):
                taken += os.write(write_end, b"x" * 65536)
            await asyncio.sleep(0)
        paused.clear()
        go_on.pop()()
    assert 2**21 <= taken <= 2**21 + 4 * 65536
    os.close(write_end)
    output.close()


async def test_runaway_writer_can_be_killed(mailbox: Mailbox) -> None:
    code = "tell('up')\nwhile True: os.write(1, b'x' * 65536)"
    handle = await ProcessLauncher(os.environ).start(order(code, mailbox.path))
    await mailbox.read()
    handle.kill()
    ended = await handle.wait()
    assert ended.how == "killed by signal 9"
    assert len(ended.output) <= KEPT_BYTES


async def test_hostile_output_is_logged_line_by_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="quarterdeck_server")
    code = r"os.write(1, b'a\n\x1b]52;c;x\x07\xff' + b'y' * 100000 + b'\nend')"
    await (await ProcessLauncher(os.environ).start(order(code))).wait()
    lines = [record.__dict__["fields"]["line"] for record in caplog.records]
    assert lines[0] == "a"
    assert lines[1].startswith("\x1b]52;c;x\x07�yy")
    assert len(lines[1]) <= 4096
    assert lines[2] == "end"


async def test_no_descriptor_is_left(launcher: ProcessLauncher) -> None:
    await (await launcher.start(order(""))).wait()
    before = open_descriptors()
    for _ in range(5):
        await (await launcher.start(order(""))).wait()
    assert open_descriptors() == before


SERVER = """
import asyncio, os, sys, time
from quarterdeck_server.pools.launcher import Order
from quarterdeck_server.pools.process import ProcessLauncher
async def main():
    handle = await ProcessLauncher(os.environ).start(Order(sys.argv[1], tuple(sys.argv[2:])))
    print(handle.pid, handle.process_start, flush=True)
    time.sleep(99)
asyncio.run(main())
"""


def start_and_kill_a_server(*argv: object) -> tuple[int, int]:
    """A server starts a process and is killed. Returns the process's identity."""
    command = [sys.executable, "-c", SERVER, ORPHAN, *map(str, argv)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        pid, start = server.stdout.readline().split()
        server.kill()
    return int(pid), int(start)


@needs_proc
async def test_process_of_a_killed_server_prints_on_and_is_taken_over(
    launcher: ProcessLauncher, mailbox: Mailbox
) -> None:
    code = TELL + (
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})\n"
        "tell('up'); signal.sigwait({signal.SIGUSR1})\n"
        "print('still here', flush=True); tell('printed'); time.sleep(99)"
    )
    argv = (sys.executable, "-c", code, mailbox.path)
    pid, start = await asyncio.to_thread(start_and_kill_a_server, *argv)
    assert await mailbox.read() == "up"
    os.kill(pid, signal.SIGUSR1)
    assert await mailbox.read() == "printed"

    handle = await launcher.adopt(ORPHAN, pid, start)
    assert handle is not None
    assert (handle.pid, handle.process_start) == (pid, start)
    handle.stop()
    ended = await handle.wait()
    assert ended.how == "ended"
    assert ended.output == "still here\n"
    await gone(pid)


@needs_proc
async def test_process_whose_id_was_never_written_down_is_found(
    launcher: ProcessLauncher,
) -> None:
    pid, start = await asyncio.to_thread(start_and_kill_a_server, "sleep", "99")
    handle = await launcher.adopt(ORPHAN, None, None)
    assert handle is not None
    assert (handle.pid, handle.process_start) == (pid, start)
    handle.kill()
    await handle.wait()
    assert await launcher.adopt(ORPHAN, None, None) is None


@needs_proc
async def test_process_with_the_same_id_but_another_start_is_left_alone(
    launcher: ProcessLauncher,
) -> None:
    stranger = await asyncio.create_subprocess_exec("sleep", "99")
    seen = proctable.look(stranger.pid)
    assert seen is not None
    assert await launcher.adopt(INSTANCE, stranger.pid, seen.start + 1) is None
    still = proctable.look(stranger.pid)
    stranger.kill()
    await stranger.wait()
    assert still == seen


@needs_proc
async def test_rest_of_an_instance_whose_leader_ended_is_killed(mailbox: Mailbox) -> None:
    code = TELL + (
        "import subprocess\np = subprocess.Popen(['sleep', '99'], start_new_session=True)\n"
        "tell(str(p.pid))"
    )
    pid, start = await asyncio.to_thread(
        start_and_kill_a_server, sys.executable, "-c", code, mailbox.path
    )
    rest = int(await mailbox.read())
    await gone(pid)
    assert await ProcessLauncher(os.environ).adopt(ORPHAN, pid, start) is None
    await gone(rest)


def test_works_on_uvloop(tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        launcher = ProcessLauncher(os.environ)
        handles = [await launcher.start(order(f"print({i}); exit({i})")) for i in range(5)]
        ends = [await handle.wait() for handle in handles]
        assert [end.how for end in ends] == [f"exit {i}" for i in range(5)]
        assert [end.output for end in ends] == [f"{i}\n" for i in range(5)]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_name_with_spaces_and_parentheses_does_not_confuse_the_table(tmp_path: Path) -> None:
    program = tmp_path / "a) S 1 (b"
    shutil.copy(shutil.which("sleep") or "", program)
    with subprocess.Popen([program, "99"], start_new_session=True) as process:
        seen = proctable.look(process.pid)
        process.kill()
    assert seen is not None
    assert not seen.ended
    assert seen.session in (process.pid, None)


@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps")
def test_platforms_without_proc_ask_ps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proctable, "has_proc", lambda: False)
    process = subprocess.Popen(["sleep", "99"])
    first, second = proctable.look(process.pid), proctable.look(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    dead = proctable.look(process.pid)
    process.wait()
    assert first is not None
    assert first == second
    assert not first.ended
    assert dead is not None
    assert dead.ended
    assert proctable.look(process.pid) is None
