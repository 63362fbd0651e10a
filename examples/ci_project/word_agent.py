"""An agent with its tests: `pip install 'quarterdeck[server]' pytest`, then `pytest`."""

from __future__ import annotations

from collections import Counter

import quarterdeck

agent = quarterdeck.Agent("words")


@agent.task
def count_words(run: quarterdeck.Run, text: str) -> dict[str, int]:
    """How often each word occurs."""
    words = Counter(text.lower().split())
    run.log.info("%d words, %d different", words.total(), len(words))
    return dict(words)
