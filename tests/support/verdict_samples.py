"""Filled-in verdicts of every code, and a verifier behind the pages that answers with them."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

from msgspec import structs
from prometheus_client import CollectorRegistry

from ledger.errors import Malformed, Unavailable
from ledger.text import Text
from verifier.hosts import shown_host
from verifier.verdict import (
    CAUSES,
    GREEN,
    SHOWS_NOTHING,
    CertificateView,
    Code,
    CurrentGrade,
    Finding,
    IssuerView,
    Outcome,
    ProofView,
    Source,
    Verdict,
    without_item,
)
from verifier.web.readiness import Readiness

NOW_MS = 1_795_349_403_000  # 2026-11-22 20:10:03 in Shanghai
NAME = "欧阳测样"
NUMBER = "Y000051001064253000017"
DETAIL = {
    Code.WRONG_DOMAIN: {
        "found_host": shown_host("zscx.osta-query.example"),
        "official_host": "verify.example",
    },
    Code.REVOKED: {"since": "2026-03-01", "reason_zh": "评价资料不实", "reason_en": "false assessment records"},
    Code.ENDED: {"since": "2026-03-01"},
    Code.SUSPENDED: {"cause": "issuer", "since": "2026-03-01", "reason_zh": "核查中", "reason_en": "under review"},
    Code.STALE: {"cause": "unreached"},
}
STEPS = (
    ("host", "二维码指向官方网址", "The code leads to the official site"),
    ("readable", "内容完整可读", "The content is complete and readable"),
    ("signature", "发证机构的签名与内容一致", "The issuer's signature fits the content"),
    ("in_log", "已记入登记日志，并有证明", "Entered in the log, with a proof"),
    ("scope", "发证时已备案该职业和等级", "The issuer was accredited for this at the issue date"),
    ("status", "当前状态正常", "In good standing now"),
    ("fresh", "登记日志为最新", "The log is up to date"),
)


def photo() -> bytes:
    """A grey 75 × 105 PNG with a lighter oval: no real face."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = bytearray()
    for y in range(105):
        rows.append(0)
        for x in range(75):
            head = ((x - 37) / 17) ** 2 + ((y - 40) / 23) ** 2 < 1
            body = ((x - 37) / 33) ** 2 + ((y - 105) / 38) ** 2 < 1
            rows.append(150 if head else 90 if body else 225)
    header = struct.pack(">IIBBBBB", 75, 105, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def certificate() -> CertificateView:
    return CertificateView(
        number=NUMBER,
        name=NAME,
        personal_available=True,
        photo=photo(),
        grade_ordinal=4,
        grade=Text("三级/高级工", "Level III / Senior worker"),
        occupation_code="6-31-01-03",
        occupation="电工",
        trade="",
        issue_day=20_412,
        assessment_day=20_390,
        logged_at_ms=NOW_MS - 365 * 86_400_000,
        status="in_force",
        current=CurrentGrade(Text("三级/高级工", "Level III / Senior worker"), 4, "", True, None),
        person_linked=True,
    )


def findings(bad: str = "") -> tuple[Finding, ...]:
    """All seven steps; those after the failed step `bad` were not done."""
    outcome, out = Outcome.PASS, []
    for step, zh, en in STEPS:
        out.append(Finding(step, Outcome.FAIL if step == bad else outcome, Text(zh, en)))
        if step == bad:
            outcome = Outcome.SKIPPED
    return tuple(out)


def sample(code: Code) -> Verdict:
    """A verdict of this code with every field filled that it may show."""
    detail = DETAIL.get(code, {})
    if code in SHOWS_NOTHING:
        bad = {Code.TAMPERED: "signature", Code.WRONG_DOMAIN: "host", Code.NOT_FOUND: "in_log"}.get(code, "")
        asked = code is Code.NOT_FOUND
        return without_item(
            code,
            NOW_MS,
            source=Source.REPLICA if asked else Source.CODE,
            as_of_ms=NOW_MS - 4_000 if asked else None,
            findings=findings(bad) if bad else (),
            **detail,
        )
    shown = certificate()
    if code is Code.VALID_UPGRADED:
        higher = CurrentGrade(Text("二级/技师", "Level II / Technician"), 5, "", False, 20_513)
        shown = structs.replace(shown, current=higher)
    if code is Code.VALID_CORRECTED:
        shown = structs.replace(shown, corrected_day=shown.issue_day + 40)
    status = {
        Code.SUSPENDED: "suspended",
        Code.REVOKED: "revoked",
        Code.ENDED: "ended",
        Code.OFFLINE_SIGNATURE_OK: "unknown",
    }
    if code in status:
        lower = CurrentGrade(Text("四级/中级工", "Level IV / Intermediate worker"), 3, "", False, 19_000)
        shown = structs.replace(shown, status=status[code], current=lower)
    offline = code is Code.OFFLINE_SIGNATURE_OK
    if offline:
        shown = structs.replace(shown, current=None, photo=None, logged_at_ms=None, person_linked=False)
    lag = {Code.STALE: 7 * 3_600_000, Code.OFFLINE_BUNDLE_OK: 3 * 3_600_000}.get(code, 4_000)
    scope = code is not Code.ISSUER_OUT_OF_SCOPE
    return Verdict(
        code=code,
        checked_at_ms=NOW_MS,
        as_of_ms=None if offline else NOW_MS - lag,
        source=Source.CODE if offline else Source.BUNDLE if code is Code.OFFLINE_BUNDLE_OK else Source.REPLICA,
        certificate=shown,
        issuer=IssuerView("Y000051001064", "四川某某职业技术学院", None if offline else scope),
        findings=findings() if code in GREEN else findings("" if offline else "scope" if not scope else "status"),
        proof=None
        if offline
        else ProofView(
            "log.skills.example/sc2026",
            12_345,
            "1f" * 32,
            1_048_577,
            "a3" * 32,
            NOW_MS - lag,
            "0c" * 32,
        ),
        detail=detail,
    )


def caused() -> list[Verdict]:
    """A verdict of every cause of every code that has any."""
    values = {"since": "2026-03-01", "reason_zh": "核查中", "reason_en": "under review"}
    return [
        replace(sample(code), detail={"cause": cause.value, **{key: values[key] for key in keys}})
        for code, causes in CAUSES.items()
        for cause, keys in causes.items()
    ]


class FakeServices:
    """Answers with the sample of the code that is asked for, and remembers what reached it."""

    def __init__(self) -> None:
        self.metrics = CollectorRegistry()
        self.asked: list[tuple[str, object]] = []
        self.readiness = Readiness(True, {"log_size": 7})

    async def by_secret(self, secret_text: str) -> Verdict:
        self.asked.append(("secret", secret_text))
        return self._answer(secret_text)

    async def by_text(self, text: str) -> Verdict:
        self.asked.append(("text", text))
        return self._answer(text.rpartition("/")[2])

    async def by_file(self, data: bytes, filename: str) -> Verdict:
        self.asked.append(("file", (data, filename)))
        return sample(Code.VALID)

    async def evidence(self, cert_key: bytes, *, size: int | None = None, day: int | None = None) -> bytes:
        self.asked.append(("evidence", (cert_key, size, day)))
        return b"evidence"

    def ready(self) -> Readiness:
        return self.readiness

    def _answer(self, name: str) -> Verdict:
        if name == "MALFORMED":
            raise Malformed("secret")
        if name == "DOWN":
            raise Unavailable(Text("没有应答", "ledger at 10.0.0.7"))
        if name == "BUG":
            raise KeyError(name)
        return sample(Code(name)) if name in set(Code) else without_item(Code.NOT_FOUND, NOW_MS)
