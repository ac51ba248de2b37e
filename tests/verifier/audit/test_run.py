"""A lying log: every lie is found, the first bad index is named, and what proves it is kept."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from ledger.errors import Unverified
from ledger.records.appointment import Appoint
from ledger.records.dates import batch_day, format_day
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Listed, Ruling
from ledger.records.refusals import Refusal
from ledger.records.rules import certificates, signers
from ledger.records.seal import CHAIN_START, Seal, extend_chain, parse_seal
from ledger.records.statements import issue_entry, issuer_entry
from ledger.tlog.add_checkpoint import checkpoint_path
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.keys import Ed25519Signer
from ledger.tlog.merkle import leaf_hash
from ledger.tlog.note import VerifierKey
from ledger.tlog.policy import Policy, Witness, format_policy
from ledger.tlog.tiles import format_entries, parse_entries
from tests.support.auditing import NOW, auditing, codes, settings_of
from tests.support.build_log import FILING, ISSUE_DAY, FakeLedger, LogBuilder, octets
from tests.support.lying_log import RawLog
from verifier.audit.config import EVIDENCE_FOLDER, Thresholds
from verifier.audit.evidence import BadEntryProof, Fork, parse_evidence, verify_evidence
from verifier.audit.run import MONITOR_MS, SCOPE_CODES, Audit, exit_code, open_audit
from verifier.former_config import FormerKeysConfig


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    builder = await LogBuilder.create(tmp_path / "log.db")
    for n in range(4):
        await builder.issue(*(builder.certificate(f"{n}-{m}") for m in range(30)))
    yield builder
    await builder.store.close()


async def entries_of(log: LogBuilder) -> list[bytes]:
    return await log.store.entries(0, log.integrator.size)


def revocation(log: LogBuilder, label: str) -> bytes:
    whom = Listed((log.certificate(label).issue.cert_key,))
    ruling = Ruling(Kind.REVOKE, whom, Reason.FRAUD, ISSUE_DAY + 1, FILING)
    return issuer_entry(ruling, log.record_key)


def resealed(entries: Sequence[bytes]) -> list[bytes]:
    """The entries with every chain value and place in the seals made to fit: only the map roots are as they were."""
    out: list[bytes] = []
    chain, previous = CHAIN_START, -1
    for entry in entries:
        if entry[:1] == b"\x87":
            seal = parse_seal(entry)
            entry = replace(seal, covered=len(out), chain=chain, previous=previous).encode()
            previous = len(out)
        out.append(entry)
        chain = extend_chain(chain, [leaf_hash(entry)])[-1]
    return out


async def evidence_in(audit: Audit) -> list[Fork | BadEntryProof]:
    """What was written out, checked as a stranger would."""
    found = [parse_evidence((audit.folder / EVIDENCE_FOLDER / name).read_bytes()) for name in audit.evidence_files()]
    for evidence in found:
        verify_evidence(evidence, audit.pins.origin, audit.pins.keys)
    return found


async def broken(audit: Audit, code: str, index: int | None) -> None:
    await audit.look(NOW)
    assert audit.result == "broken" and exit_code(audit.result) == 1
    assert codes(audit) == [code]
    assert audit.findings.first_bad_index == index


async def test_a_sound_log(log: LogBuilder, tmp_path: Path) -> None:
    await log.batch([revocation(log, "0-1")])
    sizes: list[int] = []
    async with auditing(tmp_path / "a", log, FakeLedger(log)) as audit:
        assert audit.result == "undecided"
        await audit.look(NOW, sizes.append)
        assert audit.result == "sound" and exit_code(audit.result) == 0 and audit.alarms() == []
        assert audit.replica.size == log.integrator.size == sizes[-1] and sizes == sorted(sizes)
        numbers = audit.replica.numbers
        assert (numbers.size, numbers.certificates, numbers.seals) == (log.integrator.size, 120, 6)
        assert numbers.statuses == {1: 119, 3: 1}
        assert audit.heads.count() == 1 and audit.evidence_files() == []
    async with auditing(tmp_path / "a", log, FakeLedger(log)) as audit:  # goes on where it was
        assert audit.replica.numbers == numbers
        await log.issue(log.certificate("more"))
        await audit.look(NOW)
        assert audit.result == "sound" and audit.replica.numbers.certificates == 121


async def test_a_clock_that_is_behind_convicts_nobody(log: LogBuilder, tmp_path: Path) -> None:
    async with auditing(tmp_path / "a", log, FakeLedger(log)) as audit:
        await audit.look(log.time - 120_000)
        assert audit.result == "undecided" and exit_code(audit.result) == 3 and audit.alarms() == []
        assert "future" in str(audit.findings.unavailable)
        await audit.look(log.time)
        assert audit.result == "sound"


async def test_the_world_does_not_answer(log: LogBuilder, tmp_path: Path) -> None:
    ledger = FakeLedger(log)
    async with auditing(tmp_path / "a", log, ledger) as audit:
        ledger.down = True
        await audit.look(NOW)
        assert audit.result == "undecided" and exit_code(audit.result) == 3
        ledger.down = False
        await audit.look(NOW)
        assert audit.result == "sound"


@pytest.mark.parametrize("bad", [0, 1, 3, 17, 33, 64, 126])
async def test_a_rewritten_entry(log: LogBuilder, tmp_path: Path, bad: int) -> None:
    """Other bytes than those under the signed root."""
    ledger = FakeLedger(log)
    path = f"tile/entries/000.p/{log.integrator.size}"
    entries = parse_entries(await ledger.tile(path), log.integrator.size)
    entries[bad] = entries[bad][:-1] + bytes([entries[bad][-1] ^ 1])
    ledger.altered[path] = format_entries(entries)
    async with auditing(tmp_path / "a", log, ledger) as audit:
        await broken(audit, "not_as_signed", bad)
        assert await evidence_in(audit) == []  # the log did not sign that


@pytest.mark.parametrize("bad", [3, 17, 64, 126])
async def test_a_rewritten_entry_that_the_log_signed_again(log: LogBuilder, tmp_path: Path, bad: int) -> None:
    entries = await entries_of(log)
    if entries[bad][:1] == b"\x87":
        bad -= 1
    entries[bad] = entries[bad][:-1] + bytes([entries[bad][-1] ^ 1])
    async with auditing(tmp_path / "a", log, RawLog(log, resealed(entries))) as audit:
        await broken(audit, "rule_broken", bad)
        (proof,) = await evidence_in(audit)
        assert isinstance(proof, BadEntryProof) and (proof.index, proof.entry) == (bad, entries[bad])


async def test_one_changed_grade(log: LogBuilder, tmp_path: Path) -> None:
    """With the issuer's help, so that the signature holds: the log's old seal gives it away."""
    entries = await entries_of(log)
    at = 3 + 31 + 12
    changed = log.certificate("1-12", grade=3)
    assert entries[at] == log.certificate("1-12").statement.entry
    entries[at] = issue_entry(changed.issue, log.record_key)
    async with auditing(tmp_path / "a", log, RawLog(log, resealed(entries))) as audit:
        await broken(audit, "seal_mismatch", 3 + 31 + 30)
        assert "map root" in audit.alarms()[0].text.en


async def test_one_changed_grade_among_thousands(tmp_path: Path) -> None:
    """Enough of them to be read in processes of their own, which name the same entry."""
    log = await LogBuilder.create(tmp_path / "log.db")
    for n in range(5):
        await log.issue(*(log.certificate(f"{n}-{m}") for m in range(500)))
    entries = await entries_of(log)
    async with auditing(tmp_path / "sound", log, RawLog(log, entries)) as audit:
        await audit.look(NOW)
        assert audit.result == "sound" and audit.replica.numbers.certificates == 2_500
    at = 3 + 3 * 501 + 77
    entries[at] = issue_entry(log.certificate("3-77", grade=3).issue, log.record_key)
    async with auditing(tmp_path / "helped", log, RawLog(log, resealed(entries))) as audit:
        await broken(audit, "seal_mismatch", 3 + 3 * 501 + 500)
    entries[at] = log.certificate("3-77", grade=3, signer=Ed25519Signer(octets("thief"))).statement.entry
    async with auditing(tmp_path / "alone", log, RawLog(log, resealed(entries))) as audit:
        await broken(audit, "rule_broken", at)
    await log.store.close()


async def test_a_hidden_revocation(log: LogBuilder, tmp_path: Path) -> None:
    """The statement stands in the log, but the seal's map root leaves it out."""
    entries = await entries_of(log)
    head = log.integrator.head
    assert head is not None
    last = parse_seal(entries[-1])
    entries.append(revocation(log, "0-1"))
    entries.append(Seal(len(entries), last.time + 1000, last.map_root, last.map_count, CHAIN_START, -1).encode())
    async with auditing(tmp_path / "a", log, RawLog(log, resealed(entries))) as audit:
        await broken(audit, "seal_mismatch", len(entries) - 1)
        assert audit.replica.size == head.size
        (proof,) = await evidence_in(audit)
        assert isinstance(proof, BadEntryProof) and proof.index == len(entries) - 1


