from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from ledger.edge_log import AccessLog, JsonLines, _Stderr, access


class Raw(io.RawIOBase):
    """What has left the process."""

    def __init__(self) -> None:
        self.arrived = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.arrived += bytes(data)  # type: ignore[call-overload]
        return len(bytes(data))  # type: ignore[call-overload]


@pytest.mark.parametrize("line_buffering", [True, False])
def test_each_line_leaves_at_once(line_buffering: bool) -> None:
    raw = Raw()
    stream = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", line_buffering=line_buffering)
    handler = _Stderr(stream)
    handler.setFormatter(JsonLines())
    logger = logging.Logger("x", logging.INFO)
    logger.addHandler(handler)
    for at in range(3):
        logger.info("once %d", at, extra={"fields": {"at": at}})
        assert [json.loads(line)["at"] for line in raw.arrived.splitlines()] == list(range(at + 1))
    AccessLog(logger, "").line("GET", "/x", 200, 12, 0.0012)
    last = json.loads(raw.arrived.splitlines()[-1])
    assert {**last, "t": ""} == {
        "t": "", "level": "info", "logger": "x", "event": "request", "method": "GET", "route": "/x", "status": 200,
        "bytes": 12, "ms": 1.2,
    }  # fmt: skip


def test_the_moment_of_a_line_is_its_own() -> None:
    for created in (0.0, 1.5, 1_790_000_000.0, 1_790_000_000.999, 1_790_000_001.25, 1_790_000_000.007):
        record = logging.makeLogRecord({"created": created})
        said = datetime.fromisoformat(json.loads(JsonLines().format(record))["t"])
        assert abs(said - datetime.fromtimestamp(created, UTC)).total_seconds() < 0.0011


def test_a_program_logs_lines_to_stderr_before_it_ends() -> None:
    program = (
        "import os, logging; from ledger.edge_log import start_logging; start_logging(); start_logging(); "
        "logging.getLogger('a').info('here'); os._exit(0)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    (line,) = run.stderr.splitlines()
    assert json.loads(line)["event"] == "here" and run.stdout == b""


def test_nothing_is_made_for_a_log_that_is_off() -> None:
    level = access.level
    try:
        for chosen in (logging.INFO, logging.WARNING):
            access.setLevel(chosen)
            assert AccessLog(access, "").enabled == (chosen == logging.INFO)
    finally:
        access.setLevel(level)
