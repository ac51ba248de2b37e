from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from issuer.config import LogTrust
from issuer.proofs import (
    ATTEMPTS,
    LINE_S,
    TOGETHER,
    Judge,
    fetch_evidence,
    kept_evidence,
    missing_evidence,
    newest_evidence,
    without_line,
)
from issuer.results import Issued, all_issued, bundle_path, prepare_folder, write_bundles
from ledger.errors import CertLedgerError, Unavailable, Unverified
from ledger.records.evidence import Evidence, parse_evidence
from ledger.records.evidence_check import verify_evidence
from ledger.records.kinds import CertificateStatus, Kind, Reason
from ledger.records.life import Listed, Ruling
from ledger.records.secret import cert_key_of
from ledger.records.state import parse_certificate_state
from ledger.records.statements import issuer_entry
from ledger.text import Text
from ledger.tlog.checkpoint import open_cosigned
from ledger.tlog.note import VerifierKey
from ledger.tlog.policy import NO_WITNESSES
from ledger.wire import BareSubmission
from tests.support.fake_log import AUDITOR
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


def audited(setting: Setting) -> LogTrust:
    return replace(setting.desk.settings.trust, map_auditors=(AUDITOR.ed25519, AUDITOR.ml_dsa))


async def test_papers_wait_for_an_auditors_line(setting: Setting, tmp_path: Path) -> None:
    issued, trust, out = await logged(setting, tmp_path, 12), audited(setting), tmp_path / "out"
    setting.log.line_after = 3 * TOGETHER + 3  # all were asked, some again; then it comes, and at once for the rest
    waits: list[float] = []
    watched: list[tuple[int, float]] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    found = await missing_evidence(out, issued, setting.log, trust, wait, lambda *seen: watched.append(seen))
    assert waits == [0.5, 1.0] and watched == [(12, 0), (12, 0.5)]
    assert sorted(found) == sorted(item.number for item in issued) and without_line(found, trust) == []
    for one in found.values():
        opened = open_cosigned(one.checkpoint, trust.origin, trust.keys, NO_WITNESSES, trust.map_auditors)
        assert opened.auditor_time_s is not None


async def test_nobody_waits_longer_than_was_announced(setting: Setting, tmp_path: Path) -> None:
    issued, trust, out = await logged(setting, tmp_path, 2), audited(setting), tmp_path / "out"
    setting.log.line_after = 10**9
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    found = await newest_evidence(out, issued, setting.log, trust, wait)
    assert sum(waits) == LINE_S and min(waits) > 0 and max(waits) <= 5
    assert without_line(found, trust) == sorted(item.number for item in issued), "they carry what there is"
    waits.clear()
    found = await newest_evidence(out, issued, setting.log, trust, wait, wait_s=0)
    assert waits == [] and len(without_line(found, trust)) == 2
    setting.log.line_after = 0
    assert without_line(await newest_evidence(out, issued, setting.log, trust, wait), trust) == []


async def test_an_older_head_with_a_line_hides_nothing(setting: Setting, tmp_path: Path) -> None:
    """Offline it would count for a month: what happened since must be in it."""
    issued, trust, out = await logged(setting, tmp_path, 1), audited(setting), tmp_path / "out"
    key = cert_key_of(issued[0].certificate.secret)
    under_line = await setting.log.evidence(key, cosigned=trust.map_auditors)
    day, number = issued[0].placed.time // 86_400_000, setting.desk.settings.filing_number
    ruling = Ruling(Kind.SUSPEND, Listed((key,)), Reason.UNDER_REVIEW, day, number)
    assert setting.desk.record is not None
    await setting.log.submit([BareSubmission(issuer_entry(ruling, setting.desk.record))])

    class Behind:
        async def evidence(self, cert_key: bytes, *, cosigned: Sequence[VerifierKey] = ()) -> bytes:
            return under_line if cosigned else await setting.log.evidence(cert_key)

    (found,) = (await newest_evidence(out, issued, Behind(), trust, sleep)).values()
    assert parse_certificate_state(found.state).status is CertificateStatus.SUSPENDED
    assert without_line({"it": found}, trust) == ["it"]


async def test_without_auditors_in_the_settings_nobody_waits(setting: Setting, tmp_path: Path) -> None:
    issued, trust, out = await logged(setting, tmp_path, 2), setting.desk.settings.trust, tmp_path / "out"
    found = await missing_evidence(out, issued, setting.log, trust, sleep)
    assert without_line(found, trust) == [] and setting.log.asked_for_lines == 0


@pytest.mark.parametrize("wait_s", [LINE_S, 0])
async def test_who_gets_no_line_keeps_nobody_from_theirs(setting: Setting, tmp_path: Path, wait_s: int) -> None:
    issued, trust, out = await logged(setting, tmp_path, TOGETHER + 1), audited(setting), tmp_path / "out"
    setting.log.line_after = 0
    changed = {cert_key_of(item.certificate.secret) for item in issued[:TOGETHER]}

    class Some:
        async def evidence(self, cert_key: bytes, *, cosigned: Sequence[VerifierKey] = ()) -> bytes:
            if cosigned and cert_key in changed:
                raise Unavailable(Text("没有应答", "changed since the last line"))
            return await setting.log.evidence(cert_key, cosigned=cosigned)

    found = await newest_evidence(out, issued, Some(), trust, sleep, wait_s=wait_s)
    assert without_line(found, trust) == sorted(item.number for item in issued[:TOGETHER])


async def test_an_answer_that_never_comes_is_waited_for_as_long_as_is_said(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("issuer.proofs._ANSWER_S", 0.01)
    issued, trust = await logged(setting, tmp_path, 1), audited(setting)

    class Silent:
        async def evidence(self, cert_key: bytes, *, cosigned: Sequence[VerifierKey] = ()) -> bytes:
            if cosigned:
                await asyncio.Event().wait()
            return await setting.log.evidence(cert_key)

    found = await newest_evidence(tmp_path / "out", issued, Silent(), trust, sleep)
    assert without_line(found, trust) == [issued[0].number]
