"""Filter terms that the console itself writes; the grammar stands in docs/filters.md."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[A-Za-z0-9_./@+-]+")


def term(field: str, value: str) -> str:
    """The term for exactly this value, quoted where the grammar would read more into it."""
    if _PLAIN.fullmatch(value):
        return f"{field}:{value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{field}:"{escaped}"'