async def test_a_wrong_map_root(log: LogBuilder, tmp_path: Path) -> None:
    entries = await entries_of(log)
    entries[64] = replace(parse_seal(entries[64]), map_root=octets("x")).encode()
    async with auditing(tmp_path / "a", log, RawLog(log, resealed(entries))) as audit:
        await broken(audit, "seal_mismatch", 64)


async def test_a_dropped_seal(log: LogBuilder, tmp_path: Path) -> None:
    entries = await entries_of(log)
    del entries[64]
    async with auditing(tmp_path / "a", log, RawLog(log, entries)) as audit:
        await broken(audit, "seal_mismatch", 94)


async def test_out_of_scope(log: LogBuilder, tmp_path: Path) -> None:
    entries = [*(await entries_of(log)), log.certificate("x", grade=6).statement.entry]
    entries.append(replace(parse_seal(entries[-2]), time=log.time + 5000).encode())
    async with auditing(tmp_path / "a", log, RawLog(log, resealed(entries))) as audit:
        await broken(audit, "scope_violation", len(entries) - 2)
        assert "SCOPE_ROW" in audit.alarms()[0].text.en


async def test_a_post_that_was_not_granted(log: LogBuilder, tmp_path: Path) -> None:
    assert log.filing().grants == ()
    of = log.certificate("post").issue
    post = Appoint(
        of.cert_key, FILING, of.occupation, "", 7, ISSUE_DAY, ISSUE_DAY, 0, "示例聘字1号", of.track_id, of.face,
        of.rest, prerequisite=log.certificate("0-1").issue.cert_key,
    )  # fmt: skip
    entries = [*(await entries_of(log)), issue_entry(post, log.record_key)]
    entries.append(replace(parse_seal(entries[-2]), time=log.time + 5000).encode())
    async with auditing(tmp_path / "a", log, RawLog(log, resealed(entries))) as audit:
        await broken(audit, "scope_violation", len(entries) - 2)
        assert "GRANT" in audit.alarms()[0].text.en


