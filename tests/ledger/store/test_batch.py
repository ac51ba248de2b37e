"""A batch stands on one head; its parts, fold and rows are compared with slow twins in test_integrate.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.records.status import authenticate_record
from tests.support.build_log import LogBuilder


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    made = await LogBuilder.create(tmp_path / "log.db")
    yield made
    await made.store.close()


async def test_an_empty_batch_is_a_bug(log: LogBuilder) -> None:
    with pytest.raises(AssertionError, match="no seal"):
        await (await log.integrator.begin([], log.time + 1)).finish()


async def test_a_batch_of_a_log_that_has_gone_on_is_a_bug(log: LogBuilder) -> None:
    late = log.certificate("late")
    batch = await log.integrator.begin([late.statement], log.time + 5000)
    batch.add(authenticate_record(late.statement, log.record_key.public))
    await log.issue(log.certificate("meanwhile"))
    head = log.integrator.head
    with pytest.raises(AssertionError, match="begun on"):
        await batch.finish()
    assert log.integrator.head is head and await log.store.head() == head
