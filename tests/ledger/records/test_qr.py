from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed, Unverified
from ledger.printing.qr import MAX_VERSION
from ledger.records import canonical, qr
from ledger.records.commitments import FaceOpening
from ledger.records.qr import (
    MAX_FRAGMENT,
    MAX_TEXT,
    Code,
    ForeignLink,
    format_code,
    format_digits,
    format_fragment,
    open_fragment,
    parse_code,
    parse_digits,
)
from ledger.records.secret import format_secret
from tests.support.builders import TRADE, Certificate, correct, make_body, octets
from tests.support.make_docs import size_table
from tests.support.make_vectors import LONG_NAME, VECTORS, vector_text

BASE = "https://cert.test.example"
BASES = (BASE, "http://127.0.0.1:8443")
BODY = make_body()
INDEX = 70_000
CERTIFICATE = BODY.certificate("a")
LONG = LONG_NAME


def fragment_of(certificate: Certificate, index: int = INDEX) -> bytes:
    return format_fragment(certificate.statement, certificate.face, index)


FRAGMENT = fragment_of(CERTIFICATE)
CODE = Code(BASE, CERTIFICATE.secret, FRAGMENT)
TEXT = format_code(CODE)


def accepted(text: str) -> bool:
    """Whether a text is a code of ours whose statement verifies under the body's key."""
    try:
        code = parse_code(text, BASES)
        if isinstance(code, ForeignLink) or not code.fragment:
            return False
        statement, _ = open_fragment(code.secret, code.fragment)
        statement.verify_signature(BODY.record.public)
    except (Malformed, Unverified):
        return False
    return True


@given(st.binary(min_size=1, max_size=80))
def test_digits_round_trip(raw: bytes) -> None:
    digits = format_digits(raw)
    assert parse_digits(digits) == raw
    assert len(digits) == len(raw) // 7 * 17 + (0, 3, 5, 8, 10, 13, 15)[len(raw) % 7]


@given(st.text("0123456789", max_size=60))
def test_digits_have_one_spelling(digits: str) -> None:
    try:
        raw = parse_digits(digits)
    except Malformed:
        return
    assert format_digits(raw) == digits


@pytest.mark.parametrize("count", range(1, 7))
def test_a_group_ends_at_its_largest_value(count: int) -> None:
    largest = format_digits(b"\xff" * count)
    assert parse_digits(largest) == b"\xff" * count
    with pytest.raises(Malformed):
        parse_digits(str(int(largest) + 1).zfill(len(largest)))
    with pytest.raises(Malformed):
        parse_digits("9" * 17 + largest)


@pytest.mark.parametrize(
    "text", ["1", "12", "1234", "123 ", "+12", "-12", "1_2", "１２３", "٣٣٣", "abc", "²³¹", "0x1", "\0\0\0"]
)
def test_other_digits_are_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse_digits(text)


@pytest.mark.parametrize("form", ["q", "u"])
def test_format_and_parse_are_inverses(form: str) -> None:
    text = format_code(CODE, form=form)
    assert parse_code(text, BASES) == CODE
    assert parse_code(f" {text}\r\n", BASES) == CODE
    assert accepted(text)


def test_a_link_alone_is_a_code_without_fragment() -> None:
    link = f"{BASE}/c/{format_secret(CERTIFICATE.secret)}"
    assert format_code(Code(BASE, CERTIFICATE.secret)) == link == CODE.link
    assert parse_code(link, BASES) == Code(BASE, CERTIFICATE.secret)
    assert parse_code(link.replace(BASE, BASES[1]), BASES) == Code(BASES[1], CERTIFICATE.secret)


def test_the_fragment_rebuilds_the_exact_signed_bytes() -> None:
    for certificate in (
        CERTIFICATE,
        BODY.certificate("b", name=LONG, grade=2, trade=TRADE),
        BODY.certificate("c", person_unlinked=True),
        make_body("other", number="S000151000999").certificate("d"),
    ):
        statement, opened = open_fragment(certificate.secret, fragment_of(certificate))
        assert statement.entry == opened.entry == certificate.statement.entry
        assert (opened.face, opened.index) == (certificate.face, INDEX)


