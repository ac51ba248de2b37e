from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from issuer.proofs import ATTEMPTS, Judge, fetch_evidence, kept_evidence, newest_evidence
from issuer.results import Issued, all_issued, bundle_path, prepare_folder, write_bundles
from ledger.errors import CertLedgerError, Unavailable, Unverified
from ledger.records.evidence import Evidence, parse_evidence
from ledger.records.evidence_check import verify_evidence
from ledger.records.secret import cert_key_of
from ledger.tlog.policy import NO_WITNESSES
from tests.support.issuer_desk import Setting, sample, set_up, write_csv


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return set_up(tmp_path / "desk")


async def logged(setting: Setting, tmp_path: Path, rows: int = 3) -> list[Issued]:
    outcome = await setting.issue(write_csv(tmp_path / "r.csv", sample(rows)))
    return all_issued(outcome.state, setting.desk.settings, outcome.changes)


async def sleep(_: float) -> None:
    return


async def test_every_certificate_gets_its_own_proof(setting: Setting, tmp_path: Path) -> None:
    issued, trust = await logged(setting, tmp_path, 12), setting.desk.settings.trust
    found = await fetch_evidence(issued, setting.log, trust, sleep)
    assert sorted(found) == sorted(item.number for item in issued) and setting.log.proven == 12
    for item in issued:
        proven = verify_evidence(found[item.number], trust.origin, trust.keys, NO_WITNESSES)
        assert proven.issued is not None and proven.issued.entry == item.certificate.entry
        assert proven.terms == setting.log.filing_terms
    assert await fetch_evidence([], setting.log, trust, sleep) == {}


async def test_a_proof_of_anything_else_stops_everything(setting: Setting, tmp_path: Path) -> None:
    issued, trust = await logged(setting, tmp_path, 3), setting.desk.settings.trust
    found = await fetch_evidence(issued, setting.log, trust, sleep)
    one, other = issued[0], found[issued[1].number]
    mine = found[one.number]
    nobody = parse_evidence(await setting.log.evidence(bytes(32)))
    lies: list[Evidence] = [
        other,
        nobody,
        replace(mine, cert_key=other.cert_key),
        replace(mine, state=other.state, map_proof=other.map_proof),
        replace(mine, checkpoint=mine.checkpoint.replace(b"\n" + str(len(setting.log.entries)).encode(), b"\n9")),
    ]
    for lie in lies:
        with pytest.raises(CertLedgerError):
            Judge(trust).check(one, lie)
    moved = replace(one, placed=replace(one.placed, proof=replace(one.placed.proof, index=one.placed.proof.index + 1)))
    with pytest.raises(Unverified):
        Judge(trust).check(moved, mine)
    assert Judge(trust).check(one, mine) == mine

    class Liar:
        async def evidence(self, cert_key: bytes) -> bytes:
            return await setting.log.evidence(cert_key_of(issued[2].certificate.secret))

    with pytest.raises(Unverified):
        await fetch_evidence(issued, Liar(), trust, sleep)


async def test_a_silent_ledger_is_asked_again_and_then_given_up(setting: Setting, tmp_path: Path) -> None:
    issued, trust = await logged(setting, tmp_path, 1), setting.desk.settings.trust
    waits: list[float] = []

    async def wake_at_last(seconds: float) -> None:
        waits.append(seconds)
        setting.log.silent = len(waits) < 3

    setting.log.silent = True
    await fetch_evidence(issued, setting.log, trust, wake_at_last)
    assert waits == [1, 1, 1]
    setting.log.silent = True
    with pytest.raises(Unavailable):
        await fetch_evidence(issued, setting.log, trust, sleep)
    assert ATTEMPTS > 3


async def test_what_bundles_have_serves_where_the_ledger_does_not_answer(setting: Setting, tmp_path: Path) -> None:
    issued, trust, out = await logged(setting, tmp_path, 3), setting.desk.settings.trust, tmp_path / "out"
    prepare_folder(out)
    setting.log.silent = True
    with pytest.raises(Unavailable):
        await newest_evidence(out, issued, setting.log, trust, sleep)
    setting.log.silent = False
    found = await newest_evidence(out, issued, setting.log, trust, sleep)
    write_bundles(out, issued, found)
    setting.log.silent = True
    assert await newest_evidence(out, issued, setting.log, trust, sleep) == found == kept_evidence(out, issued, trust)
    bundle_path(out, issued[0].number).write_bytes(bundle_path(out, issued[1].number).read_bytes())
    assert kept_evidence(out, issued, trust).keys() == {item.number for item in issued[1:]}
    with pytest.raises(Unavailable):
        await newest_evidence(out, issued, setting.log, trust, sleep)
