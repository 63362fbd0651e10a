"""Starts the console with the operator's own keys."""

from __future__ import annotations

from quarterdeck_console import keymap
from quarterdeck_console.app import ConsoleApp


def start(address: str, namespace: str = "default") -> None:
    """Runs the console until the operator leaves.

    Args:
        address: `host:port` of the server; it need not be there yet.
        namespace: The tenant that is shown.

    Raises:
        keymap.KeymapError: The operator's keymap file is wrong.
    """
    ConsoleApp(address, keymap.load(keymap.default_path()), namespace).run()
