"""The payer's journal: what it keeps comes back, and what is no journal is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import Unavailable
from ledger.records.claim import DecisionOpening, HolderOpening
from ledger.records.kinds import Kind
from tests.support.builders import octets
from verifier.claims.journal import Journal, Kept, KeptAct, create_journal


def kept(label: str, reference: str = "case") -> Kept:
    holder = HolderOpening(octets("h" + label, 16), octets("cert" + label))
    decision = DecisionOpening(octets("d" + label, 16), 7, octets("decision"))
    return Kept(reference, b"entry " + label.encode(), holder, decision, b"voucher")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create_journal(tmp_path / "claims.db")
    return tmp_path / "claims.db"


def test_claims_and_acts_come_back_with_their_answers(path: Path) -> None:
    journal = Journal(path)
    one, two = kept("one"), kept("two")
    journal.add([one, kept("other", "another case")])
    assert journal.last("case") == one and not one.answered
    journal.answer(one.entry, None, "ALREADY_CLAIMED")
    journal.add([two])
    assert journal.last("case") == two
    journal.answer(two.entry, 9, "")
    act = KeptAct(two.leaf, Kind.PAY, b"pay")
    journal.add_acts([act])
    journal.add_acts([act])
    assert journal.acts(two.leaf) == [act]
    journal.answer(b"pay", 12, "")
    journal.close()
    again = Journal(path)
    found = again.claims()
    assert [(each.reference, each.index, each.code) for each in found] == [
        ("case", None, "ALREADY_CLAIMED"),
        ("another case", None, ""),
        ("case", 9, ""),
    ]
    assert again.find(two.leaf) == found[2] and again.find(octets("none")) is None
    assert again.acts(two.leaf) == [KeptAct(two.leaf, Kind.PAY, b"pay", 12)] and again.acts(one.leaf) == []
    assert again.last("nobody") is None
    again.close()


def test_what_is_no_journal(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        Journal(tmp_path / "none.db")
    (tmp_path / "text").write_text("no database, whatever its name says " * 99)
    with pytest.raises(Unavailable):
        Journal(tmp_path / "text")


def test_nothing_is_replaced_and_only_its_owner_reads_it(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        create_journal(path)


def test_a_claim_is_kept_once(path: Path) -> None:
    journal = Journal(path)
    journal.add([kept("one")])
    with pytest.raises(Unavailable):
        journal.add([kept("two"), kept("one")])
    assert len(journal.claims()) == 1
    journal.close()