def test_a_reissue_and_a_post_have_codes_as_well() -> None:
    new, post = BODY.reissue("n", CERTIFICATE), BODY.post("t", on=CERTIFICATE, trade=TRADE)
    for made in (new, BODY.reissue("m", new), post):
        fragment = format_fragment(made.statement, made.face, INDEX)
        statement, opened = open_fragment(made.secret, fragment)
        assert statement == made.statement and opened.face == made.face
        assert accepted(format_code(Code(BASE, made.secret, fragment)))
        with pytest.raises(Unverified):
            open_fragment(octets("x", 16), fragment)[0].verify_signature(BODY.record.public)


def test_a_correction_is_no_certificate_though_it_has_a_face() -> None:
    """Its signed bytes would fit into a fragment: what opens a code must say a grade."""
    face = FaceOpening(octets("salt", 16), CERTIFICATE.face.number, "另一名")
    statement = BODY.sign(replace(correct(CERTIFICATE), face=face.digest()))
    envelope = statement.envelope
    payload = {key: value for key, value in cbor2.loads(envelope.payload).items() if key != 12}
    part = envelope.signatures[0]
    packed = canonical.encode([part.kid, "", payload, part.signature, face.salt, face.number, face.name, INDEX])
    with pytest.raises(Malformed, match="not the statement of a certificate"):
        open_fragment(CERTIFICATE.secret, packed)
    with pytest.raises(AssertionError):
        format_fragment(statement, face, INDEX)


def test_the_filing_number_is_left_out_only_where_the_number_begins_with_it() -> None:
    parts = cbor2.loads(FRAGMENT)
    assert parts[1] == "" and CERTIFICATE.face.number.startswith(CERTIFICATE.issue.filing_number)
    spelled = canonical.encode([parts[0], CERTIFICATE.issue.filing_number, *parts[2:]])
    with pytest.raises(Malformed):  # a second packing of the same statement
        open_fragment(CERTIFICATE.secret, spelled)


def test_another_secret_is_another_certificate_and_does_not_verify() -> None:
    statement, _ = open_fragment(octets("x", 16), FRAGMENT)
    assert statement.body != CERTIFICATE.issue
    with pytest.raises(Unverified):
        statement.verify_signature(BODY.record.public)
    assert not accepted(format_code(Code(BASE, octets("x", 16), FRAGMENT)))


def test_every_prefix_of_200_codes_is_refused() -> None:
    for at in range(200):
        certificate = BODY.certificate(str(at), grade=2 + at % 5)
        text = format_code(Code(BASE, certificate.secret, fragment_of(certificate, at)))
        assert accepted(text)
        assert not any(accepted(text[:end]) for end in range(len(text)))


def test_every_changed_digit_breaks_the_statement() -> None:
    start = TEXT.index("#q") + 2
    for at in range(start, len(TEXT)):
        for digit in "0123456789":
            changed = TEXT[:at] + digit + TEXT[at + 1 :]
            if changed == TEXT or not accepted(changed):
                continue
            # The log index alone is not signed: it is where to look, and the proof decides.
            code = parse_code(changed, BASES)
            assert isinstance(code, Code)
            statement, opened = open_fragment(code.secret, code.fragment)
            assert statement == CERTIFICATE.statement and opened.face == CERTIFICATE.face
            assert opened.index != INDEX


def test_every_changed_letter_of_the_secret_breaks_the_statement() -> None:
    start = len(BASE) + 3
    for at in range(start, start + 26):
        for letter in "0123456789ABCDEFGHJKMNPQRSTVWXYZILOUabz-":
            changed = TEXT[:at] + letter + TEXT[at + 1 :]
            assert accepted(changed) == (changed == TEXT)


