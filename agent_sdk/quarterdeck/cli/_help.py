"""What the help of a command ends with."""

from __future__ import annotations


def example(line: str) -> str:
    """A line that can be typed as it stands, as the end of a command's help.

    Args:
        line: What comes after `quarterdeck`.
    """
    # click wraps what does not begin so.
    return f"\b\nExample:\n  quarterdeck {line}"
