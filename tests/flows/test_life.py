"""The life of certificates by cert-issuer against a real ledger process, judged by folding what the log shows."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from issuer.__main__ import main
from issuer.acts.act import open_register
from issuer.desk import Desk, open_desk
from issuer.register import Held
from issuer.roster.forms import REPORTING_SHEET, column_title
from issuer.sample import sample_lines
from ledger.console.bodies import read_body
from ledger.records.appointment import Appoint
from ledger.records.authority import FiledKey, Filing, FilingRow
from ledger.records.cose import sign_part
from ledger.records.dates import date_of, format_day
from ledger.records.kinds import Audience, CertificateStatus, IssuerKind
from ledger.records.life import Ruling
from ledger.records.number import build_number
from ledger.records.proposal import read_proposal
from ledger.records.rotation import AuthorityChange
from ledger.records.seal import is_seal, parse_seal
from ledger.records.state import CertificateState
from ledger.records.statements import Statement, parse_statement
from ledger.reference_data import load_catalogue
from ledger.scan import read_pdf
from ledger.tlog.tiles import EntriesTile, format_tile_path, parse_entries
from ledger.wire import Logged
from tests.support.builders import id_number, make_authority, sign_together
from tests.support.live_ledger import ROOT, LiveLedger, live_body, today
from tests.support.memory_log import MemoryLog
from verifier.audit.console import main as audit

S = CertificateStatus
NUMBER = "Y000051000031"
PASSPHRASE = "a passphrase of the tests"
ROWS = 8


@dataclass
class Office:
    """An issuer's folder, its ledger, and the sheets it writes."""

    live: LiveLedger
    folder: Path
    work: Path
    numbers: list[str]
    people: list[list[str]]

    def run(self, command: str, *arguments: object) -> int:
        return main([command, "--dir", str(self.folder), *map(str, arguments)])

    def act(self, command: str, *arguments: object) -> int:
        return self.run(command, *arguments, "--yes", "--no-pdf")

    def spawn(self, command: str, *arguments: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "issuer", command, "--dir", str(self.folder), *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | {"CERT_ISSUER_PASSPHRASE": PASSPHRASE},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def sheet(self, name: str, titles: Sequence[str], *lines: Sequence[str]) -> Path:
        path = self.work / name
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([titles, *lines])
        return path

    def desk(self) -> Desk:
        return open_desk(self.folder, lambda: PASSPHRASE.encode())

    def audited(self) -> int:
        """The exit code of an audit of the whole log with every bundle that the issuer's folder holds."""
        vkeys = [part for key in self.live.keys for part in ("--vkey", key.format_vkey())]
        pins = ["--origin", self.live.authority.origin, *vkeys, "--genesis", sha256(self.entries()[0]).hexdigest()]
        return audit(
            [self.live.url, "--dir", str(self.work / "audit"), "--quiet", *pins, "--openings", str(self.folder)]
        )

    def held(self, number: str) -> Held:
        found = open_register(self.desk()).find(number)
        assert found is not None
        return found

    def entries(self) -> list[bytes]:
        async def fetch() -> list[bytes]:
            async with self.live.client() as client:
                size = self.live.open(await client.checkpoint()).checkpoint.size
                found: list[bytes] = []
                for at in range(0, size, 256):
                    width = min(256, size - at)
                    bundle = await client.tile(format_tile_path(EntriesTile(at // 256, width)))
                    found += parse_entries(bundle, width)
                return found

        return asyncio.run(fetch())

    def statements(self, kind: type) -> list[Statement]:
        parsed = (parse_statement(entry) for entry in self.entries() if not is_seal(entry))
        return [statement for statement in parsed if isinstance(statement.body, kind)]

    def state(self, number: str) -> CertificateState:
        """What everybody who folds the log says of the certificate that bears this number now."""
        return self.state_of(self.held(number).cert_key)

    def state_of(self, cert_key: bytes) -> CertificateState:
        log, waiting = MemoryLog(), []
        for entry in self.entries():
            if not is_seal(entry):
                waiting.append(entry)
                continue
            for each in waiting:
                log.add(parse_statement(each), parse_seal(entry).time)
            waiting = []
            log.size += 1  # the seal's own place
        return log.certificates[cert_key]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setenv("CERT_ISSUER_PASSPHRASE", PASSPHRASE)
    live = LiveLedger.create(tmp_path / "log", "life")
    live.start()
    try:
        yield open_office(live, tmp_path)
    finally:
        live.stop()


def open_office(live: LiveLedger, work: Path) -> Office:
    """Keys, a filing that lists them and may appoint, settings, and eight certificates, one of them 高级技师."""
    folder, day = work / "issuer", today() - 2
    assert main(["keygen", "--dir", str(folder), "--light"]) == 0
    public = json.loads((folder / "public.json").read_text())
    record, request = (bytes.fromhex(public[name]) for name in ("record_key", "request_key"))
    body = live_body("life", number=NUMBER)
    rows = tuple(
        FilingRow(code, "", (2, 3, 4, 5, 6), Audience.PUBLIC, today() - 400)
        for code in ("2-02-38-01", "4-04-05-13", "4-10-01-05", "6-18-01-01")
    )
    filing = replace(
        body.filing, kind=IssuerKind.EMPLOYER, rows=rows, grants=(7, 8),
        record_keys=(FiledKey(record, today() - 400),), request_keys=(FiledKey(request, today() - 400),),
    )  # fmt: skip
    asyncio.run(live.file(replace(body, filing=filing)))
    vkeys = [part for key in live.keys for part in ("--vkey", key.format_vkey())]
    base = ["--ledger", live.url, "--origin", live.authority.origin, *vkeys, "--filing", NUMBER]
    assert main(["init", "--dir", str(folder), *base, "--verify-url", "https://verify.example"]) == 0
    lines = list(sample_lines(ROWS, NUMBER, 1, issue_day=day, catalogue=load_catalogue(), body=filing.name))
    lines[0][6], lines[0][7] = "1", build_number(NUMBER, date_of(day).year, 1, 9001)
    office = Office(live, folder, work, [line[7] for line in lines], lines)
    titles = [column_title(name) for name in REPORTING_SHEET]
    assert office.run("issue", office.sheet("roster.csv", titles, *lines), "--yes", "--no-pdf") == 0
    return office


RULING = ("证书编号", "原因", "备注")
CORRECTION = ("证书编号", "新姓名", "证件类型", "新证件号码", "原因")


def test_suspend_restore_and_revoke_by_sheet(office: Office) -> None:
    one, two, three = office.numbers[1:4]
    sheet = office.sheet("suspend.csv", RULING, (one, "核查中", "x"), (two, "under review", ""), (three, "其他", ""))
    assert office.act("suspend", "--from", sheet) == 0
    assert [office.state(n).status for n in (one, two, three)] == [S.SUSPENDED] * 3
    assert len(office.statements(Ruling)) == 2, "one list for each reason"
    assert office.act("suspend", "--from", sheet) == 0
    assert len(office.statements(Ruling)) == 2, "the same command again signs nothing"

    assert office.act("restore", "--from", office.sheet("restore.csv", RULING, (one, "核查无误", ""))) == 0
    assert office.act("revoke", "--number", two, "--reason", "fraud") == 0
    assert [office.state(n).status for n in (one, two, three)] == [S.IN_FORCE, S.REVOKED, S.SUSPENDED]
    assert office.act("restore", "--number", two, "--reason", "cleared") == 1, "only the authority takes that back"
    assert office.state(two).status is S.REVOKED
    bad = office.sheet("bad.csv", RULING, (one, "核查中", ""), ("123", "?", ""))
    assert office.act("suspend", "--from", bad) == 1 and office.state(one).status is S.IN_FORCE

    held = office.held(office.numbers[5])
    at = held.placed.proof.index
    assert office.act("suspend", "--range", at, at, "--reason", "other") == 0
    assert office.state(held.number).status is S.SUSPENDED
    first = office.held(two).placed.proof.index
    assert office.act("revoke", "--range", first, 9999, "--reason", "fraud") == 0, "it was revoked for that today"
    assert {office.state(n).status for n in office.numbers if office.held(n).placed.proof.index >= first} == {S.REVOKED}


def test_corrections_by_the_body_and_by_the_authority(office: Office) -> None:
    one, two, three = office.numbers[1:4]
    before = office.held(two)
    sheet = office.sheet(
        "correct.csv", CORRECTION,
        (one, "例改名", "", "", "姓名变更"),
        (two, "", "居民身份证", id_number("the right document"), "登记信息有误"),
        (three, "例都改", "居民身份证", id_number("both"), "登记信息有误"),
    )  # fmt: skip
    out = office.work / "corrected"
    assert office.act("correct", "--from", sheet, "--out", out) == 1, "the third waits for the authority"
    assert office.held(one).current.face.name == "例改名"
    assert office.state(one).commitment_leaf == parse_statement(office.held(one).current.entry).leaf_hash
    assert office.state(two).track_id == office.held(two).track_id != before.track_id
    old = office.state(three)

    proposal = read_proposal((out / "proposals" / f"{three}.proposal").read_bytes())
    people = office.live.authority.people[:2]
    parts = tuple(sign_part(proposal.protected, proposal.payload, person) for person in people)
    signed = office.work / "three.statement"
    signed.write_bytes(proposal.signed(parts))
    assert office.act("correct", "--signed", signed, "--reissue") == 0
    assert office.held(three).current.face.name == "例都改"
    assert office.state(three).track_id != old.track_id
    assert office.state_of(before.cert_key).status is S.IN_FORCE
    assert office.run("print", "--number", one, "--out", office.work / "again") == 0
    pdf = (office.work / "again" / "certificates" / f"{one}.pdf").read_bytes()
    found = read_pdf(pdf)
    assert any("https://verify.example/c/" in text for text in found.qr_texts)
    assert not any("#q" in text for text in (*found.qr_texts, *found.page_texts))


def test_reissue_appoint_and_end(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    top, one = office.numbers[0], office.numbers[1]
    old = office.held(one)
    assert office.act("reissue", "--number", one) == 0
    new = office.held(one)
    assert office.state_of(old.cert_key).status is S.REPLACED and office.state(one).status is S.IN_FORCE
    assert office.state_of(old.cert_key).successor == new.cert_key

    day = format_day(today() - 1)
    number = f"{NUMBER}{date_of(today() - 1).year % 100:02}T000001"
    titles = ("姓名", "证件类型", "证件号码", "职业名称", "工种名称", "岗位", "证书编号", "文件日期", "聘期开始",
              "聘任文件", "前置证书编号")  # fmt: skip
    person = office.people[0]
    line = (person[0], person[1], person[2], person[4], person[5], "特级技师", number, day, day, "示例聘字1号", top)
    assert office.act("appoint", "--from", office.sheet("posts.csv", titles, line)) == 0
    body = office.held(number).body
    assert isinstance(body, Appoint) and body.track_id == office.held(top).track_id
    summary = office.state(top).summary
    assert [post.cert_key for post in summary.posts] == [body.cert_key]
    assert office.act("end-appointment", "--number", number, "--date", format_day(today())) == 0
    assert office.state(number).status is S.ENDED and not office.state(top).summary.posts
    bundles = [path.stem for path in office.folder.rglob("*.certbundle")]
    assert bundles.count(one) == 2 and number in bundles
    assert office.audited() == 0, capsys.readouterr().out


def test_other_people_take_over_the_authority(office: Office) -> None:
    live, folder = office.live, office.work / "again"
    before = live.authority
    after = make_authority("successors", people=2, origin=before.origin)
    change = AuthorityChange(tuple(sorted(person.public for person in after.people)), 2, today())
    filed = replace(office.statements(Filing)[0].body, name="更名后的示例公司", change=True)
    entries = [
        sign_together(change, [*before.people[:2], *after.people], before.origin).entry,
        after.sign(filed).entry,
    ]

    async def submit() -> None:
        async with live.client() as client:
            for entry in entries:
                assert isinstance((await client.submit_authority(entry)).answers[0], Logged)

    asyncio.run(submit())
    settings = office.desk().settings
    folder.mkdir()
    shutil.copy(office.folder / "issuer.keys", folder)
    vkeys = [part for line in settings.log_keys for part in ("--vkey", line)]
    base = ["--ledger", live.url, "--origin", settings.origin, *vkeys, "--filing", NUMBER]
    assert main(["init", "--dir", str(folder), *base, "--verify-url", "https://verify.example"]) == 0
    assert open_desk(folder, None).saved_filing() == filed
    assert office.act("revoke", "--number", office.numbers[1], "--reason", "fraud") == 0
    lines = list(sample_lines(2, NUMBER, 9, issue_day=today() - 2, catalogue=load_catalogue(), body=filed.name))
    for at, line in enumerate(lines):
        line[7] = build_number(NUMBER, date_of(today() - 2).year, int(line[7][15]), 9100 + at)
    roster = office.sheet("more.csv", [column_title(name) for name in REPORTING_SHEET], *lines)
    assert office.run("issue", roster, "--yes", "--no-pdf") == 0
    assert office.desk().saved_filing() == filed


def test_a_key_is_retired(office: Office) -> None:
    assert office.act("key", "retired") == 0
    assert office.act("revoke", "--number", office.numbers[0], "--reason", "fraud") == 1
    assert office.state(office.numbers[0]).status is S.IN_FORCE


def test_an_old_roster_with_a_late_permit(office: Office) -> None:
    old = today() - 100
    lines = list(sample_lines(2, NUMBER, 5, issue_day=old, catalogue=load_catalogue(), body="示例机械有限公司"))
    roster = office.sheet("old.csv", [column_title(name) for name in REPORTING_SHEET], *lines)
    assert office.run("issue", roster, "--yes", "--no-pdf") == 1
    request = office.work / "late.toml"
    assert office.run("late-permit", roster, "--reason", "其他", "--request", request, "--yes") == 0
    permit = office.live.authority.sign(read_body("late-permit", request.read_text("utf-8"), today()))
    file = office.work / "late.statement"
    file.write_bytes(permit.entry)
    assert office.run("issue", roster, "--permit", file, "--no-pdf") == 1, "the permit is not in the log yet"

    async def submit() -> None:
        async with office.live.client() as client:
            await client.submit_authority(permit.entry)

    asyncio.run(submit())
    assert office.run("issue", roster, "--permit", file, "--no-pdf") == 0
    assert [office.state(line[7]).status for line in lines] == [S.IN_FORCE] * 2


def test_kill_9_in_the_middle_and_the_same_command(office: Office) -> None:
    """The process dies at moments of chance, the ledger too: each certificate gets one statement, and no other."""
    draw = random.Random(20261125)
    lines = [(number, "核查中", "", format_day(today() - at)) for at, number in enumerate(office.numbers)]
    sheet = office.sheet("many.csv", (*RULING, "生效日期"), *lines)
    arguments: tuple[Any, ...] = ("--from", sheet, "--yes")
    for _ in range(6):
        process = office.spawn("suspend", *arguments)
        time.sleep(draw.uniform(0.8, 2.2))
        process.kill()
        process.wait()
        if draw.random() < 0.5:
            office.live.kill()
            office.live.start()
    assert office.act("suspend", "--from", sheet) == 0
    assert [office.state(number).status for number in office.numbers] == [S.SUSPENDED] * ROWS
    assert len(office.statements(Ruling)) == ROWS
