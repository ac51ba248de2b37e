"""A filing is believed because it is proven to be in the pinned log, whoever signs for the authority by now."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from issuer.config import LogTrust
from issuer.desk import FILING
from issuer.filing import fetch_filing, fetch_genesis, open_filing
from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.records.refusals import Refusal, refuse
from ledger.records.rotation import AuthorityChange
from ledger.tlog.checkpoint import CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.proof import format_tlog_proof, parse_tlog_proof
from ledger.wire import Receipt
from tests.support.fake_log import AUTHORITY, FILING_NUMBER, ORIGIN, FakeLog, authority_entry
from tests.support.issuer_desk import NOW_MS, TODAY, Setting, sample, set_up, write_csv

SUCCESSORS = tuple(Ed25519Signer(bytes([seed]) * 32) for seed in (4, 5))


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return set_up(tmp_path / "desk")


@pytest.fixture
def trust(setting: Setting) -> LogTrust:
    return setting.desk.settings.trust


def hand_over(log: FakeLog) -> None:
    """Other people take over the authority and file the body again."""
    keys = tuple(sorted(person.public for person in SUCCESSORS))
    log.add_authority(AuthorityChange(keys, 2, TODAY), (*AUTHORITY[:2], *SUCCESSORS))
    log.add_authority(replace(log.filing_terms, name="更名后的评价中心", change=True), SUCCESSORS)


async def test_the_filing_is_believed_for_its_place_in_the_log(setting: Setting, trust: LogTrust) -> None:
    log = setting.log
    assert await fetch_genesis(log, ORIGIN, trust.keys) == log.genesis
    filing, saved = await fetch_filing(log, trust, FILING_NUMBER, log.genesis, NOW_MS)
    assert filing == log.filing_terms == open_filing(saved, trust, FILING_NUMBER)
    with pytest.raises(Unverified, match="not this filing"):
        open_filing(saved, trust, "Y000051990002")
    others = CheckpointSigner(ORIGIN, Ed25519Signer(b"\x21" * 32), MlDsa44Signer(b"\x22" * 32)).vkeys
    with pytest.raises(Unverified):
        open_filing(saved, replace(trust, keys=others), FILING_NUMBER)
    with pytest.raises(Malformed):
        open_filing(saved[:-1], trust, FILING_NUMBER)
    with pytest.raises(Malformed):
        open_filing(format_tlog_proof(replace(parse_tlog_proof(saved), extra=None)), trust, FILING_NUMBER)
    with pytest.raises(Unverified, match="pinned"):
        await fetch_filing(log, replace(trust, genesis_sha256=bytes(32)), FILING_NUMBER, log.genesis, NOW_MS)
    with pytest.raises(Unverified, match="clock"):
        await fetch_filing(log, trust, FILING_NUMBER, log.genesis, NOW_MS + 86_400_000)
    with pytest.raises(Refused):
        await fetch_filing(log, trust, "Y000051990002", log.genesis, NOW_MS)


async def test_other_people_sign_for_the_authority(setting: Setting, tmp_path: Path) -> None:
    assert (await setting.desk.current_filing(setting.log, NOW_MS)).name != "更名后的评价中心"
    hand_over(setting.log)
    assert (await setting.desk.current_filing(setting.log, NOW_MS)).name == "更名后的评价中心"
    assert setting.desk.saved_filing() == setting.log.filing_terms
    outcome = await setting.issue(write_csv(tmp_path / "r.csv", sample(2)))
    assert outcome.clean and len(setting.log.issues()) == 2


@pytest.mark.parametrize("signers", [SUCCESSORS, AUTHORITY[:2]], ids=["strangers", "the authority"])
async def test_a_filing_that_is_in_no_log(setting: Setting, tmp_path: Path, signers: tuple[Ed25519Signer, ...]) -> None:
    log = setting.log
    log.filed = authority_entry(replace(log.filing_terms, name="别的机构", change=True), signers=signers)
    with pytest.raises(Unverified, match="not in its log"):
        await setting.issue(write_csv(tmp_path / "r.csv", sample(2)))
    assert not (setting.desk.folder / FILING).exists() and not log.submits


async def test_a_receipt_of_something_else_proves_nothing(
    setting: Setting, trust: LogTrust, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = setting.log
    log.filed = authority_entry(log.filing_terms, signers=SUCCESSORS)  # the same identity, other bytes
    with pytest.raises(Unverified, match="inclusion"):
        await fetch_filing(log, trust, FILING_NUMBER, log.genesis, NOW_MS)
    proven = log.statement

    async def refused(identity: bytes) -> Receipt | None:
        receipt = await proven(identity)
        assert receipt is not None
        return replace(receipt, answers=(refuse(Refusal.NOT_ISSUER, "key"),))

    monkeypatch.setattr(log, "statement", refused)
    with pytest.raises(Unverified, match="refusal"):
        await fetch_filing(log, trust, FILING_NUMBER, log.genesis, NOW_MS)


async def test_a_pinned_entry_0_that_stands_elsewhere(setting: Setting, trust: LogTrust) -> None:
    log = setting.log
    pinned = replace(trust, genesis_sha256=sha256(log.filed).digest())
    with pytest.raises(Unverified, match="elsewhere"):
        await fetch_filing(log, pinned, FILING_NUMBER, log.filed, NOW_MS)


async def test_the_filing_last_seen_serves_offline(setting: Setting) -> None:
    desk, log = setting.desk, setting.log
    with pytest.raises(Unavailable):
        desk.saved_filing()
    await desk.current_filing(log, NOW_MS)
    assert desk.saved_filing() == log.filing_terms
    path = desk.folder / FILING
    kept = path.read_bytes()
    log.now_ms += 1000
    await desk.current_filing(log, log.now_ms)
    assert path.read_bytes() == kept, "the same terms: the proof of them stays"
    stranger = authority_entry(replace(log.filing_terms, name="别的机构"), signers=SUCCESSORS)
    path.write_bytes(format_tlog_proof(replace(parse_tlog_proof(kept), extra=stranger)))
    with pytest.raises(Unverified):
        desk.saved_filing()
    await desk.current_filing(log, log.now_ms)
    assert desk.saved_filing() == log.filing_terms, "a damaged copy is fetched anew"
