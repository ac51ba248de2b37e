"""An S3-like object store on loopback, with its own reading of Signature Version 4: it rebuilds the signature from the
request as it arrived, so that whatever was signed but sent otherwise is refused.

async with ObjectStore().served() as store: ...
store.objects["log/checkpoint"].body        bucket/key -> body and headers
store.faults = ["503", "lost"]              for the next requests: an error, or an answer lost after the work was done
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

KEY_ID, SECRET, REGION = "test-key-id", "a secret / of the + tests", "test-region-1"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request,SignedHeaders=([a-z0-9;-]+),"
    r"Signature=([0-9a-f]{64})"
)


@dataclass
class Stored:
    body: bytes
    headers: dict[str, str]


@dataclass
class ObjectStore:
    objects: dict[str, Stored] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)  # method and path of everything that was let in
    refused: int = 0  # requests whose signature did not hold
    faults: list[str] = field(default_factory=list)
    token: str = ""
    endpoint: str = ""

    @property
    def environ(self) -> Mapping[str, str]:
        found = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
        return found | ({"AWS_SESSION_TOKEN": self.token} if self.token else {})

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Self]:
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self._signed(request, body):
            self.refused += 1
            return web.Response(status=403)
        self.log.append(f"{request.method} {request.path}")
        fault = self.faults.pop(0) if self.faults else ""
        if fault.isdigit():
            return web.Response(status=int(fault))
        answer = self._do(request, body)
        return web.Response(status=500) if fault == "lost" else answer

    def _do(self, request: web.Request, body: bytes) -> web.Response:
        name = request.path.removeprefix("/")
        if request.method == "PUT":
            if request.headers.get("If-None-Match") == "*" and name in self.objects:
                return web.Response(status=412)
            self.objects[name] = Stored(body, {k.lower(): v for k, v in request.headers.items()})
            return web.Response()
        if request.method == "DELETE":
            self.objects.pop(name, None)
            return web.Response(status=204)
        if request.query.get("list-type") == "2":
            bucket, prefix = name.rstrip("/"), request.query["prefix"]
            keys = [k.removeprefix(f"{bucket}/") for k in self.objects if k.startswith(f"{bucket}/{prefix}")]
            rows = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
            return web.Response(text=f"<ListBucketResult>{rows}</ListBucketResult>", content_type="application/xml")
        found = self.objects.get(name)
        return web.Response(status=404) if found is None else web.Response(body=found.body)

    def _signed(self, request: web.Request, body: bytes) -> bool:
        match = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if match is None or match[1] != KEY_ID or match[3] != REGION:
            return False
        _, day, region, names, signature = match.groups()
        stamp = request.headers["x-amz-date"]
        must = {"host", "x-amz-date", "x-amz-content-sha256"} | ({"x-amz-security-token"} if self.token else set())
        listed = names.split(";")
        if not stamp.startswith(day) or not must <= set(listed) or listed != sorted(listed):
            return False
        if self.token and request.headers["x-amz-security-token"] != self.token:
            return False
        content = hashlib.sha256(body).hexdigest()
        if request.headers["x-amz-content-sha256"] != content:
            return False
        path, _, query = request.raw_path.partition("?")
        canonical = f"{request.method}\n{path}\n{'&'.join(sorted(query.split('&')))}\n"
        for name in listed:
            canonical += f"{name}:{request.headers[name].strip()}\n"
        canonical += f"\n{names}\n{content}"
        scope = f"{day}/{region}/s3/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        key = ("AWS4" + SECRET).encode()
        for part in (day, region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        wanted = hmac.digest(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}".encode(), "sha256").hex()
        return hmac.compare_digest(wanted, signature)
