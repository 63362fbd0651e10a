"""The operator's own keys: a TOML file of action ids."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from quarterdeck_console.actions import BY_ID


class KeymapError(ValueError):
    """The file cannot be used; its text says why."""


def default_path() -> Path:
    """`quarterdeck/keymap.toml` in the user's configuration directory."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "quarterdeck" / "keymap.toml"


def load(path: Path) -> dict[str, str]:
    """Reads keys by action id, such as `"task.cancel" = "ctrl+x"`; a missing file is an empty one.

    Raises:
        KeymapError: The file cannot be read, an id is unknown, or a key is not a text.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise KeymapError(f"keymap: {error}") from error
    table = data.get("keys", data)
    if not isinstance(table, dict):
        raise KeymapError("keymap: expected a table of action ids")
    keymap: dict[str, str] = {}
    for action_id, keys in table.items():
        if action_id not in BY_ID:
            raise KeymapError(f"keymap: no action {action_id!r}; the ids stand in the palette")
        if not isinstance(keys, str) or not keys.strip():
            raise KeymapError(f"keymap: {action_id}: expected keys such as 'ctrl+x', got {keys!r}")
        # Textual fails on blanks between keys.
        keymap[action_id] = ",".join(key.strip() for key in keys.split(","))
    return keymap
