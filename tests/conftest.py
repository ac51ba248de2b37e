"""What holds for every test: a property never fails because a machine is slow, nor by the luck of one run.

Every run tries the same examples, also where a test has settings of its own. `--hypothesis-profile=searching` tries new
ones.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", _PATIENT, derandomize=True, database=None)
settings.register_profile("searching", _PATIENT)
settings.load_profile("repeatable")
