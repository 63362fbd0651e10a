"""How long the state machines run: in CI, and with HYPOTHESIS_PROFILE=nightly, for long."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

_PHASES = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]

_COMMON = settings(deadline=None, suppress_health_check=_QUIET, phases=_PHASES)

_PROFILE = os.environ.get("HYPOTHESIS_PROFILE")

if _PROFILE == "mutation":
    SETTINGS = settings(
        _COMMON, max_examples=20, stateful_step_count=30, phases=[Phase.explicit, Phase.generate]
    )
elif _PROFILE == "nightly" or os.environ.get("CI"):
    SETTINGS = settings(_COMMON, max_examples=2000, stateful_step_count=50)
else:
    SETTINGS = settings(_COMMON, max_examples=200, stateful_step_count=40)
