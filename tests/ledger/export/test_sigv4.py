"""Signature Version 4 against the values that AWS has published with its S3 examples (examplebucket, 2013-05-24)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ledger.errors import Malformed
from ledger.export.sigv4 import Credentials, encode_path, encode_query, sign_s3

PUBLISHED = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOW_S = int(datetime(2013, 5, 24, tzinfo=UTC).timestamp())
HOST = {"Host": "examplebucket.s3.amazonaws.com"}
PUT = {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "body", "signature"),
    [
        (
            "GET", "/test.txt", (), {"Range": "bytes=0-9"}, b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT", "/test$file.text", (), PUT, b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET", "/", (("lifecycle", ""),), {}, b"",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET", "/", (("max-keys", "2"), ("prefix", "J")), {}, b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)  # fmt: skip
def test_published_values(
    method: str, path: str, query: tuple[tuple[str, str], ...], headers: dict[str, str], body: bytes, signature: str
) -> None:
    signed = sign_s3(method, path, query, HOST | headers, body, credentials=PUBLISHED, region="us-east-1", now_s=NOW_S)
    assert signed["Authorization"].endswith(f",Signature={signature}")
    assert signed["x-amz-date"] == "20130524T000000Z"
    assert signed["Authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders="
    )


def test_what_is_signed_cannot_be_changed() -> None:
    def signature(**changes: object) -> str:
        asked = {"method": "PUT", "path": "/a", "query": (), "headers": HOST, "body": b"x"} | changes
        rest = {"credentials": PUBLISHED, "region": "us-east-1", "now_s": NOW_S}
        rest |= {name: asked.pop(name) for name in ("region", "now_s", "credentials") if name in asked}
        return sign_s3(**asked, **rest)["Authorization"].rpartition("=")[2]  # type: ignore[arg-type]

    changes: list[dict[str, object]] = [
        {"method": "GET"}, {"path": "/b"}, {"query": (("a", ""),)}, {"headers": {"Host": "other"}}, {"body": b"y"},
        {"region": "eu"}, {"now_s": NOW_S + 1}, {"headers": HOST | {"If-None-Match": "*"}},
        {"credentials": Credentials(PUBLISHED.key_id, "other")},
        {"credentials": Credentials(PUBLISHED.key_id, PUBLISHED.secret, "token")},
    ]  # fmt: skip
    assert len({signature(), *(signature(**change) for change in changes)}) == len(changes) + 1


def test_escapes_once_and_in_order() -> None:
    assert encode_path("/bucket/tile/0/x001/234.p/5") == "/bucket/tile/0/x001/234.p/5"
    assert encode_path("/b/a b%~例") == "/b/a%20b%25~%E4%BE%8B"
    assert encode_query((("prefix", "a/b c"), ("list-type", "2"))) == "list-type=2&prefix=a%2Fb%20c"


def test_secrets_are_not_shown() -> None:
    shown = repr(Credentials("id", "hidden secret", "hidden token"))
    assert "id" in shown and "hidden" not in shown
    for wrong in (("", "x"), ("x", ""), ("x", "例")):
        with pytest.raises(Malformed):
            Credentials(*wrong)
