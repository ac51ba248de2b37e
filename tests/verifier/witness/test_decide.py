"""The decision to cosign, step by step, and that no order of requests gets two trees of one size out of a witness."""

from __future__ import annotations

import random
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.errors import CertLedgerError, Malformed, Refused, Unavailable, Unverified
from ledger.tlog.add_checkpoint import AddCheckpoint, format_add_checkpoint
from ledger.tlog.checkpoint import Checkpoint, add_cosignatures, open_cosigned, parse_checkpoint
from ledger.tlog.merkle import EMPTY_ROOT
from ledger.tlog.note import Note, NoteSignature, format_note, parse_note
from ledger.tlog.policy import Group, Policy, Witness
from tests.support.growing_log import TIME_S, GrowingLog
from tests.support.witness_bench import ORIGIN, Bench, make_bench
from tests.support.witnesses import Cosigner as Stranger
from verifier.witness.decide import ATTEMPTS, OtherSize, UnknownLog
from verifier.witness.state import Seen, WitnessState


def both(bench: Bench) -> Policy:
    """Both keys of this witness have to have signed."""
    ed, ml = bench.cosigner.vkeys
    return Policy((), (Witness("ed", ed), Witness("ml", ml)), (Group("w", 2, ("ed", "ml")),), "w")


def code_of(bench: Bench, body: bytes) -> str:
    with pytest.raises(Refused) as caught:
        bench.witness.add(body)
    return caught.value.code


def test_both_kinds_of_cosignature_open_and_are_kept_with_the_checkpoint(bench: Bench) -> None:
    head = bench.log.grown(b"a", b"b", b"c")
    lines = bench.witness.add(head.request())
    assert [len(line.blob) for line in lines] == [72, 2428]
    note = add_cosignatures(head.note, lines)
    opened = open_cosigned(note, ORIGIN, bench.log.vkeys, both(bench))
    assert opened.time_s == TIME_S and opened.checkpoint.size == 3
    assert bench.state.seen(ORIGIN) == Seen(3, head.root, TIME_S, note)
    assert bench.witness.shown(sha256(ORIGIN.encode()).hexdigest()) == note
    assert bench.witness.shown("0" * 64) is None


def test_growth_from_tree_to_tree_and_what_was_last_shown(bench: Bench) -> None:
    assert bench.witness.shown(sha256(ORIGIN.encode()).hexdigest()) is None
    for count in (1, 2, 1, 5, 13, 256, 1):
        head = bench.log.grown(*(b"%d %d" % (bench.log.size, n) for n in range(count)))
        assert bench.witness.add(head.request())
        bench.log.adopt(head)
        assert bench.witness.seen(ORIGIN).size == head.size


def test_the_empty_tree_is_cosigned_once_it_is_shown(bench: Bench) -> None:
    head = bench.log.grown()
    assert (head.size, head.root) == (0, EMPTY_ROOT)
    assert bench.witness.add(head.request())
    other = format_add_checkpoint(AddCheckpoint(0, (), bench.log.sign(0, bytes(32))))
    assert code_of(bench, other) == "NOT_EMPTY"
    assert bench.witness.add(bench.log.grown(b"a").request())


def test_the_same_tree_again_gets_a_fresh_time(bench: Bench) -> None:
    head = bench.log.grown(b"a")
    first = bench.witness.add(head.request())
    bench.now_s += 60
    again = bench.witness.add(head.request(old=1))
    assert [int.from_bytes(line.blob[:8], "big") - TIME_S for line in (*first, *again)] == [0, 0, 60, 60]
    assert open_cosigned(bench.witness.seen(ORIGIN).note or b"", ORIGIN, bench.log.vkeys, both(bench)).time_s == (
        TIME_S + 60
    )


def test_unknown_logs(bench: Bench) -> None:
    for log in (GrowingLog("log.example/other"), GrowingLog(ORIGIN + "2")):
        with pytest.raises(UnknownLog):
            bench.witness.add(log.grown(b"a").request())


