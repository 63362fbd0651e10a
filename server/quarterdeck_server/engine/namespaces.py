"""Settings of one tenant: how long it keeps what has ended, and when it puts something in quarantine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from quarterdeck_server.engine.states import CANCELLED, EXPIRED, FAILED, SUCCEEDED


class Retention(NamedTuple):
    """How long tasks are kept after their end, in microseconds, by how they ended; None means the server's setting."""

    succeeded: int | None = None
    failed: int | None = None
    cancelled: int | None = None
    expired: int | None = None


class QuarantineRules(NamedTuple):
    """After how many failed or lost attempts in a row something is held; 0 means never."""

    task_name: int = 0
    agent: int = 0
    agent_version: int = 0


class NamespaceSettings(NamedTuple):
    """What an operator has set; the rest is as the server has it."""

    retention: Retention = Retention()
    quarantine: QuarantineRules = QuarantineRules()


NO_SETTINGS = NamespaceSettings()
NO_RULES = QuarantineRules()

ENDED_STATES = (SUCCEEDED, FAILED, CANCELLED, EXPIRED)
"""In the order of the fields of Retention."""


def settings_text(settings: NamespaceSettings) -> str:
    """Encode for the table."""
    return json.dumps(settings, separators=(",", ":"))


@lru_cache(maxsize=1024)
def settings_of(text: str) -> NamespaceSettings:
    """Decode what `settings_text` made."""
    retention, quarantine = json.loads(text)
    return NamespaceSettings(Retention(*retention), QuarantineRules(*quarantine))


def quarantine_rules(namespaces: Mapping[str, NamespaceSettings]) -> dict[str, QuarantineRules]:
    """Return the rules of the namespaces that have some."""
    return {
        name: settings.quarantine
        for name, settings in namespaces.items()
        if settings.quarantine != NO_RULES
    }


class Due(NamedTuple):
    """Tasks of one namespace that ended in a state before an instant need not be kept."""

    namespace: str
    state: int
    before: int


def due(
    namespace: str, retention: Retention, ended_before: int, failed_before: int, now: int
) -> list[Due]:
    """Return what a namespace need not keep.

    Args:
        namespace: Its name.
        retention: What it has set itself.
        ended_before: The server's own instant, for what did not fail.
        failed_before: The same for what failed.
        now: The spans of `retention` end here.
    """
    found = []
    for state, span in zip(ENDED_STATES, retention, strict=True):
        own = failed_before if state == FAILED else ended_before
        found.append(Due(namespace, state, own if span is None else now - span))
    return found