@settings(max_examples=200)
@given(st.data())
def test_any_byte_of_the_fragment_changed_is_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(FRAGMENT) - 6))  # the last bytes are the log index
    raw = FRAGMENT[:at] + bytes([FRAGMENT[at] ^ data.draw(st.integers(1, 255))]) + FRAGMENT[at + 1 :]
    assert not accepted(format_code(Code(BASE, CERTIFICATE.secret, raw)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "hello",
        "#",
        "https://",
        "/c/" + "0" * 26,
        "ftp://cert.test.example/c/" + "0" * 26,
        "javascript:alert(1)",
        "HTTPS://cert.test.example/c/" + "0" * 26,
        f"{BASE}",
        f"{BASE}/",
        f"{BASE}/c/",
        f"{BASE}/c/{'0' * 25}",
        f"{BASE}/c/{'0' * 27}",
        f"{BASE}/C/{'0' * 26}",
        f"{BASE}/c/{'0' * 26}/",
        f"{BASE}/c/{'0' * 26}?x=1",
        f"{BASE}//c/{'0' * 26}",
        f"{BASE}/c/%30{'0' * 25}",
        f"{BASE}/s/{'0' * 26}",
        f"{BASE}/c/../c/{'0' * 26}",
        f"{BASE}/c/{'0' * 26}#x123",
        f"{BASE}/c/{'0' * 26}#q",
        f"{BASE}/c/{'0' * 26}#q12",
        f"{BASE}/c/{'0' * 26}#u",
        f"{BASE}/c/{'0' * 26}#u====",
        f"{BASE}/c/{'0' * 26}#uAB",
        f"{BASE}/c/{'0' * 26}#Q000",
        f"{BASE}/c/{'0' * 26}#q000#q000",
        "\0" + TEXT,
        TEXT + "\0",
        TEXT + "#",
        TEXT.replace("#", "##"),
        TEXT + TEXT,
    ],
)
def test_what_is_not_exactly_a_code_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse_code(text, BASES)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "cert.test.example.evil.example",
        "cert.test.example.",
        "cert.test.example:443",
        "cert.test.example@evil.example",
        "evil.example@cert.test.example",
        "cert.test.examp1e",
        "CERT.test.example",
        "cеrt.test.example",  # a Cyrillic letter
        "cert.test.example\\@evil.example",
        "cert.test.example%2eevil.example",
        "cert.test.example;evil.example",
        "xn--crt-5cd.test.example",
        "127.0.0.1:8443",  # known, but over http only
    ],
)
def test_another_host_is_a_foreign_link_whatever_it_looks_like(host: str) -> None:
    text = f"https://{host}/c/{format_secret(CERTIFICATE.secret)}{TEXT[TEXT.index('#') :]}"
    assert parse_code(text, BASES) == ForeignLink(host)
    assert parse_code(text.replace("https", "http", 1), (BASE,)) == ForeignLink(host)


def test_huge_texts_are_refused_before_they_are_read() -> None:
    for count in (MAX_TEXT + 1, 4_297, 10 * 1024 * 1024):
        for text in ("0" * count, TEXT + "0" * (count - len(TEXT)), " " * count):
            with pytest.raises(Malformed, match="more than 2048"):
                parse_code(text, BASES)


def test_fragments_of_any_other_size_are_malformed() -> None:
    for raw in (b"", bytes(MAX_FRAGMENT + 1), bytes(10**6)):
        with pytest.raises(Malformed):
            open_fragment(CERTIFICATE.secret, raw)
    longest = f"{BASE}/c/{format_secret(CERTIFICATE.secret)}#q{format_digits(bytes(MAX_FRAGMENT + 1))}"
    assert len(longest) <= MAX_TEXT
    with pytest.raises(Malformed, match="too long"):
        parse_code(longest, BASES)