def test_only_the_logs_own_keys_count(bench: Bench) -> None:
    head = bench.log.grown(b"a")
    note = parse_note(head.note)
    stranger = Stranger("log.example/stranger").lines(head.note, TIME_S)
    forged = tuple(replace(s, blob=bytes(len(s.blob) - 1) + b"\1") for s in note.signatures)
    bad = {
        "no line of the log": stranger,
        "both lines forged": forged,
        "one line forged": (note.signatures[0], forged[1]),
        "the other forged": (forged[0], note.signatures[1]),
    }
    for what, lines in bad.items():
        body = format_add_checkpoint(AddCheckpoint(0, (), format_note(Note(note.text, lines))))
        with pytest.raises(Unverified):
            bench.witness.add(body)
        assert bench.witness.seen(ORIGIN) == Seen(), what
    # One of its keys is enough (the specification), others' lines are ignored, and nothing of theirs is kept.
    for line in note.signatures:
        kept = format_note(Note(note.text, (*stranger, line)))
        body = format_add_checkpoint(AddCheckpoint(bench.witness.seen(ORIGIN).size, (), kept))
        lines = bench.witness.add(body)
        shown = bench.witness.seen(ORIGIN).note
        assert shown == add_cosignatures(format_note(Note(note.text, (line,))), lines)


def test_old_sizes(bench: Bench) -> None:
    head = bench.log.grown(b"a", b"b", b"c")
    with pytest.raises(Malformed):
        bench.witness.add(format_add_checkpoint(AddCheckpoint(4, (), head.note)))
    for old in (1, 2, 3):
        with pytest.raises(OtherSize) as caught:
            bench.witness.add(format_add_checkpoint(AddCheckpoint(old, (), head.note)))
        assert caught.value.size == 0
    bench.witness.add(head.request())
    for old in (0, 1, 2):
        with pytest.raises(OtherSize) as caught:
            bench.witness.add(format_add_checkpoint(AddCheckpoint(old, (), head.note)))
        assert caught.value.size == 3


def test_an_old_head_shown_again_is_not_cosigned(bench: Bench) -> None:
    old = bench.log.grown(b"a")
    bench.witness.add(old.request())
    bench.log.adopt(old)
    new = bench.log.grown(b"b")
    bench.witness.add(new.request())
    for start in (0, 1):
        with pytest.raises(OtherSize):
            bench.witness.add(old.request(old=start))
    with pytest.raises(Malformed):  # from the newer size back to the older
        bench.witness.add(format_add_checkpoint(AddCheckpoint(2, (), old.note)))
    assert bench.witness.seen(ORIGIN).size == 2


def test_proofs(bench: Bench) -> None:
    assert code_of(bench, format_add_checkpoint(AddCheckpoint(0, (bytes(32),), bench.log.grown(b"a").note))) == (
        "NEEDLESS_PROOF"
    )
    first = bench.log.grown(*(b"%d" % n for n in range(5)))
    bench.witness.add(first.request())
    bench.log.adopt(first)
    head = bench.log.grown(b"x", b"y", b"z")
    wrong = [
        (),
        head.proof[:-1],
        (*head.proof, bytes(32)),
        tuple(reversed(head.proof)),
        (bytes(32), *head.proof[1:]),
    ]
    for proof in wrong:
        assert code_of(bench, format_add_checkpoint(AddCheckpoint(5, proof, head.note))) == "NO_GROWTH"
    needless = AddCheckpoint(5, (bytes(32),), bench.log.grown().note)
    assert code_of(bench, format_add_checkpoint(needless)) == "NO_GROWTH"
    assert bench.witness.seen(ORIGIN).size == 5
    assert bench.witness.add(head.request())


def test_a_fork_is_refused_and_kept_as_a_proof(bench: Bench) -> None:
    start = bench.log.grown(b"a", b"b")
    bench.witness.add(start.request())
    bench.log.adopt(start)
    honest, forged = bench.log.grown(b"c"), bench.log.grown(b"C")
    bench.witness.add(honest.request())
    with pytest.raises(OtherSize):
        bench.witness.add(forged.request())
    assert code_of(bench, forged.request(old=3)) == "OTHER_ROOT"
    longer = bench.log.grown(b"C", b"d")  # goes on from the other history
    assert code_of(bench, format_add_checkpoint(AddCheckpoint(3, longer.proof, longer.note))) == "NO_GROWTH"
    assert bench.witness.seen(ORIGIN).root == honest.root
    (fork,) = bench.state.forks()
    assert bench.forks == [fork, fork], "the alarm sounds each time"
    for note, root in ((fork.ours, honest.root), (fork.other, forged.root)):
        opened = open_cosigned(note, ORIGIN, bench.log.vkeys, Policy((), (), (), "none"))
        assert opened.checkpoint == Checkpoint(ORIGIN, 3, root)


def test_a_clock_that_goes_back_stops_cosigning(bench: Bench) -> None:
    head = bench.log.grown(b"a")
    bench.witness.add(head.request())
    before = bench.witness.seen(ORIGIN)
    bench.now_s -= 1
    for _ in range(2):
        with pytest.raises(Unavailable, match="clock"):
            bench.witness.add(head.request(old=1))
        with pytest.raises(Unavailable, match="clock"):
            bench.witness.check_ready()
        bench.restart()
    assert bench.witness.seen(ORIGIN) == before
    bench.now_s += 1
    bench.witness.check_ready()
    assert bench.witness.add(head.request(old=1))


