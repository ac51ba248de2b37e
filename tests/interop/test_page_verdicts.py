"""What a verdict page says of a certificate of any fate is what the browser finds in the proof, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from ledger.records import canonical
from ledger.records.envelope import FaceContent
from ledger.records.evidence import format_evidence
from ledger.records.kinds import Kind
from ledger.records.qr import Code as QrCode
from ledger.records.qr import format_code, format_fragment
from ledger.records.rotation import LogKey
from ledger.reference_data import load_catalogue, load_ladder
from ledger.tlog.note import VerifierKey
from ledger.tlog.policy import NO_WITNESSES
from tests.support.builders import DAY, ORIGIN, correct, make_authority, make_body, ruling
from tests.support.page_modules import ask
from tests.support.sealed_log import AUDITOR_KEY, LOG_KEY, POLICY, SealedLog
from verifier.messages import load_messages, say_day_number
from verifier.proven import open_evidence
from verifier.register import register_of
from verifier.trust import Trust
from verifier.verdict import Source
from verifier.verify import Evidence, verify
from verifier.web.assets import load_assets
from verifier.web.trust_document import format_trust
from verifier.web.view import Pages

BASE = "https://cert.test.example"
NEXT = "log.test.example/next"
DAY_MS = 86_400_000
KEYS = (LOG_KEY, VerifierKey(ORIGIN, 6, bytes(1312)))
TRUST = Trust(
    ORIGIN, KEYS, bytes(32), (BASE,), 300_000, 60_000, load_ladder(), load_catalogue(), POLICY,
    map_auditors=(AUDITOR_KEY,),
)  # fmt: skip
PAGES = Pages(load_messages(), load_assets().names, BASE, 10, recheck=True)


class Reader(HTMLParser):
    """The text of everything that has a name, as a browser's `textContent` gives it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.shown: dict[str, str] = {}
        self.own: dict[str, str | None] = {}
        self._field = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if named.get("id") == "own":
            self.own = named
        if "data-f" in named:
            self._field = str(named["data-f"])
            self.shown[self._field] = ""

    def handle_endtag(self, tag: str) -> None:
        self._field = ""

    def handle_data(self, data: str) -> None:
        if self._field:
            self.shown[self._field] += data


def lives() -> tuple[SealedLog, dict[str, Any]]:
    """A log, and by name: certificates and posts of every fate."""
    one, ruler, log = make_body(grants=(7, 8)), make_authority(), SealedLog()
    made: dict[str, Any] = {
        name: one.certificate(name, person=name, grade=4)
        for name in ("valid", "suspended", "revoked", "replaced", "corrected")
    }
    made["lower"], made["higher"] = (one.certificate(f"p{grade}", person="p", grade=grade) for grade in (3, 6))
    made["technician"] = one.certificate("t", person="t", grade=6)
    log.batch([ruler.sign(ruler.genesis), ruler.sign(one.filing)])
    log.batch([each.statement for each in made.values()])
    made["post"] = one.post("post", on=made["technician"], person="t")
    log.batch([made["post"].statement])
    made["to come"] = one.post("to come", grade=8, on=made["technician"], person="t", first_day=DAY + 400)
    log.batch([made["to come"].statement])
    made["over"] = one.post("over", on=made["higher"], person="p", last_day=DAY + 1)
    log.batch([made["over"].statement])
    log.batch([one.sign(ruling(Kind.SUSPEND, made["suspended"])), one.sign(ruling(Kind.REVOKE, made["revoked"]))])
    log.batch([one.sign(correct(made["corrected"]))])
    made["again"] = one.reissue("again", made["replaced"])
    log.batch([made["again"].statement], log.time + 5 * DAY_MS)
    return log, made


def body_of(made: Any) -> Any:
    return made.appoint if hasattr(made, "appoint") else made.issue


def questions(log: SealedLog, made: dict[str, Any], lang: str) -> dict[str, dict[str, Any]]:
    trust, now_ms, asked = format_trust([TRUST], load_messages()).decode(), log.time + 2000, {}
    for name, each in made.items():
        evidence = log.evidence(body_of(each).cert_key)
        register = register_of(open_evidence(evidence, TRUST, now_ms, stapled=True), Source.EVIDENCE)
        face = None if name == "corrected" else FaceContent(each.face)
        verdict = verify(Evidence(QrCode(BASE, each.secret), register, face), TRUST, now_ms)
        page = Reader(PAGES.verdict(verdict, lang, linked=True).text)
        assert register.logged is not None
        index = register.logged.state.issue_index
        text = format_code(QrCode(BASE, each.secret, format_fragment(each.statement, each.face, index)))
        asked[name] = {
            "ask": "page", "cert_key": evidence.cert_key.hex(), "raw": format_evidence(evidence).hex(), "trust": trust,
            "now": now_ms, "text": text, "bases": [BASE],
            "page": {"code": page.own["data-code"], "lang": lang, "size": int(page.own["data-size"] or 0),
                     "shown": page.shown},
        }  # fmt: skip
    return asked


def test_pages_of_every_fate_are_confirmed_in_both_languages() -> None:
    log, made = lives()
    codes = set()
    for lang in ("zh", "en"):
        asked = questions(log, made, lang)
        codes |= {question["page"]["code"] for question in asked.values()}
        for name, told in zip(asked, ask(list(asked.values())), strict=True):
            wanted = ["name"] if name == "corrected" else []
            assert (told["outcome"], told["notes"]) == ("confirmed", wanted), (name, told)
        assert asked["technician"]["page"]["shown"]["held"] == TRUST.ladder.by_ordinal(7).text.of(lang)
    assert codes == {"valid", "valid_upgraded", "valid_corrected", "suspended", "revoked", "ended"}


