"""The form readers take what browsers send and nothing else."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from verifier.web.forms import parse_multipart, parse_urlencoded

TYPE = "multipart/form-data; boundary=----WebKitFormBoundaryAb12"
LINE = b"------WebKitFormBoundaryAb12"


def form(*parts: tuple[bytes, bytes]) -> bytes:
    pieces = [LINE + b"\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + body for head, body in parts]
    return b"\r\n".join([*pieces, LINE + b"--\r\n"])


@given(st.binary(max_size=300).filter(lambda b: LINE not in b), st.text(max_size=50))
def test_any_content_comes_through_whole(content: bytes, text: str) -> None:
    head = 'name="file"; filename="证书.pdf"'.encode() + b"\r\nContent-Type: application/pdf"
    body = form((b'name="text"', text.encode()), (head, content))
    parts = parse_multipart(TYPE, body)
    assert parts["file"].content == content and parts["file"].filename == "证书.pdf"
    assert parts["text"].text() == text and parts["text"].filename is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_form_or_malformed(body: bytes) -> None:
    for whole in (body, LINE + body, form((b'name="a"', b"")) + body, form((body, b""))):
        try:
            parse_multipart(TYPE, whole)
        except Malformed:
            continue


@given(st.integers(0, 400))
def test_a_form_cut_short_is_malformed(cut: int) -> None:
    body = form((b'name="text"', b"x" * 200), (b'name="file"; filename="a"', b"y"))
    if cut < len(body) - 2:
        with pytest.raises(Malformed):
            parse_multipart(TYPE, body[:cut])


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="a',
        "multipart/form-data; boundary=" + "a" * 71,
        "multipart/form-data; boundary=a\r\nb",
        "multipart/mixed; boundary=----WebKitFormBoundaryAb12",
    ],
)
def test_another_header_is_malformed(content_type: str) -> None:
    with pytest.raises(Malformed):
        parse_multipart(content_type, form((b'name="a"', b"")))


def test_quoted_boundaries_and_both_line_ends_are_read() -> None:
    quoted = 'multipart/form-data; boundary="----WebKitFormBoundaryAb12"'
    assert parse_multipart(quoted, form((b'name="a"', b"x")))["a"].content == b"x"
    assert parse_multipart(TYPE, form((b'name="a"', b"x"))[:-2])["a"].content == b"x"


@pytest.mark.parametrize(
    "body",
    [
        form((b'name="a"', b""), (b'name="a"', b"")),
        form(*[(b'name="%d"' % n, b"") for n in range(9)]),
        form((b"name=a", b"")),
        form((b'name="' + b"n" * 65 + b'"', b"")),
        form((b'name="a"\r\nContent-Disposition: form-data; name="b"', b"")),
        form((b'name="a"\r\nX: ' + b"x" * 3000, b"")),
        form((b'name="\xff"', b"")),
        b"preamble\r\n" + form((b'name="a"', b"")),
        form((b'name="a"', b"")) + b"after",
        b"",
    ],
    ids=["twice", "many", "unquoted", "long-name", "two-heads", "long-head", "not-utf8", "before", "after", "empty"],
)
def test_what_no_browser_sends_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse_multipart(TYPE, body)


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\fakepath\\passwd", "/etc/passwd"])
def test_a_file_name_has_no_folders(name: str) -> None:
    part = parse_multipart(TYPE, form((b'name="file"; filename="' + name.encode() + b'"', b"x")))["file"]
    assert part.filename == "passwd"


def test_text_that_is_not_utf8_is_malformed() -> None:
    part = parse_multipart(TYPE, form((b'name="text"', b"\xff")))["text"]
    with pytest.raises(Malformed):
        part.text()


@given(st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=30), max_size=8))
def test_url_encoded_fields_come_through(fields: dict[str, str]) -> None:
    fields = {key: value for key, value in fields.items() if (key + value).isprintable()}
    body = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in fields.items())
    assert parse_urlencoded(body.encode()) == fields


@pytest.mark.parametrize("body", [b"a", b"a=1&a=2", b"a=%ff", "a=é".encode(), b"&".join(b"%d=" % n for n in range(9))])
def test_other_url_encoded_bodies_are_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse_urlencoded(body)
