"""What all tests share: the same examples in every run, so that a run that passes passes again.

`HYPOTHESIS_PROFILE=nightly` looks for new ones; `mutation` is for many short runs, of which one is to fail.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("default", derandomize=True, deadline=None)
settings.register_profile("nightly", max_examples=2_000, stateful_step_count=50, deadline=None)
settings.register_profile("mutation", max_examples=30, derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