def test_whoever_was_slower_decides_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between decision and store another request is stored: what was signed in memory is thrown away."""
    head, other = bench.log.grown(b"a"), bench.log.grown(b"b", b"c")
    advance = WitnessState.advance

    def overtaken(self: WitnessState, origin: str, old: Seen, new: Seen) -> bool:
        monkeypatch.setattr(WitnessState, "advance", advance)
        assert bench.witness.add(other.request())
        return advance(self, origin, old, new)

    monkeypatch.setattr(WitnessState, "advance", overtaken)
    with pytest.raises(OtherSize) as caught:
        bench.witness.add(head.request())
    assert caught.value.size == 2 and bench.witness.seen(ORIGIN).root == other.root


def test_a_store_that_never_succeeds_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Seen] = []
    monkeypatch.setattr(WitnessState, "advance", lambda self, origin, old, new: bool(tries.append(new)))
    with pytest.raises(Unavailable):
        bench.witness.add(bench.log.grown(b"a").request())
    assert len(tries) == ATTEMPTS


def test_a_log_without_memory_is_not_cosigned(bench: Bench) -> None:
    bench.state._db.execute("DELETE FROM log")
    with pytest.raises(Unavailable):
        bench.witness.add(bench.log.grown(b"a").request())
    with pytest.raises(Unavailable):
        bench.witness.check_ready()


GOOD = GrowingLog(ORIGIN)
GOOD.adopt(GOOD.grown(b"a", b"b", b"c"))
HEAD = GOOD.grown(b"d", b"e")
BODY = HEAD.request()


@pytest.fixture(scope="module")
def seasoned(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A witness that has cosigned the first three leaves."""
    bench = make_bench(tmp_path_factory.mktemp("seasoned") / "witness.db")
    bench.witness.add(bench.log.grown(b"a", b"b", b"c").request())
    return bench


class TestMalformed:
    def check(self, bench: Bench, body: bytes) -> None:
        """Refused as one of the kinds, or it says the very same as the good body (an unknown line may differ)."""
        before = bench.witness.seen(ORIGIN)
        try:
            lines = bench.witness.add(body)
        except CertLedgerError as error:
            assert isinstance(error, Malformed | Unverified | Refused)
            assert bench.witness.seen(ORIGIN) == before
            return
        seen = bench.witness.seen(ORIGIN)
        assert (seen.size, seen.root) == (HEAD.size, HEAD.root) and lines
        assert bench.state.advance(ORIGIN, seen, before)  # back for the next example

    @given(st.data())
    @settings(max_examples=300, deadline=None)
    def test_changed_bodies(self, seasoned: Bench, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(BODY) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "drop", "insert", "repeat"]))
        if kind == "flip":
            body = BODY[:at] + bytes([BODY[at] ^ data.draw(st.integers(1, 255))]) + BODY[at + 1 :]
        elif kind == "cut":
            body = BODY[:at]
        elif kind == "drop":
            body = BODY[:at] + BODY[at + data.draw(st.integers(1, 50)) :]
        elif kind == "insert":
            body = BODY[:at] + data.draw(st.binary(min_size=1, max_size=5)) + BODY[at:]
        else:
            body = BODY[: at + 1] + BODY[at:]
        self.check(seasoned, body)

    @given(st.binary(max_size=300))
    @settings(deadline=None)
    def test_noise(self, seasoned: Bench, body: bytes) -> None:
        with pytest.raises(Malformed):
            seasoned.witness.add(body)

    def test_every_byte_before_the_signatures(self, seasoned: Bench) -> None:
        end = BODY.index("\N{EM DASH}".encode())
        before = seasoned.witness.seen(ORIGIN)
        for at in range(end):
            with pytest.raises(CertLedgerError) as caught:
                seasoned.witness.add(BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :])
            assert not isinstance(caught.value, Unavailable)
        assert seasoned.witness.seen(ORIGIN) == before

    @pytest.mark.parametrize(
        "change",
        [
            lambda b: b.replace(b"old 3", b"old 03"),
            lambda b: b.replace(b"old 3", b"old  3"),
            lambda b: b.replace(b"old 3", b"old -3"),
            lambda b: b.replace(b"old 3", b"Old 3"),
            lambda b: b.replace(b"old 3", b"old %d" % 2**63),
            lambda b: b.replace(b"\n", b"\r\n"),
            lambda b: b.replace(b"old 3\n", b"old 3\n\n"),
            lambda b: b.replace(b"old 3\n", b"old 3\n" + b"A" * 44 + b"\n"),
            lambda b: b.replace(b"old 3\n", b"old 3\n" + (b"A" * 43 + b"=\n") * 64),
            lambda b: b.replace(b"old 3\n", b"old 3\n" + (b"A" * 43 + b"=\n") * 2000),
            lambda b: b + b"\n",
            lambda b: b + b"x" * 70_000,
            lambda b: b.replace(b"=\n\n\xe2", b"=\nextension\n\n\xe2"),
        ],
    )
    def test_other_spellings(self, seasoned: Bench, change: object) -> None:
        assert callable(change) and change(BODY) != BODY
        with pytest.raises(Malformed):
            seasoned.witness.add(change(BODY))

    def test_sixty_three_proof_lines_are_read(self, seasoned: Bench) -> None:
        body = format_add_checkpoint(AddCheckpoint(3, (bytes(32),) * 63, HEAD.note))
        assert code_of(seasoned, body) == "NO_GROWTH"

    def test_a_trusted_key_with_two_lines(self, seasoned: Bench) -> None:
        note = parse_note(HEAD.note)
        twice = format_note(Note(note.text, (*note.signatures, note.signatures[0])))
        with pytest.raises(Malformed):
            seasoned.witness.add(format_add_checkpoint(AddCheckpoint(3, HEAD.proof, twice)))


