"""What holds for every test: a property never fails because a machine is slow, nor by the luck of one run.

Every run tries the same examples, also where a test has settings of its own. `--hypothesis-profile=searching` tries new
ones.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", _PATIENT, derandomize=True, database=None)
settings.register_profile("searching", _PATIENT)
settings.load_profile("repeatable")

# Files that take long, about the longest first; then all other flows. One of them taken last keeps everybody waiting.
_TESTS = Path(__file__).parent
_LONG = (
    "flows/test_sequencers.py",
    "flows/test_histories.py",
    "flows/test_demo.py",
    "flows/test_scans.py",
    "flows/test_kill_witness.py",
    "verifier/witness/test_web.py",
    "flows/test_holders_browser.py",
    "flows/test_faults.py",
    "flows/test_failover.py",
    "ledger/service/test_run.py",
    "flows/test_eligibility_browser.py",
    "flows/test_go_reads_ledger.py",
    "ledger/service/test_web.py",
    "flows/test_life.py",
    "verifier/web/test_scanner.py",
    "interop/test_go.py",
    "verifier/web/test_browser.py",
)


def _place(item: pytest.Item) -> tuple[int, bool]:
    name = item.path.relative_to(_TESTS).as_posix()
    return _LONG.index(name) if name in _LONG else len(_LONG), not name.startswith("flows/")


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """What a test switches off for all that come after it in this process it switches on again."""
    if logging.root.manager.disable:
        logging.disable(logging.NOTSET)
        pytest.fail(f"{item.nodeid} left logging switched off")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of one file stay together, in their order."""
    items.sort(key=_place)
