"""The command line: `quarterdeck`.

Start-up is part of its interface: shells run it for every completion. Nothing here imports grpc or
protobuf before a command needs them.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Runs the command line of this process and exits; the exit codes are in docs/cli.md."""
    from quarterdeck.cli._root import root

    root(prog_name="quarterdeck")