class Histories(RuleBasedStateMachine):
    """Any order of honest growth, forks, replays, renewals, clock changes and restarts against a plain model."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.bench = make_bench(Path(self.folder.name) / "witness.db")
        self.roots: dict[int, bytes] = {}  # size -> the root that was cosigned
        self.bodies: list[bytes] = []
        self.size, self.time, self.leaf = 0, 0, 0

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.state.close()
            self.folder.cleanup()

    def ask(self, body: bytes) -> bool:
        try:
            lines = self.bench.witness.add(body)
        except CertLedgerError:
            return False
        said = parse_checkpoint(parse_note(body.partition(b"\n\n")[2]).text)
        assert self.roots.setdefault(said.size, said.root) == said.root, "two roots of one size"
        times = {int.from_bytes(line.blob[:8], "big") for line in lines}
        assert said.size >= self.size and min(times) >= self.time
        self.size, self.time = said.size, min(times)
        return True

    @rule(count=st.integers(1, 4), fork=st.booleans(), skip=st.booleans())
    def grow(self, count: int, fork: bool, skip: bool) -> None:
        leaves = [b"%d" % (self.leaf + n) for n in range(count)]
        self.leaf += count
        head = self.bench.log.grown(*leaves)
        self.bodies.append(head.request())
        if fork:
            self.bodies.append(self.bench.log.grown(*leaves[:-1], b"another").request())
        if not skip and self.ask(head.request()):
            self.bench.log.adopt(head)

    @rule(seed=st.integers(0, 10**6))
    def replay(self, seed: int) -> None:
        if self.bodies:
            body = random.Random(seed).choice(self.bodies)
            rest = body.partition(b"\n\n")[2]
            self.ask(body)
            self.ask(b"old %d\n\n" % self.size + rest)

    @rule(step=st.integers(-3, 30))
    def clock(self, step: int) -> None:
        self.bench.now_s += step

    @rule()
    def renew(self) -> None:
        if self.size == self.bench.log.size and self.size:
            self.ask(self.bench.log.grown().request())

    @rule()
    def restart(self) -> None:
        self.bench.restart()

    @invariant()
    def remembers(self) -> None:
        if hasattr(self, "bench"):
            seen = self.bench.witness.seen(ORIGIN)
            assert (seen.size, seen.time_s) == (self.size, self.time)
            assert self.size == 0 or seen.root == self.roots[self.size]


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_a_line_under_our_own_name_cannot_displace_ours(bench: Bench) -> None:
    """A hostile submitter adds a line with our name and key ID and a time far in the future."""
    head = bench.log.grown(b"a")
    note = parse_note(head.note)
    ours = bench.cosigner.vkeys[0]
    planted = NoteSignature(ours.name, ours.key_id, (2**62).to_bytes(8, "big") + bytes(64))
    body = format_add_checkpoint(AddCheckpoint(0, (), format_note(Note(note.text, (*note.signatures, planted)))))
    lines = bench.witness.add(body)
    assert bench.witness.seen(ORIGIN).note == add_cosignatures(head.note, lines)
