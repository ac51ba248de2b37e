"""How far a long piece of work is: a bar on a terminal, a plain line now and then elsewhere, nothing when quiet.

Goes to stderr, so that the output of a command stays clean. Drawn in ASCII: block characters are one column wide
in Western terminals and two in Chinese ones.
"""

from __future__ import annotations

import os
import unicodedata
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TextIO

from ledger.text import Text

REDRAW_S = 0.1  # between two drawings of the bar
LINE_S = 10.0  # between two plain lines
RATE_S = 10.0  # the rate is that of the last so many seconds
LEFT = Text("剩余", "left")
_BAR = 24  # columns of a full-size bar


class Progress:
    """`with Progress(rows, LABEL, sys.stderr, time.monotonic) as progress: … progress.advance()`.

    `total` in units of work, None when unknown. `clock()` in seconds, never going back. `done` is what an earlier
    run did already: it counts as done but not for the rate. Used by one thread. A stream that is closed or
    broken costs the display, never the work.
    """

    def __init__(
        self,
        total: int | None,
        label: Text,
        stream: TextIO,
        clock: Callable[[], float],
        *,
        done: int = 0,
        quiet: bool = False,
    ) -> None:
        assert done >= 0 and (total is None or total >= done)
        self.total = total
        self.done = done
        self._label = _shown(label, stream)
        self._left = _shown(LEFT, stream)
        self._stream = stream
        self._clock = clock
        self._terminal = _is_terminal(stream)
        self._quiet = quiet
        self._every_s = REDRAW_S if self._terminal else LINE_S
        self._drawn_width = 0  # columns of the bar on the terminal now
        self._samples = deque([(clock(), done)])  # (time, done), oldest first, spanning RATE_S
        self._next_s = self._samples[0][0] + (0 if self._terminal else LINE_S)

    def __enter__(self) -> Progress:
        self.advance(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state as a line of its own, where the work stopped, also after an exception."""
        self._show(self._clock(), last=True)

    def advance(self, units: int = 1) -> None:
        """So many units more are done. Cheap enough for every row; draws at most ten times a second."""
        self.done += units
        now_s = self._clock()
        if now_s >= self._next_s:
            self._next_s = now_s + self._every_s
            self._show(now_s, last=False)

    def _show(self, now_s: float, *, last: bool) -> None:
        if self._quiet:
            return
        self._samples.append((now_s, self.done))
        while len(self._samples) > 2 and self._samples[1][0] <= now_s - RATE_S:
            self._samples.popleft()
        with suppress(OSError, ValueError):  # ValueError: closed
            if not self._terminal:
                self._write("  ".join([self._label, *self._figures()]) + "\n")
                return
            columns = _columns(self._stream) - 1  # a full last column would wrap
            line = self._line(columns)
            width = display_width(line)
            erase = " " * (min(self._drawn_width, columns) - width)
            self._drawn_width = width
            self._write(f"\r{line}{erase}" + ("\n" if last else ""))

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _line(self, columns: int) -> str:
        """The fullest form that fits: with bar, without, then ever fewer figures; the count is cut if it must be."""
        figures = self._figures()
        forms = [[self._label, self._bar(), *figures], [self._label, *figures]]
        for form in forms + [figures[:end] for end in range(len(figures), 0, -1)]:
            line = "  ".join(part for part in form if part)
            if display_width(line) <= columns:
                return line
        return figures[0][: max(columns, 0)]

    def _bar(self) -> str:
        if self.total is None:
            return ""
        filled = _BAR if not self.total else min(self.done, self.total) * _BAR // self.total
        return f"[{'#' * filled}{'.' * (_BAR - filled)}]"

    def _figures(self) -> list[str]:
        """Count, share, rate, time left; what is not known yet is left out."""
        if self.total is None:
            figures = [str(self.done)]
        else:
            share = 100 if not self.total else min(self.done, self.total) * 100 // self.total
            figures = [f"{self.done}/{self.total}", f"{share}%"]
        (first_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        rate = (last - first) / (last_s - first_s) if last_s > first_s else 0.0
        if rate > 0:
            figures.append(f"{rate:.0f}/s" if rate >= 9.95 else f"{rate:.1f}/s")
            if self.total is not None and self.done < self.total:
                figures.append(f"{self._left} {_duration((self.total - self.done) / rate)}")
        return figures


def display_width(text: str) -> int:
    """Terminal columns of a line: two for wide and full-width characters, none for combining marks (UAX 11)."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(min(seconds, 359_999)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _shown(text: Text, stream: TextIO) -> str:
    """Both languages, or English alone where the stream cannot show Chinese."""
    try:
        text.both().encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return text.en
    return text.both()


def _is_terminal(stream: TextIO) -> bool:
    with suppress(ValueError):  # closed
        return stream.isatty()
    return False


def _columns(stream: TextIO) -> int:
    with suppress(OSError, ValueError):
        return os.get_terminal_size(stream.fileno()).columns or 80
    return 80
