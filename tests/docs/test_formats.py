"""docs/formats.cddl fits what the code writes and nothing near it; the documents' tables and hex are current."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import cbor2
import pytest
from msgspec.structs import replace as renewed

from ledger.records import canonical
from ledger.records.commitments import Field
from ledger.records.envelope import FaceContent, RestContent
from ledger.records.kinds import CertificateStatus, Kind
from ledger.records.receipt import ReceiptOf, format_receipt
from ledger.records.state import Appointment, Highest, TrackSummary, parse_certificate_state
from tests.support.builders import ORIGIN, TRADE, make_authority, make_body, octets
from tests.support.cddl import Cddl
from tests.support.kits import MAKER, SAMPLE_KIT
from tests.support.make_docs import DOCS, DOCUMENTS, filled
from tests.support.make_vectors import VECTORS
from verifier.kit.format import sign_kit

CDDL = Cddl((DOCS / "formats.cddl").read_text(encoding="utf-8"))
BODY = make_body(grants=(7, 8), latin_name="Sample Works")
FULL = BODY.certificate("full", trade=TRADE, person_unlinked=True)


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def samples() -> list[tuple[str, bytes]]:
    """Rule and real encoding, at least one for every structure of the file."""
    statements, found = vectors("statements"), []
    for case in statements["statements"].values():
        rule = rule_of(cbor2.loads(bytes.fromhex(case["payload"])))
        found += [("entry", bytes.fromhex(case["entry"])), (rule, bytes.fromhex(case["payload"]))]
        header = "issuer-header" if case["issuer"] != ORIGIN else "authority-header"
        found.append((header, bytes.fromhex(case["protected"])))
    found.append(("filing", canonical.encode(BODY.filing.as_map())))
    found.append(("authority-statement", make_authority().sign(BODY.filing).entry))
    for case in statements["certificates"].values():
        found += [("bundle", bytes.fromhex(case["bundle"])), ("staple", bytes.fromhex(case["staple"]))]
        found += [("field", bytes.fromhex(opening)) for opening in case["rest_openings"]]
        found.append(("rest", cbor2.dumps([bytes.fromhex(digest) for digest in case["rest_digests"]])))
        face = case["face"]
        found.append(("face", cbor2.dumps([bytes.fromhex(face["salt"]), face["number"], face["name"]])))
    found += [("seal", bytes.fromhex(case["entry"])) for case in vectors("seal")["seals"]]
    found += [("qr-fragment", bytes.fromhex(case["fragment"])) for case in vectors("qr")["codes"]]
    found += [("evidence", bytes.fromhex(case["evidence"])) for case in vectors("evidence")["holds"]]
    path = (octets("one"), octets("two"))
    found.append(("receipt", format_receipt(ReceiptOf("log.example/1", octets("kid", 8), 4, 1, path, octets("s", 64)))))
    for step in vectors("fold")["steps"] + vectors("fold")["life"]:
        for raw in map(bytes.fromhex, step.get("states", {}).values()):
            rule = {0x8D: "filing-state", 0x93: "certificate-state", 0x89: "authority-state"}[raw[0]]
            found.append((rule, raw))
    rules = {0x8D: "filing-state", 0x93: "certificate-state", 0x8B: "claim-state", 0x82: "nullifier-state"}
    for step in vectors("fold")["claims"]:
        found += [(rules[raw[0]], raw) for raw in map(bytes.fromhex, step.get("states", {}).values())]
    holder, decision = statements["claim_openings"]["holder"], statements["claim_openings"]["decision"]
    found.append(("claim-holder", cbor2.dumps([bytes.fromhex(part) for part in holder])))
    found.append(("claim-decision", cbor2.dumps([bytes.fromhex(decision[0]), decision[1], bytes.fromhex(decision[2])])))
    state = parse_certificate_state(next(raw for rule, raw in found if rule == "certificate-state"))
    both = Appointment(8, octets("b"), 12, 20_700, 20_900), Appointment(7, octets("a"), 10, 20_600, 0)
    summary = TrackSummary(Highest(5, TRADE, octets("k"), 9), both)
    later = renewed(state, status=CertificateStatus.REPLACED, successor=octets("s"), summary=summary).with_summary(
        summary
    )
    found.append(("certificate-state", later.encode()))
    found.append(("certificate-state", renewed(later, kind=Kind.APPOINT, grade=7).encode()))
    id_document = FULL.openings[0]
    assert id_document.field is Field.ID_DOCUMENT
    found.append(("id-document", canonical.encode(id_document.value)))
    face, rest = FaceContent(FULL.face, b"jpeg"), RestContent(FULL.digests, FULL.openings[1:])
    opening = face.opening
    found.append(("face-content", canonical.encode([opening.salt, opening.number, opening.name, face.thumbnail])))
    found.append(("rest-content", canonical.encode([list(rest.digests), [part.as_value() for part in rest.openings]])))
    found += [("kit-body", SAMPLE_KIT.body()), ("kit", sign_kit(SAMPLE_KIT, "kit.example", MAKER))]
    return found


RULES = {
    1: "genesis", 2: "authority-change", 4: "filing", 5: "filing", 6: "filing-standing", 7: "late-permit",
    8: "key-standing", 9: "published", 10: "published", 12: "issue", 14: "end-appointment", 15: "correct",
    11: "pack", 19: "reissue", 20: "claim", 21: "ended-claim", 22: "ended-claim", 23: "payment",
}  # fmt: skip


def rule_of(payload: dict[int, Any]) -> str:
    """The rule of a payload map, as narrow as the file has one."""
    match payload:
        case {1: 3}:
            return "end-of-log" if 5 in payload else "new-log-keys"
        case {1: 13}:
            return "post-on-certificate" if 15 in payload else "post-on-permit"
        case {1: 16 | 17 | 18}:
            return "ruling-of-many" if 2 in payload else "ruling-of-range" if 3 in payload else "ruling-of-one"
    return RULES[payload[1]]


SAMPLES = samples()
TOP = {
    "entry",
    "bundle",
    "evidence",
    "staple",
    "receipt",
    "qr-fragment",
    "certificate-state",
    "filing-state",
    "authority-state",
    "claim-state",
    "nullifier-state",
    "claim-holder",
    "claim-decision",
    "face-content",
    "rest-content",
    "id-document",
    "kit",
}


@pytest.mark.parametrize("at", range(len(SAMPLES)))
def test_real_encodings_fit(at: int) -> None:
    rule, raw = SAMPLES[at]
    assert CDDL.accepts(rule, raw), rule


def near(value: Any) -> Iterator[Any]:
    """Values one step away: a key or item more, fewer, or of a type that stands nowhere."""
    if isinstance(value, dict):
        yield {**value, 99: 0}
        for key in value:
            yield {at: item for at, item in value.items() if at != key}
            yield {**value, key: 1.5}
    elif isinstance(value, list):
        yield [*value, 1.5]
        for at in range(len(value)):
            yield [*value[:at], 1.5, *value[at + 1 :]]


OPTIONAL = {
    "filing": {11, 12},
    "pack": {5, 7},
    "issue": {3, 14, 16},
    "reissue": {3, 14},
    "post-on-certificate": {3, 8},
    "post-on-permit": {3, 8},
    "key-standing": {5},
    "correct": {11},
}


@pytest.mark.parametrize("at", range(len(SAMPLES)))
def test_what_is_near_a_real_encoding_does_not_fit(at: int) -> None:
    rule, raw = SAMPLES[at]
    value = cbor2.loads(raw)
    if isinstance(value, cbor2.CBORTag):
        value = list(value.value)
        assert not CDDL.accepts(rule, cbor2.dumps(value))  # without its tag
        assert not CDDL.accepts(rule, raw[:1] + cbor2.dumps([*value, 0]))
        return
    for other in near(value):
        dropped = set(value) - set(other) if isinstance(value, dict) else set()
        if not dropped or not dropped <= OPTIONAL.get(rule, set()):
            assert not CDDL.accepts(rule, cbor2.dumps(other)), other
    if isinstance(value, list) and rule not in ("rest",):
        assert not CDDL.accepts(rule, cbor2.dumps(value[:-1]))


def test_every_structure_of_the_file_is_reached_from_a_sample() -> None:
    text = (DOCS / "formats.cddl").read_text(encoding="utf-8")
    seen: set[str] = set()

    def reach(name: str) -> None:
        if name not in seen:
            seen.add(name)
            for other in re.findall(r"[A-Za-z][\w-]*", str(CDDL.rules.get(name, ""))):
                if other in CDDL.rules:
                    reach(other)

    for rule in {rule for rule, _ in SAMPLES} & (TOP | {"face", "field", "rest"}):
        reach(rule)
    assert set(CDDL.rules) - seen == set()
    assert "float" not in re.sub(r";.*", "", text)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_what_code_and_vectors_say(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert filled(written) == written, "run python -m tests.support.make_docs"
    blocks = len(re.findall(r"<!-- \w+\.json ", written)), len(re.findall("<!-- table ", written))
    assert blocks == {"formats.md": (25, 1), "states.md": (0, 7), "refusals.md": (0, 1)}[name]


def test_the_checker_can_say_no() -> None:
    """The small CDDL reader itself: each construct accepts and refuses."""
    cddl = Cddl('a = [1*2 uint, ? tstr] b = { 1: 1..3, ? 2: bstr .size 2 } c = "x" / #6.9([* d]) d = bstr .cbor b')
    for rule, good, bad in [
        ("a", [[1], [1, 2], [1, "x"], [1, 2, "x"]], [[], [-1], [1, 2, 3], ["x"], [1, "x", "y"], {}]),
        ("b", [{1: 1}, {1: 3, 2: b"ab"}], [{}, {1: 0}, {1: 4}, {1: 1, 2: b"a"}, {1: 1, 3: 0}, {1: True}]),
        ("c", ["x", cbor2.CBORTag(9, []), cbor2.CBORTag(9, [cbor2.dumps({1: 1})])], ["y", 9, cbor2.CBORTag(8, [])]),
        ("c", [], [cbor2.CBORTag(9, [b"\xff"]), cbor2.CBORTag(9, [cbor2.dumps({1: 9})])]),
    ]:
        assert all(cddl.accepts(rule, cbor2.dumps(value)) for value in good), rule
        assert not any(cddl.accepts(rule, cbor2.dumps(value)) for value in bad), rule
    assert not cddl.accepts("a", b"\x81")
    with pytest.raises(AssertionError):
        Cddl("a = nowhere")
    with pytest.raises(AssertionError):
        Cddl("a = 1 a = 2")
