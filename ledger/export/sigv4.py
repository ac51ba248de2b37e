"""AWS Signature Version 4 for one request with its whole body (Amazon S3 API Reference, "Signature calculations for
the Authorization header"). What every S3-compatible object store accepts."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from ledger.errors import Malformed
from ledger.text import Text

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SERVICE: Final = "s3"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs. The secrets never appear in a representation of it."""

    key_id: str
    secret: str = field(repr=False)
    session_token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.key_id or not self.secret or not f"{self.key_id}{self.secret}{self.session_token}".isascii():
            raise Malformed(
                Text(
                    "对象存储：需要密钥编号和密钥，均为 ASCII 字符", "object store: a key id and a secret key, in ASCII"
                )
            )


def encode_path(path: str) -> str:
    """A path as it is sent and signed: everything but unreserved characters and slashes is escaped, once."""
    return quote(path, safe="/-_.~")


def encode_query(query: Sequence[tuple[str, str]]) -> str:
    """A query as it is sent and signed: escaped, then in order."""
    return "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query))


def sign_s3(
    method: str,
    path: str,
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
    body: bytes,
    *,
    credentials: Credentials,
    region: str,
    now_s: int,
) -> dict[str, str]:
    """All headers of the request, `Authorization` among them. `headers` holds Host; `path` is not escaped yet.

    `now_s`: POSIX seconds; a store refuses what is more than 15 minutes off.
    """
    moment = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    payload = sha256(body).hexdigest()
    signed = {**headers, "x-amz-content-sha256": payload, "x-amz-date": moment}
    if credentials.session_token:
        signed["x-amz-security-token"] = credentials.session_token
    lines = sorted((name.lower(), " ".join(value.split())) for name, value in signed.items())
    names = ";".join(name for name, _ in lines)
    canonical = "\n".join(
        [method, encode_path(path), encode_query(query), *(f"{n}:{v}" for n, v in lines), "", names, payload]
    )
    scope = f"{moment[:8]}/{region}/{_SERVICE}/aws4_request"
    to_sign = "\n".join([_ALGORITHM, moment, scope, sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{credentials.secret}".encode()
    for part in scope.split("/"):
        key = _mac(key, part)
    signature = _mac(key, to_sign).hex()
    credential = f"{credentials.key_id}/{scope}"
    authorization = f"{_ALGORITHM} Credential={credential},SignedHeaders={names},Signature={signature}"
    return {**signed, "Authorization": authorization}


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), sha256).digest()
