"""Progress on a terminal, in a log, and when nobody looks."""

from __future__ import annotations

import io
import os
import termios

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger import progress
from ledger.progress import Progress, display_width
from ledger.text import Text

LABEL = Text("签发证书", "Issuing certificates")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Counted(Terminal):
    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch):
    def set_columns(count: int) -> None:
        monkeypatch.setattr(progress, "_columns", lambda _: count)

    set_columns(100)
    return set_columns


def screen(written: str) -> list[str]:
    """What a terminal shows: each line overwritten from its start at every carriage return."""
    shown = []
    for line in written.split("\n"):
        cells: list[str] = []
        for drawn in line.split("\r"):
            new = [cell for c in drawn for cell in ([c] if display_width(c) == 1 else [c, ""])]
            cells = new + cells[len(new) :]
        shown.append("".join(cells).rstrip())
    return shown


def test_a_bar_shows_count_share_rate_and_time_left(columns) -> None:
    clock, stream = Clock(), Terminal()
    with Progress(200, LABEL, stream, clock) as bar:
        for _ in range(50):
            clock.now_s += 0.1
            bar.advance()
        (line,) = screen(stream.getvalue())
        assert line == (
            "签发证书 / Issuing certificates  [######..................]  50/200  25%  10/s  剩余 / left 0:15"
        )
        clock.now_s += 5
        bar.advance(150)
    assert screen(stream.getvalue())[0].startswith(
        "签发证书 / Issuing certificates  [########################]  200/200  100%"
    )
    assert "left" not in screen(stream.getvalue())[0]
    assert stream.getvalue().endswith("\n") and stream.getvalue().count("\n") == 1


def test_a_shorter_drawing_leaves_nothing_of_the_longer_one(columns) -> None:
    clock, stream = Clock(), Terminal()
    with Progress(10, LABEL, stream, clock) as bar:
        clock.now_s += 1
        bar.advance(5)
        assert screen(stream.getvalue())[0].endswith("left 0:01")
        clock.now_s += 1
        bar.advance(5)
        assert screen(stream.getvalue())[0].endswith("10/10  100%  5.0/s")


def test_it_draws_ten_times_a_second_at_most(columns) -> None:
    clock, stream = Clock(), Counted()
    with Progress(100_000, LABEL, stream, clock) as bar:
        for _ in range(100_000):
            clock.now_s += 0.000_1
            bar.advance()
    assert 95 <= stream.writes <= 105


@settings(max_examples=300, deadline=None)
@example(19, 2, 1, 1.0)
@given(st.integers(1, 200), st.none() | st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 10**6))
def test_a_line_never_reaches_the_last_column(count: int, total: int | None, units: int, seconds: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "_columns", lambda _: count)
        clock, stream = Clock(), Terminal()
        with Progress(total, LABEL, stream, clock) as bar:
            clock.now_s += seconds
            bar.advance(units)
        for drawn in stream.getvalue().replace("\n", "\r").split("\r"):
            assert display_width(drawn.rstrip(" ")) <= max(count - 1, 0)


def test_in_a_log_there_is_a_plain_line_now_and_then() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(3_000, LABEL, stream, clock) as bar:
        for _ in range(250):
            clock.now_s += 0.1
            bar.advance(10)
    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[1:3] for line in lines] == [
        ["1000/3000", "33%"],
        ["2000/3000", "66%"],
        ["2500/3000", "83%"],
    ]
    assert all(line.startswith("签发证书 / Issuing certificates  ") for line in lines)
    assert "\r" not in stream.getvalue() and "[" not in stream.getvalue()
    assert lines[1].endswith("100/s  剩余 / left 0:10")


def test_quiet_is_silent(columns) -> None:
    for stream in (io.StringIO(), Terminal()):
        clock = Clock()
        with Progress(10, LABEL, stream, clock, quiet=True) as bar:
            clock.now_s += 100
            bar.advance(10)
        assert stream.getvalue() == "" and bar.done == 10


def test_what_an_earlier_run_did_counts_but_not_for_the_rate(columns) -> None:
    clock, stream = Clock(), Terminal()
    with Progress(1_000, LABEL, stream, clock, done=900) as bar:
        clock.now_s += 2
        bar.advance(50)
        assert "950/1000  95%  25/s  剩余 / left 0:02" in screen(stream.getvalue())[0]


def test_the_rate_is_that_of_the_last_seconds(columns) -> None:
    clock, stream = Clock(), Terminal()
    with Progress(None, LABEL, stream, clock) as bar:
        for units in [100] * 60 + [1] * 60:
            clock.now_s += 1
            bar.advance(units)
        assert screen(stream.getvalue())[0].endswith("  6060  1.0/s")


def test_nothing_to_do_is_done(columns) -> None:
    stream = Terminal()
    with Progress(0, LABEL, stream, Clock()):
        pass
    assert screen(stream.getvalue())[0].endswith("[########################]  0/0  100%")


def test_more_than_expected_is_shown_as_it_is(columns) -> None:
    clock, stream = Clock(), Terminal()
    with Progress(10, LABEL, stream, clock) as bar:
        clock.now_s += 1
        bar.advance(15)
    assert "[########################]  15/10  100%" in screen(stream.getvalue())[0]


def test_an_exception_passes_and_the_line_stays_where_the_work_stopped(columns) -> None:
    clock, stream = Clock(), Terminal()
    with pytest.raises(KeyboardInterrupt), Progress(10, LABEL, stream, clock) as bar:
        clock.now_s += 1
        bar.advance(4)
        raise KeyboardInterrupt
    assert "4/10  40%" in screen(stream.getvalue())[0] and stream.getvalue().endswith("\n")


def test_a_broken_stream_costs_the_display_not_the_work() -> None:
    class Broken(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    closed = io.StringIO()
    closed.close()
    for stream in (Broken(), closed):
        clock = Clock()
        with Progress(10, LABEL, stream, clock) as bar:
            clock.now_s += 100
            bar.advance(10)
        assert bar.done == 10


def test_a_terminal_without_chinese_shows_english() -> None:
    raw, clock = io.BytesIO(), Clock()
    with Progress(10, LABEL, io.TextIOWrapper(raw, encoding="ascii"), clock) as bar:
        clock.now_s += 100
        bar.advance(5)
        assert raw.getvalue().startswith(b"Issuing certificates  5/10  50%  0.1/s  left 1:40\n")


def test_a_real_terminal_is_asked_for_its_width() -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 60))
    with os.fdopen(theirs, "w") as terminal, os.fdopen(ours, "rb", buffering=0) as other_end:
        with Progress(10, LABEL, terminal, Clock()) as bar:
            bar.advance(10)
        shown = b""
        while b"10/10  100%" not in shown:  # the driver hands over what it has, piece by piece
            shown += other_end.read(4096)
        assert LABEL.zh.encode() in shown and b"#" not in shown  # the label fits 60 columns, the bar does not


def test_time_left_is_readable() -> None:
    shown = [progress._duration(seconds) for seconds in (0, 59.9, 60, 3599, 3600, 86_400, float("inf"))]
    assert shown == ["0:00", "0:59", "1:00", "59:59", "1:00:00", "24:00:00", "99:59:59"]


def test_wide_characters_take_two_columns() -> None:
    assert [display_width(text) for text in ("abc", "证书", "ｱ", "Ａ", "é", "e\u0301", "")] == [3, 4, 1, 2, 1, 1, 0]
