"""Which head is remembered for whose line."""

from __future__ import annotations

from ledger.service.cosigned import LastCosigned, Published
from tests.ledger.service.test_witness import NOW, head
from tests.support.witnesses import Cosigner

ONE, OTHER = Cosigner("auditor.example/1"), Cosigner("auditor.example/2")


def published(size: int) -> Published:
    return Published(head(size), head(size).note, b"")


def test_the_newest_head_of_any_of_the_keys_that_are_asked_for() -> None:
    last = LastCosigned()
    assert last.newest([ONE.ed25519.key_id]) is None
    for size, who in ((5, ONE), (7, OTHER), (6, ONE)):
        lines = who.lines(head(size).note, NOW)
        last.take(published(size).bearing(lines), lines)
    assert last.newest([ONE.ed25519.key_id]).size == 6  # type: ignore[union-attr]
    assert last.newest([ONE.ml_dsa.key_id, OTHER.ml_dsa.key_id]).size == 7  # type: ignore[union-attr]
    assert last.newest([]) is None and last.newest([bytes(4)]) is None


def test_an_answer_about_an_older_head_does_not_replace_a_newer_one() -> None:
    last = LastCosigned()
    for size in (7, 5):
        lines = ONE.lines(head(size).note, NOW)
        last.take(published(size).bearing(lines), lines)
    assert last.newest([ONE.ed25519.key_id]).size == 7  # type: ignore[union-attr]