def test_every_refusal_about_scope_is_told_as_one() -> None:
    judges = (
        certificates.check_scope, certificates.check_grant, signers.check_active, signers.check_not_cancelled,
        signers.count_use,
    )  # fmt: skip
    told = {code for judge in judges for code in re.findall(r"Refusal\.(\w+)", inspect.getsource(judge))}
    assert told == {"SCOPE_WINDOW", "SCOPE_ROW", "GRANT", "FILING_NOT_ACTIVE", "CAP_REACHED"}
    assert told | {"FILING_UNKNOWN", "ISSUED_TOO_LATE", "ISSUED_IN_FUTURE"} == SCOPE_CODES <= set(Refusal)


async def test_a_forged_signature(log: LogBuilder, tmp_path: Path) -> None:
    thief = Ed25519Signer(octets("thief"))
    entries = [*(await entries_of(log)), log.certificate("x", signer=thief).statement.entry]
    entries.append(replace(parse_seal(entries[-2]), time=log.time + 5000).encode())
    async with auditing(tmp_path / "a", log, RawLog(log, resealed(entries))) as audit:
        await broken(audit, "rule_broken", len(entries) - 2)


@pytest.mark.parametrize("more", [0, 3, 300])
async def test_a_forked_tree(log: LogBuilder, tmp_path: Path, more: int) -> None:
    """A second history: smaller, as large, or larger than what was replayed."""
    ledger = FakeLedger(log)
    async with auditing(tmp_path / "a", log, ledger) as audit:
        await audit.look(NOW)
        ours = log.integrator.size
        fork = await LogBuilder.create(tmp_path / "fork.db")
        await fork.issue(*(fork.certificate(f"there {n}") for n in range(5 + more)))
        ledger.log = fork
        await broken(audit, "inconsistency", None)
        (evidence,) = await evidence_in(audit)
        assert isinstance(evidence, Fork)
        older, newer = verify_evidence(evidence, log.origin, log.signer.vkeys)
        assert {older.checkpoint.size, newer.checkpoint.size} == {ours, fork.integrator.size}
        assert codes(audit) == ["inconsistency"]
        assert audit.evidence_files()[0] in audit.alarms()[0].text.en
        await fork.store.close()
    async with auditing(tmp_path / "a", log, FakeLedger(log)) as audit:  # and it is not forgotten
        await audit.look(NOW)
        assert audit.result == "broken" and codes(audit) == ["inconsistency"]


