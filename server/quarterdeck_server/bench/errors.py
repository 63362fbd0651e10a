"""What can go wrong with a measurement."""

from __future__ import annotations


class BenchError(Exception):
    """A scenario cannot be measured here; the message says why and what to do."""