def test_every_field_that_is_changed_left_out_or_added_turns_the_page_red() -> None:
    log, made = lives()
    asked = questions(log, made, "en")
    lies, labels = [], []
    for name, question in asked.items():
        shown = question["page"]["shown"]
        for field in [*shown, *({"held", "post", "current", "corrected", "assessed"} - set(shown))]:
            for value in ("Level I / Senior technician", None):
                if shown.get(field) == value or (value is None and field in ("name", "number")):
                    continue  # a missing name is said
                if field == "issuer" or (field == "line" and name != "to come"):
                    continue  # a body may have another name by now; the line repeats what the fields say
                changed = {key: text for key, text in shown.items() if key != field}
                changed |= {} if value is None else {field: value}
                lies.append({**question, "page": {**question["page"], "shown": changed}})
                labels.append((name, field, value))
        if name == "post":
            waits = load_messages().labels["post_to_come"].en.format(date=say_day_number(DAY, "en"))
            lies.append({**question, "page": {**question["page"], "shown": {**shown, "line": waits}}})
            labels.append((name, "line", waits))
        for code in ("valid", "revoked", "not_found"):
            if code != question["page"]["code"]:
                lies.append({**question, "page": {**question["page"], "code": code}})
                labels.append((name, "code", code))
    told = ask(lies)
    assert [label for label, one in zip(labels, told, strict=True) if one["outcome"] != "contradicted"] == []
    assert len(lies) > 250


def test_without_the_printed_code_name_and_number_are_the_sites_word() -> None:
    log, made = lives()
    question = questions(log, made, "zh")["valid"]
    other = {**question["page"], "shown": question["page"]["shown"] | {"issuer": "别的公司"}}
    told = ask([{**question, "text": ""}, {**question, "page": other}])
    assert [(one["outcome"], one["notes"]) for one in told] == [("confirmed", ["name"]), ("confirmed", ["body"])]
    old = ask([{**question, "now": question["now"] + 400_000}])[0]
    assert old["outcome"] == "stale"
    lone = replace(TRUST, map_auditors=())
    told = ask([{**question, "trust": format_trust([lone], load_messages()).decode()}])
    assert (told[0]["outcome"], told[0]["notes"]) == ("partly", ["auditor"])
    unseen = replace(TRUST, policy=NO_WITNESSES)
    told = ask([{**question, "trust": format_trust([unseen], load_messages()).decode()}])
    assert (told[0]["outcome"], told[0]["notes"]) == ("partly", ["unwitnessed"])


def test_a_closed_log_is_no_older_for_its_age() -> None:
    """Its last proof stays its last word. What the log that follows says cannot be told here, and that is said."""
    log, made = lives()
    before, seal = log.evidence(made["valid"].issue.cert_key), len(log.entries)
    log.batch([make_authority().sign(LogKey(DAY, successor=NEXT))])
    heir = replace(TRUST, origin=NEXT, keys=tuple(replace(key, name=NEXT) for key in TRUST.keys))
    trust = format_trust([TRUST, heir], load_messages()).decode()
    asked, later = questions(log, made, "en"), {"now": log.time + 400_000, "trust": trust}
    end = log.end()
    told = {"end": canonical.encode(end.as_value()).hex()}
    valid = asked["valid"]
    fresh, old, silent = ask([{**valid, **told}, {**valid, **later, **told}, {**valid, **later}])
    assert (fresh["outcome"], fresh["asked"]) == ("confirmed", False), "asked only where it counts"
    assert (old["outcome"], old["notes"], old["asked"]) == ("partly", ["closed"], True)
    assert silent["outcome"] == "stale"
    revoked = ask([{**asked["revoked"], **later, **told}])[0]
    assert (revoked["outcome"], revoked["asked"]) == ("partly", False)

    wrong = {
        "a successor that is not pinned": {"trust": valid["trust"]},
        "a statement that closes nothing": {"end": _end(log.entries[0], end.path)},
        "another place": {"end": _end(end.entry, end.path[1:])},
        "no end": {"end": "a0"},
        "no answer": {"end": "no network"},
        "bytes behind it": {"end": told["end"] + "00"},
        "a proof of before the end": {"raw": format_evidence(replace(before, checkpoint=log.checkpoint(seal))).hex()},
        "too few witnesses": {"raw": _by_note(log, valid, log.checkpoint(witnesses=1)).hex()},
        "of the future": {"now": log.time - 400_000},
    }
    outcomes = [one["outcome"] for one in ask([{**valid, **later, **told, **change} for change in wrong.values()])]
    assert dict(zip(wrong, outcomes, strict=True)) == dict.fromkeys(wrong, "stale")
    lie = {**valid["page"], "shown": valid["page"]["shown"] | {"grade": "Level I / Senior technician"}}
    assert ask([{**valid, **later, **told, "page": lie}])[0]["outcome"] == "contradicted"


def _end(entry: bytes, path: tuple[bytes, ...]) -> str:
    return canonical.encode([entry, list(path)]).hex()


def _by_note(log: SealedLog, question: dict[str, Any], note: bytes) -> bytes:
    return format_evidence(log.evidence(bytes.fromhex(question["cert_key"]), note=note))
