from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# The same examples on every machine, so that red means a change; HYPOTHESIS_PROFILE=explore
# goes looking for what they missed.
settings.register_profile(
    "steady",
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "explore",
    max_examples=3000,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# Where a whole suite runs a thousand times (scripts/mutation.py).
settings.register_profile("quick", settings.get_profile("steady"), max_examples=10)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