PARTS: list[Any] = cbor2.loads(FRAGMENT)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, PARTS[0][:7]),
        (0, "kid"),
        (1, b""),
        (2, {**PARTS[2], 12: CERTIFICATE.issue.face}),
        (2, {**PARTS[2], 12: bytes(32)}),
        (2, {**PARTS[2], 1: 4}),
        (2, {**PARTS[2], 99: 1}),
        (2, {}),
        (2, []),
        (3, PARTS[3][:63]),
        (3, b""),
        (4, bytes(15)),
        (5, ""),
        (5, 22),
        (6, ""),
        (6, "例" * 51),
        (6, "\uf900"),
        (7, -1),
        (7, "1"),
    ],
)
def test_parts_of_another_form_are_malformed(at: int, value: Any) -> None:
    with pytest.raises(Malformed):
        open_fragment(CERTIFICATE.secret, cbor2.dumps([*PARTS[:at], value, *PARTS[at + 1 :]], canonical=True))


def test_another_issuer_is_another_statement_and_does_not_verify() -> None:
    statement, _ = open_fragment(CERTIFICATE.secret, canonical.encode([PARTS[0], "Y000051000002", *PARTS[2:]]))
    with pytest.raises(Unverified):
        statement.verify_signature(BODY.record.public)


def test_other_lengths_are_malformed() -> None:
    for other in (PARTS[:7], [*PARTS, 0], {1: 1}, 0):
        with pytest.raises(Malformed):
            open_fragment(CERTIFICATE.secret, cbor2.dumps(other))
    with pytest.raises(Malformed):
        open_fragment(CERTIFICATE.secret, FRAGMENT + b"\0")


def test_base64url_has_one_spelling() -> None:
    body = base64.urlsafe_b64encode(FRAGMENT).decode().rstrip("=")
    link = CODE.link
    assert parse_code(f"{link}#u{body}", BASES) == CODE
    for other in (body + "=", body + "==", " " + body, body + "\n.", body.replace("-", "+").replace("_", "/") + "+"):
        with pytest.raises(Malformed):
            parse_code(f"{link}#u{other}", BASES)


def test_measured_sizes_can_be_printed() -> None:
    """The table of docs/formats.md: everything up to the longest name and trade stays within the print limit."""
    _, link, short, *rest = size_table()
    assert link[-1] == "4"
    assert int(short[1]) <= 256 and int(short[-1]) <= 13  # a two-character name
    assert all(int(version) <= MAX_VERSION for *_, version in (short, *rest))
    assert int(rest[1][1]) <= 358 and len(LONG) == 30  # a 30-character name


def test_nothing_that_is_hashed_or_signed_is_in_the_link() -> None:
    """The path a server sees carries the secret only: everything else stands behind the #."""
    path = TEXT.split("#")[0]
    assert re.fullmatch(re.escape(BASE) + r"/c/[0-9A-Z]{26}", path)
    assert qr.parse_code(path, BASES) == Code(BASE, CERTIFICATE.secret)


def test_the_vectors_are_current_and_hold() -> None:
    written = (VECTORS / "qr.json").read_text(encoding="utf-8")
    assert written == vector_text("qr"), "run python -m tests.support.make_vectors"
    vectors = json.loads(written)
    for case in vectors["codes"]:
        for text in (case["text"], case["pasted"]):
            code = parse_code(text, BASES)
            assert isinstance(code, Code) and code.link == case["link"] and code.secret.hex() == case["secret"]
            assert code.fragment.hex() == case["fragment"]
            statement, opened = open_fragment(code.secret, code.fragment)
            assert (statement.entry.hex(), opened.index) == (case["entry"], case["index"])
            assert (opened.face.number, opened.face.name) == (case["number"], case["name"])
            statement.verify_signature(BODY.record.public)
    for case in vectors["digits"]:
        assert parse_digits(case["digits"]).hex() == case["bytes"]
    for text in vectors["malformed"]:
        with pytest.raises(Malformed):
            parse_code(text, BASES)
    assert all(isinstance(parse_code(text, BASES), ForeignLink) for text in vectors["foreign"])
