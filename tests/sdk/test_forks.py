"""Clients in processes that were forked, as servers for the web and pools of workers do."""

from __future__ import annotations

import subprocess
import sys

from quarterdeck.testing import Server

FORK = """
import os, signal, sys, quarterdeck
client = quarterdeck.Client(sys.argv[1])
{before}
pid = os.fork()
if not pid:
    signal.alarm(20)
    try:
        print(client.submit("x"), flush=True)
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def fork(server: Server, before: str) -> str:
    """What the forked process says."""
    run = subprocess.run(
        [sys.executable, "-c", FORK.format(before=before), server.address],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_client_that_was_made_before_a_fork_works_after_it(quarterdeck_server: Server) -> None:
    assert fork(quarterdeck_server, "").startswith("task_")
    assert quarterdeck_server.client.count() == {"ready": 1}


def test_client_that_was_used_before_a_fork_says_so_instead_of_hanging(
    quarterdeck_server: Server,
) -> None:
    said = fork(quarterdeck_server, "client.server_info()")
    assert "used before this process was forked" in said
