"""Lanes: whose task it is, and which agents may have it.

Ready tasks of one queue, one name and one lane are alike to whoever hands out: one of them may be given exactly when
all may, and they stand in one index in order. Most tasks have no lane.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import NamedTuple


class LaneKey(NamedTuple):
    """What a lane stands for."""

    group_key: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    """What the agent must have, sorted."""
    agent_id: str | None = None
    """The only agent that may have it."""

    @property
    def open(self) -> bool:
        """Any agent that handles the name may have it."""
        return not self.labels and self.agent_id is None


NO_LANE = LaneKey()


def lane_text(key: LaneKey) -> str | None:
    """Encode for the task row; None when there is nothing to say."""
    if key == NO_LANE:
        return None
    return json.dumps(key, separators=(",", ":"), ensure_ascii=False)


@lru_cache(maxsize=65_536)
def _parse(text: str) -> LaneKey:
    group_key, labels, agent_id = json.loads(text)
    return LaneKey(group_key, tuple((name, value) for name, value in labels), agent_id)


def lane_of(text: str | None) -> LaneKey:
    """Decode what `lane_text` made."""
    return NO_LANE if text is None else _parse(text)
