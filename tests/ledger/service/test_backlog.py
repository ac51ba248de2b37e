"""What may wait: measured against machines of every speed, on a clock of the test's own."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed, Unavailable
from ledger.service.backlog import BATCH_S, IN_FRONT_S, LEAST, LONGEST_S, SMALLEST, START, Backlog, count_statements
from ledger.text import Text
from ledger.wire import MAX_SUBMISSIONS, SubmitRequest, encode, submission_body
from tests.support.builders import make_body
from tests.support.life_builders import bare

BATCH = 2048


@dataclass
class Request:
    came: float  # s
    count: int
    left: int
    way: ExitStack


@dataclass
class Machine:
    """Batches of what waits, each `fixed` and `each` per statement long (s), and one backlog before it."""

    fixed: float
    each: float
    now: float = 0.0
    waits: list[tuple[float, float]] = field(default_factory=list)  # when a request came, how long to its turn
    refused: list[tuple[float, int]] = field(default_factory=list)  # when, and when to come again (s)
    out: int = 0

    def __post_init__(self) -> None:
        self.backlog = Backlog(lambda: self.now)
        self.queue: deque[Request] = deque()

    @property
    def capacity(self) -> float:
        return BATCH / (self.fixed + BATCH * self.each)

    def offer(self, count: int) -> bool:
        way = ExitStack()
        try:
            way.enter_context(self.backlog.through(count))
        except Unavailable as full:
            assert full.retry_after is not None
            self.refused.append((self.now, full.retry_after))
            return False
        self.queue.append(Request(self.now, count, count, way))
        return True

    def work(self, arrivals: list[tuple[float, int]]) -> None:
        """Until everything that comes, in order of time, is answered."""
        coming = deque(arrivals)
        while coming or self.queue:
            if not self.queue:
                self._until(coming[0][0], coming)
                continue
            size, done, limit = 0, [], min(BATCH, self.backlog.batch)
            while self.queue and size < limit:
                first = self.queue[0]
                if first.left == first.count:
                    self.waits.append((first.came, self.now - first.came))
                part = min(first.left, limit - size)
                first.left -= part
                size += part
                if not first.left:
                    done.append(self.queue.popleft())
            self._until(self.now + self.fixed + size * self.each, coming)
            self.backlog.finished(size)
            self.out += size
            for request in done:
                request.way.close()

    def _until(self, end: float, coming: deque[tuple[float, int]]) -> None:
        while coming and coming[0][0] <= end:
            at, count = coming.popleft()
            self.now = max(self.now, at)
            self.offer(count)
        self.now = max(self.now, end)


def every(pause: float, seconds: float, count: int, start: float = 0.0) -> list[tuple[float, int]]:
    return [(start + at * pause, count) for at in range(int(seconds / pause))]


@settings(max_examples=25)
@given(
    per_s=st.floats(250, 20_000),
    fixed=st.floats(0, 0.1),
    count=st.integers(20, MAX_SUBMISSIONS),
    times=st.floats(1.5, 8),
)
def test_a_flood_waits_two_seconds_at_most_whatever_the_machine(
    per_s: float, fixed: float, count: int, times: float
) -> None:
    machine = Machine(fixed, 1 / per_s)
    pause = max(count / (machine.capacity * times), 0.002)
    machine.work(every(pause, 20, count))
    late = [wait for came, wait in machine.waits if came > 8]
    assert max(late, default=0) <= LONGEST_S + 0.1, "measured"
    assert max(wait for _, wait in machine.waits) <= LONGEST_S * START / machine.capacity + 1 + LONGEST_S, "not yet"
    assert machine.out >= 0.7 * machine.now * min(machine.capacity, count / pause), "nor does it stand idle"
    assert all(1 <= again <= 60 for _, again in machine.refused)


@settings(max_examples=25)
@given(pause=st.floats(0.001, 30), fixed=st.floats(0.001, 0.5), count=st.integers(1, 20))
def test_little_load_is_no_measure_of_what_could_be_done(pause: float, fixed: float, count: int) -> None:
    """The trap: statements that come alone leave at a few a second, because few come. A roster must not be refused
    for that."""
    machine = Machine(fixed, 1 / 5000)
    machine.work(every(max(pause, 2 * (fixed + count / 5000)), 400 * pause, count))
    assert machine.backlog.rate >= START and not machine.refused
    assert all(machine.offer(100) for _ in range(7))


@settings(max_examples=25)
@given(fixed=st.floats(0.001, 0.5), overlap=st.integers(2, 40))
def test_nor_are_a_few_that_overlap(fixed: float, overlap: int) -> None:
    """Never idle, and never enough inside to fill a batch."""
    machine = Machine(fixed, 1 / 5000)
    machine.work(every(fixed / overlap, 300 * fixed / overlap, 1))
    assert machine.backlog.rate >= START and not machine.refused


def test_an_idle_log_keeps_its_rate_and_takes_the_largest_request_whatever_it_is() -> None:
    machine = Machine(0.01, 1 / 30)
    machine.work(every(0.1, 60, 20))
    slow = machine.backlog.rate
    assert 25 <= slow <= 35 and machine.refused
    machine.now += 100_000
    assert machine.backlog.rate == slow and machine.backlog.wait_s == 0
    assert machine.offer(MAX_SUBMISSIONS) and machine.backlog.wait_s == MAX_SUBMISSIONS / slow
    assert not machine.offer(1)


@pytest.mark.parametrize(("per_s", "count"), [(5000, 20), (5000, 250), (5000, 500), (100, 10)])
def test_an_estimate_that_a_stall_brought_down_recovers(per_s: float, count: int) -> None:
    machine = Machine(0.002, 1 / per_s)
    pause = count / (1.6 * per_s)
    machine.work(every(pause, 3 if per_s > 1000 else 20, count))
    assert machine.backlog.rate == pytest.approx(machine.capacity, rel=0.25)
    machine.each = 1 / 5  # the disk hardly answers
    machine.work(every(0.5, 100, 30, machine.now))
    assert machine.backlog.rate < 50
    machine.each = 1 / per_s
    machine.work(every(pause, 20, count, machine.now))
    assert machine.backlog.rate == pytest.approx(machine.capacity, rel=0.25)


def test_singles_are_let_in_whatever_was_measured() -> None:
    now = [0.0]
    backlog = Backlog(lambda: now[0])
    with backlog.through(500):
        backlog.finished(1)
        now[0] += 3600
        backlog.finished(1)
    assert backlog.rate == LEAST
    with ExitStack() as ways:
        for _ in range(int(LEAST * LONGEST_S) + 1):
            ways.enter_context(backlog.through(1))
        with pytest.raises(Unavailable) as full:
            ways.enter_context(backlog.through(1))
        assert full.value.retry_after == 1
    assert backlog.wait_s == 0


@given(st.integers(1, 10**6))
def test_it_says_when_to_come_again_and_is_right(count: int) -> None:
    backlog = Backlog(lambda: 0.0)
    with backlog.through(count):
        wait = backlog.wait_s
        assert wait == count / START
        if wait <= LONGEST_S:
            with backlog.through(1):
                return
        with pytest.raises(Unavailable) as full, backlog.through(1):
            raise AssertionError("it was let in")
        again = full.value.retry_after
        assert again == 60 or (again is not None and wait - LONGEST_S < again < wait + 1), (
            "room by then, not long empty"
        )
        assert backlog.wait_s == wait


@pytest.mark.parametrize("per_s", [40, 2_000, 9_000])
def test_a_batch_has_what_the_machine_does_in_a_moment(per_s: int) -> None:
    """Of a fixed number of statements each would make everybody wait for thrice as long where all takes thrice."""
    machine = Machine(0.0, 1 / per_s)
    assert machine.backlog.batch == SMALLEST, "before anything is known"
    machine.work(every(200 / per_s, 30, 250))
    assert machine.backlog.batch == pytest.approx(max(SMALLEST, per_s * BATCH_S), rel=0.1)


def test_what_is_refused_without_a_batch_says_nothing_of_what_batches_can_do() -> None:
    """Strangers whose bytes are nothing, one after the other: what came behind them would wait for seconds."""
    clock = [0.0]
    backlog = Backlog(lambda: clock[0])
    for _ in range(2000):
        with backlog.through(1):
            clock[0] += 0.0005
            backlog.finished(1, batch=False)
        clock[0] += 0.0005
    assert backlog.rate == START


def test_between_two_batches_it_counts_with_the_next_one() -> None:
    """Refusals every millisecond beside a batch that takes three seconds: the rate is that of all of it, and while the
    batch is on its way it is what it was."""
    clock = [0.0]
    backlog = Backlog(lambda: clock[0])
    with backlog.through(400):
        backlog.finished(1)
        for _ in range(3000):
            clock[0] += 0.001
            backlog.finished(1, batch=False)
            assert backlog.rate == START
        backlog.finished(300)
        assert START < backlog.rate < 1100, backlog.rate


def test_whatever_ends_a_request_it_is_no_longer_inside() -> None:
    now = [0.0]
    backlog = Backlog(lambda: now[0])
    for error in (ValueError("no"), Unavailable(Text("不", "no")), Malformed("no")):
        with pytest.raises(type(error)), backlog.through(500):
            now[0] += 10
            raise error
        assert backlog.wait_s == 0 and backlog.rate == START
    with pytest.raises(Malformed), backlog.through(500):
        now[0] += 0.1
        raise Malformed("read in no time, which says nothing about what is examined")
    assert backlog.rate == START


def test_statements_are_counted_before_they_are_read() -> None:
    body = make_body()
    made = [body.certificate(str(at)) for at in range(3)]
    bodies = [submission_body(c.submission()) for c in made] + [submission_body(bare(made[0].statement))]
    for some in (bodies[:1], bodies):
        assert count_statements(encode(SubmitRequest(some))) == len(some)
    assert count_statements(b"{") == 1
    assert count_statements(b'"entry"' * 10_000) == MAX_SUBMISSIONS, "whatever a body says of itself"


def test_in_a_front_less_may_wait_as_the_log_behind_it_has_a_backlog_too() -> None:
    """Both together are answered within two seconds (`scripts/bench --only fleet`)."""
    assert IN_FRONT_S + LONGEST_S < 1.8
    front = Backlog(lambda: 0.0, IN_FRONT_S)
    with front.through(int(START * IN_FRONT_S)):
        front.check()
        with front.through(1), pytest.raises(Unavailable):
            front.check()
