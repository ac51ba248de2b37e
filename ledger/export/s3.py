"""An S3-compatible object store as the place: path-style requests, signed with Signature Version 4.

A PUT is whole or not there, and durable once it is answered; so the order of the requests is the order of truth, and
the checkpoint comes last. Tiles are put under the condition that nothing is there (`If-None-Match: *`). Reading what is
not there needs the right to list the bucket: without it the store answers 403 for 404.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from ledger.errors import Malformed, Unavailable
from ledger.export.place import OtherBytes
from ledger.export.sigv4 import Credentials, encode_path, encode_query, sign_s3
from ledger.log_folder import BUNDLE_CEILING, CHECKPOINT
from ledger.text import Text

IMMUTABLE: Final = "public, max-age=604800, immutable"
UNCACHED: Final = "no-cache"
_TILE_TYPE, _NOTE_TYPE = "application/octet-stream", "text/plain; charset=utf-8"
_CONNECTIONS: Final = 16
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60.0, connect=10.0)
_TRIES: Final = 5
_PAUSE_S: Final = 0.25  # before the second try; then doubling
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_PREFIX: Final = re.compile(r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*", re.ASCII)
_LISTED: Final = re.compile(rb"<Key>([^<>&]+)</Key>")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where in which store: `s3://name/prefix` at an endpoint."""

    endpoint: str  # https://host[:port]; plain http only on loopback
    region: str
    name: str
    prefix: str = ""  # without slashes at its ends

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint)
        local = parts.scheme == "http" and parts.hostname in _LOOPBACK
        plain = bool(parts.netloc) and "@" not in parts.netloc  # keys come from their own variables, and sign
        if not (parts.scheme == "https" or local) or not plain or parts.path not in ("", "/") or parts.query:
            raise Malformed(
                Text(
                    "对象存储：服务地址应为 https://主机[:端口]，仅本机可用 http",
                    "object store: the endpoint is https://host[:port]; plain http only on loopback",
                )
            )
        if _BUCKET.fullmatch(self.name) is None or (self.prefix and _PREFIX.fullmatch(self.prefix) is None):
            raise Malformed(
                Text(
                    "对象存储：应为 s3://存储桶 或 s3://存储桶/前缀，只用无需转义的字符",
                    "object store: s3://bucket or s3://bucket/prefix, in unreserved characters",
                )
            )
        if not self.region.isascii() or not self.region.replace("-", "").isalnum():
            raise Malformed(
                Text(
                    "对象存储：区域名只用字母、数字和连字符", "object store: a region is of letters, digits and hyphens"
                )
            )


def read_bucket(url: str, environ: Mapping[str, str]) -> tuple[Bucket, Credentials]:
    """The place that `s3://bucket/prefix` names, with endpoint, region and keys out of AWS's own variables."""
    name, _, prefix = url.removeprefix("s3://").partition("/")
    region = environ.get("AWS_REGION") or "us-east-1"
    endpoint = environ.get("AWS_ENDPOINT_URL") or f"https://s3.{region}.amazonaws.com"
    key_id, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    if not key_id or not secret:
        raise Malformed(
            Text(
                "对象存储：未设置 AWS_ACCESS_KEY_ID 和 AWS_SECRET_ACCESS_KEY",
                "object store: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set",
            )
        )
    credentials = Credentials(key_id, secret, environ.get("AWS_SESSION_TOKEN", ""))
    return Bucket(endpoint.rstrip("/"), region, name, prefix.rstrip("/")), credentials


class S3Place:
    """One prefix of one bucket. Requests that the store did not answer are tried again; each is safe to repeat."""

    def __init__(
        self,
        bucket: Bucket,
        credentials: Credentials,
        *,
        now_s: Callable[[], float] = time.time,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._bucket, self._credentials = bucket, credentials
        self._now_s, self._pause_s = now_s, pause_s
        self._root = f"/{bucket.name}/{bucket.prefix}/" if bucket.prefix else f"/{bucket.name}/"
        self._host = urlsplit(bucket.endpoint).netloc
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
        plain = {"Accept-Encoding": "identity"}  # tiles are compared byte for byte
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=_TIMEOUT, auto_decompress=False, headers=plain
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def read(self, path: str) -> bytes | None:
        status, body = await self._send("GET", self._root + path)
        return None if status == 404 else body

    async def add(self, path: str, body: bytes) -> None:
        held = await self.read(path)
        if held is None:
            headers = {"Cache-Control": IMMUTABLE, "Content-Type": _TILE_TYPE, "If-None-Match": "*"}
            status, _ = await self._send("PUT", self._root + path, body=body, headers=headers)
            if status == 200:
                return
            held = await self.read(path)  # 412: put by an earlier try, or by somebody else
        if held != body:
            raise OtherBytes(path)

    async def settle(self) -> None:
        """Every answered PUT is durable already."""

    async def publish(self, note: bytes) -> None:
        headers = {"Cache-Control": UNCACHED, "Content-Type": _NOTE_TYPE}
        await self._send("PUT", self._root + CHECKPOINT, body=note, headers=headers)

    async def drop_partials(self, path: str) -> None:
        beside = f"{self._root}{path}.p/".removeprefix(f"/{self._bucket.name}/")
        query = (("list-type", "2"), ("prefix", beside))
        _, listed = await self._send("GET", f"/{self._bucket.name}/", query=query)
        for found in _LISTED.findall(listed):
            key = found.decode("ascii", "replace")
            if key.startswith(beside):
                await self._send("DELETE", f"/{self._bucket.name}/{key}")

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body: 200, 204 (as 200), 404, or 412 for a condition. Raises Unavailable otherwise."""
        pause_s = self._pause_s
        for attempt in range(_TRIES):
            try:
                status, answer = await self._once(method, path, query, body, headers or {})
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                status, answer, reason = 0, b"", type(error).__name__
            else:
                reason = str(status)
            if status in (200, 204):
                return 200, answer
            if (method, status) in (("GET", 404), ("PUT", 412)):
                return status, answer
            if status not in (0, 409, 429) and status < 500:
                break
            if attempt < _TRIES - 1:
                await asyncio.sleep(pause_s)
                pause_s *= 2
        if status in (301, 307, 400, 403):
            reason += "; check endpoint, region, keys, clock, and the rights to get, put, delete and list"
        if not status:
            raise Unavailable(
                Text(
                    f"连接不上对象存储（{reason}）：请核对 AWS_ENDPOINT_URL",
                    f"the object store was not reached ({reason}): is AWS_ENDPOINT_URL its address?",
                )
            )
        raise Unavailable(Text(f"对象存储答复：{reason}", f"the object store answered {reason}"))

    async def _once(
        self, method: str, path: str, query: Sequence[tuple[str, str]], body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        assert self._session is not None, "use the place as a context manager"
        signed = sign_s3(
            method,
            path,
            query,
            {**headers, "Host": self._host},
            body,
            credentials=self._credentials,
            region=self._bucket.region,
            now_s=int(self._now_s()),
        )
        question = f"?{encode_query(query)}" if query else ""
        url = URL(f"{self._bucket.endpoint}{encode_path(path)}{question}", encoded=True)
        async with self._session.request(
            method, url, data=body if method == "PUT" else None, headers=signed, allow_redirects=False
        ) as response:
            answer = bytearray()
            async for chunk in response.content.iter_chunked(64 * 1024):
                answer += chunk
                if len(answer) > BUNDLE_CEILING:
                    raise Malformed(Text("有一对象过大，不是树块", "an object is too large to be a tile"))
            return response.status, bytes(answer)
