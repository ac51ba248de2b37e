"""300 random histories of the whole life of certificates agree with the slow twin; `scripts/histories` runs more."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

from tests.support.histories import History

TestHistories = History.TestCase
TestHistories.settings = settings(
    max_examples=300,
    stateful_step_count=7,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.reuse, Phase.generate, Phase.shrink),
)