async def test_a_fork_that_somebody_else_was_shown(log: LogBuilder, tmp_path: Path) -> None:
    """The log shows us one history; a bundle or a friend has a head of another."""
    fork = await LogBuilder.create(tmp_path / "fork.db")
    await fork.issue(fork.certificate("there"))
    async with auditing(tmp_path / "a", log, FakeLedger(log)) as audit:
        audit.see(fork.checkpoint(), "a friend", NOW)
        await audit.look(NOW)
        assert audit.result == "broken" and codes(audit) == ["inconsistency"]
        assert "a friend" in audit.heads.sources()
    await fork.store.close()


async def test_what_a_monitor_was_shown(log: LogBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head of a witness's monitoring API is compared like any other, but asked for once a minute only."""
    fork = await LogBuilder.create(tmp_path / "fork.db")
    await fork.issue(fork.certificate("there"))
    asked: list[str] = []

    async def shown(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=fork.checkpoint())

    app = web.Application()
    app.router.add_get("/w/{hash}/checkpoint", shown)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/w/"
    down = "http://127.0.0.1:1/"
    async with auditing(tmp_path / "a", log, FakeLedger(log), monitors=(url, down)) as audit:
        for now in (NOW, NOW + MONITOR_MS - 1, NOW + MONITOR_MS):
            await audit.ask_monitors(now)
            await audit.look(now)
            assert codes(audit) == ["inconsistency"]
        assert asked == ["/w/" + checkpoint_path(log.origin)] * 2
        with monkeypatch.context() as later:  # a clock that was set back makes no pause longer
            loop = asyncio.get_running_loop()
            steady = loop.time
            later.setattr(loop, "time", lambda: steady() + MONITOR_MS / 1000)
            await audit.ask_monitors(NOW - 3_600_000)
        assert len(asked) == 3
        assert url in audit.heads.sources()
    await runner.cleanup()
    await fork.store.close()


async def test_a_head_that_the_log_does_not_show(log: LogBuilder, tmp_path: Path) -> None:
    ledger = FakeLedger(log)
    async with auditing(tmp_path / "a", log, ledger) as audit:
        before = log.checkpoint()
        await log.issue(log.certificate("more"))
        ledger.altered["checkpoint"] = before
        audit.see(log.checkpoint(), "a friend", NOW)
        await audit.look(NOW)
        assert audit.result == "sound" and codes(audit) == ["head_unreached"]
        audit.see(log.checkpoint(), "the log itself", NOW, follow=True)
        await audit.look(NOW)
        assert codes(audit) == [] and audit.replica.size == log.integrator.size


async def test_an_old_head_shown_again(log: LogBuilder, tmp_path: Path) -> None:
    ledger = FakeLedger(log)
    old = log.checkpoint()
    await log.issue(log.certificate("more"))
    async with auditing(tmp_path / "a", log, ledger) as audit:
        await audit.look(NOW)
        ledger.altered["checkpoint"] = old
        await broken(audit, "not_as_signed", None)
        assert await evidence_in(audit) == []
        del ledger.altered["checkpoint"]
        await audit.look(NOW)
        assert audit.result == "sound"


async def test_a_smaller_head_signed_anew(log: LogBuilder, tmp_path: Path) -> None:
    head = log.integrator.head
    assert head is not None
    ledger = FakeLedger(log)
    await log.issue(log.certificate("more"))
    async with auditing(tmp_path / "a", log, ledger) as audit:
        await audit.look(NOW)
        smaller, skew_s = Checkpoint(log.origin, head.size, head.root), audit.pins.max_skew_ms // 1000
        ledger.altered["checkpoint"] = log.signer.sign(smaller, log.time // 1000 + skew_s)
        await broken(audit, "not_as_signed", None)  # it may be an old one of a clock that was put back
        assert audit.replica.halted is None
        ledger.altered["checkpoint"] = log.signer.sign(smaller, log.time // 1000 + skew_s + 1)
        await broken(audit, "inconsistency", None)


async def test_wrong_origin_and_wrong_keys(log: LogBuilder, tmp_path: Path) -> None:
    for n, other in enumerate(({"origin": "other.example"}, {"seed": "thief"})):
        wrong = await LogBuilder.create(tmp_path / f"{n}.db", **other)
        async with auditing(tmp_path / f"a{n}", log, FakeLedger(wrong)) as audit:
            await broken(audit, "not_as_signed", None)
            assert audit.heads.count() == 0
        await wrong.store.close()


async def test_another_genesis(log: LogBuilder, tmp_path: Path) -> None:
    other = await LogBuilder.create(tmp_path / "other.db", filed=False)
    raw = RawLog(log, await other.store.entries(0, 2))
    raw.entries[0] = log.filing_entry()
    async with auditing(tmp_path / "a", log, RawLog(log, raw.entries)) as audit:
        await broken(audit, "other_genesis", 0)
        assert "first compare the pin" in audit.alarms()[0].text.en
    await other.store.close()


async def test_a_policy_that_nobody_meets(log: LogBuilder, tmp_path: Path) -> None:
    key = VerifierKey("witness.example/w", 4, Ed25519Signer(octets("w")).public)
    policy = format_policy(Policy((), (Witness("w", key),), (), "w"))
    async with auditing(tmp_path / "a", log, FakeLedger(log), policy=policy) as audit:
        await audit.look(NOW)
        assert audit.result == "sound" and codes(audit) == ["no_quorum"]  # a warning


async def test_a_folder_from_before_the_log_changed_its_keys(log: LogBuilder, tmp_path: Path) -> None:
    """It opens, raises no alarm over what it holds, takes heads of then, and goes on under the keys of now."""
    await log.issue(log.certificate("one"))
    ledger, note = FakeLedger(log), log.checkpoint()
    async with auditing(tmp_path / "a", log, ledger) as audit:
        await audit.look(NOW)
    pair = FormerKeysConfig(tuple(key.format_vkey() for key in log.signer.vkeys), format_day(batch_day(log.time)))
    log.pair = "second"
    settings = settings_of(log)
    known = replace(settings, pins=replace(settings.pins, former_keys=(pair,)))
    for each in (known, settings):
        with ThreadPoolExecutor(2) as pool:
            async with open_audit(tmp_path / "a", each, ledger, pool, lambda: NOW) as audit:
                ledger.down = True
                await audit.look(NOW)
                assert (audit.result, codes(audit), audit.replica.size) == ("undecided", [], log.integrator.size)
                if each is known:
                    assert audit.see(note, "a file", NOW).size == log.integrator.size
                    continue
                with pytest.raises(Unverified):
                    audit.see(note, "a file", NOW)
                ledger.down = False
                await log.issue(log.certificate("two"))
                await audit.look(NOW)
                assert (audit.result, codes(audit), audit.replica.size) == ("sound", [], log.integrator.size)


async def test_detectors_speak_with_the_thresholds_of_the_settings(log: LogBuilder, tmp_path: Path) -> None:
    await log.issue(log.certificate("low", track="t", grade=2))
    await log.issue(log.certificate("mid", track="t", grade=3), log.certificate("high", track="t", grade=4))
    async with auditing(tmp_path / "a", log, FakeLedger(log), thresholds=Thresholds(burst_certificates=100)) as audit:
        await audit.look(NOW)
        assert audit.result == "sound" and codes(audit) == ["burst_after_filing", "track_rush"]
        rush = audit.alarms()[1]
        assert rush.total == 3 and rush.entries == (127, 130)
