"""Which pair opens a checkpoint that was kept: what former pairs are believed for, and what nobody is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.errors import Malformed, Unverified
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.note import format_note, parse_note
from tests.support.builders import octets
from verifier.former import FormerKeys, UnknownKeys, check_former, check_until, keys_of, open_known

ORIGIN = "log.test.example/former"
TIME_S = 1_790_000_000


def pair(label: str, origin: str = ORIGIN) -> CheckpointSigner:
    return CheckpointSigner(origin, Ed25519Signer(octets("ed" + label)), MlDsa44Signer(octets("ml" + label)))


FIRST, SECOND, THIRD = pair("first"), pair("second"), pair("third")
FORMER = (FormerKeys(FIRST.vkeys, TIME_S * 1000),)


def note_of(signer: CheckpointSigner, time_s: int = TIME_S) -> bytes:
    return signer.sign(Checkpoint(signer.origin, 7, octets("root")), time_s)


def test_each_note_is_opened_under_its_own_pair() -> None:
    for signer, former in ((SECOND, False), (FIRST, True)):
        opened, is_former = open_known(note_of(signer), ORIGIN, SECOND.vkeys, FORMER)
        assert (opened.checkpoint.size, is_former) == (7, former)
    assert keys_of(note_of(FIRST), ORIGIN, SECOND.vkeys, FORMER) == (FIRST.vkeys, TIME_S * 1000)


def test_what_a_former_pair_signed_later_does_not_count() -> None:
    with pytest.raises(UnknownKeys):
        open_known(note_of(FIRST, TIME_S + 1), ORIGIN, SECOND.vkeys, FORMER)
    check_until(TIME_S, TIME_S * 1000)
    check_until(TIME_S, None)
    with pytest.raises(UnknownKeys):
        check_until(TIME_S, TIME_S * 1000 - 1)


def test_keys_that_were_never_pinned_are_unknown_and_not_false() -> None:
    with pytest.raises(UnknownKeys):
        open_known(note_of(THIRD), ORIGIN, SECOND.vkeys, FORMER)
    with pytest.raises(UnknownKeys):
        open_known(note_of(FIRST), ORIGIN, SECOND.vkeys)


def test_a_false_or_missing_line_of_a_known_pair_is_false() -> None:
    """Nobody turns a proof that fails into one that cannot be judged by leaving a line of a pinned key in it."""
    note = parse_note(note_of(FIRST))
    ed, ml = note.signatures
    other = parse_note(FIRST.sign(Checkpoint(ORIGIN, 8, octets("root")), TIME_S)).signatures
    for lines in ((ed,), (ml,), (other[0], ml), (ed, other[1])):
        with pytest.raises(Unverified) as wrong:
            open_known(format_note(replace(note, signatures=lines)), ORIGIN, SECOND.vkeys, FORMER)
        assert not isinstance(wrong.value, UnknownKeys)


def test_another_log_is_another_log() -> None:
    elsewhere = pair("first", "log.test.example/elsewhere")
    with pytest.raises(Unverified) as wrong:
        keys_of(note_of(elsewhere), ORIGIN, SECOND.vkeys, FORMER)
    assert not isinstance(wrong.value, UnknownKeys)
    with pytest.raises(Malformed):
        keys_of(b"no note", ORIGIN, SECOND.vkeys, FORMER)


def test_pairs_are_pairs_of_this_log_and_different() -> None:
    check_former(ORIGIN, SECOND.vkeys, FORMER)
    for keys in (FIRST.vkeys[:1], (FIRST.vkeys[0],) * 2, (FIRST.vkeys[0], pair("x", "log.example").vkeys[1])):
        with pytest.raises(Malformed):
            FormerKeys(keys, 1)
    with pytest.raises(Malformed):
        FormerKeys(FIRST.vkeys, -1)
    for origin, former in (("log.example", ()), (ORIGIN, FORMER * 2), (ORIGIN, (FormerKeys(SECOND.vkeys, 1),))):
        with pytest.raises(Malformed):
            check_former(origin, SECOND.vkeys, former)
