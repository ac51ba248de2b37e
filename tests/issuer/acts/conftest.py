"""A desk with five logged certificates beside an in-memory log."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.issuer_acts import ActSetting, act_setting


@pytest.fixture
def setting(tmp_path: Path) -> ActSetting:
    return asyncio.run(act_setting(tmp_path))
