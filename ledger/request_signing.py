"""HTTP request signatures (RFC 9421, RFC 9530) in the one profile of this product (docs/http.md).

Covered, in this order: method, authority, path, query, body digest, content type, idempotency key.
Parameters: `created`, `expires`, `nonce`, `keyid`, `tag`, each once, in any order. Exactly one signature,
under any label. There is no `alg`: the record of the key says what it is, today always Ed25519.

Own code, because the general library takes 0.4 ms per request where this takes 0.1 ms, reads the clock
itself and brings another Ed25519. It is the judge in the tests.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Protocol

from ledger.errors import Malformed, Unverified
from ledger.tlog.keys import kid, verify_ed25519

TAG = "cert-ledger"
WINDOW_S = 300  # seconds a signature may be used after `created`
NOT_ACCEPTED = "the request signature was not accepted"
_LABEL = "sig1"
_FIELDS = ("content-digest", "content-type", "idempotency-key")
_NAMES = (*_FIELDS, "signature-input", "signature")
_COMPONENTS = '("@method" "@authority" "@path" "@query" "content-digest" "content-type" "idempotency-key")'
_MAX_FIELD = 1024  # characters of any header field read here
_PCHAR = "[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2}"  # RFC 3986 3.3
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[1-9][0-9]{0,4}))?"
    rf"(?P<path>(?:/(?:{_PCHAR}|/)*)?)(?P<query>(?:\?(?:{_PCHAR}|[/?])+)?)"
)
_METHOD = re.compile(r"[A-Z]{1,16}")
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")  # printable ASCII without blanks at the ends
_INPUT = re.compile(r"(?P<label>[a-z*][a-z0-9_.*-]{0,31})=(?P<params>.+)")
_SIGNATURE = re.compile(r"([A-Za-z0-9+/]{86}==):")  # 64 bytes
_PARAMETERS: Mapping[str, re.Pattern[str]] = {
    "created": re.compile(r"[1-9][0-9]{0,11}"),  # seconds since 1970
    "expires": re.compile(r"[1-9][0-9]{0,11}"),
    "nonce": re.compile(r'"([A-Za-z0-9+/=_-]{16,64})"'),
    "keyid": re.compile(r'"([0-9a-f]{16})"'),
    "tag": re.compile(rf'"({TAG})"'),
}


class Signer(Protocol):
    """An Ed25519 key pair, `ledger.tlog.keys.Ed25519Signer` or one that keeps its key elsewhere."""

    @property
    def public(self) -> bytes: ...
    def sign(self, message: bytes, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class OpenedRequest:
    """Who signed a request, and for which body. Built by `open_request` only."""

    kid: bytes  # 8 bytes
    nonce: str  # 16..64 characters
    created: int  # seconds since 1970, the signer's clock
    expires: int  # likewise
    digest: str  # Content-Digest, as it was signed

    def accept(self, body: bytes, now_s: int, seen: NonceMemory) -> None:
        """Steps 7 and 8 of `open_request`. Raises Unverified, with the one text, for another body than the one that was
        signed for, for one that came too late, and for a request that was accepted before."""
        try:
            if now_s > self.expires:  # 7
                raise Unverified("expired while the body came")
            if self.digest != _digest(body):
                raise Unverified("content digest")
            seen.admit(self, now_s)  # 8
        except Unverified as reason:
            raise Unverified(NOT_ACCEPTED) from reason


class NonceMemory:
    """Remembers every accepted (key, nonce) for as long as its signature could be used again.

    Bounded: at `capacity` the oldest second is forgotten, and signatures made up to then are refused from then
    on: a flood shortens the window but lets no replay in. `not_before_s` is the start of the service, rounded
    up to a whole second: what was signed before is refused, because what was seen then is gone (senders sign
    again). `ahead_s` forgives clocks that run ahead; each start then refuses as many seconds more. May be
    used from several threads. About 150 bytes per nonce.
    """

    def __init__(
        self, window_s: int = WINDOW_S, capacity: int = 200_000, *, not_before_s: int, ahead_s: int = 0
    ) -> None:
        assert window_s > 0 and capacity > 0 and ahead_s >= 0
        self.window_s = window_s
        self.ahead_s = ahead_s
        self._capacity = capacity
        self._floor = not_before_s + ahead_s  # `created` below this is refused: start, or what is forgotten; only rises
        self._swept = 0  # everything before this second is forgotten
        self._seen: dict[int, set[bytes]] = {}  # created -> kid ‖ nonce
        self._count = 0
        self._lock = Lock()

    def check(self, request: OpenedRequest, now_s: int) -> None:
        """Raises Unverified when the request is too old, too early, from before the start, or was accepted before."""
        with self._lock:
            self._check(request, now_s)

    def admit(self, request: OpenedRequest, now_s: int) -> None:
        """Accept the request once. Raises Unverified as `check`."""
        with self._lock:
            self._check(request, now_s)
            self._seen.setdefault(request.created, set()).add(_name(request))
            self._count += 1
            if self._count > self._capacity:
                self._forget_before(min(self._seen) + 1)

    def _check(self, request: OpenedRequest, now_s: int) -> None:
        oldest = now_s - self.window_s
        if oldest != self._swept:
            self._forget_before(oldest)
        if not max(self._floor, oldest) <= request.created <= now_s + self.ahead_s:
            raise Unverified("created outside the window")
        if _name(request) in self._seen.get(request.created, ()):
            raise Unverified("nonce seen before")

    def _forget_before(self, second_s: int) -> None:
        # The floor follows what is forgotten, not the clock: a clock that leapt and is right again shuts nobody out.
        self._swept = second_s
        for second in [s for s in self._seen if s < second_s]:
            self._count -= len(self._seen.pop(second))
            self._floor = max(self._floor, second + 1)


def _name(request: OpenedRequest) -> bytes:
    return request.kid + request.nonce.encode()


def sign_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    signer: Signer,
    now_s: int,
    nonce: bytes,
) -> dict[str, str]:
    """The headers to add: Content-Digest, Signature-Input, Signature.

    `url` is absolute and exactly what will be sent; `headers` hold Content-Type and Idempotency-Key; `now_s`
    is in seconds since 1970; `nonce` is 16 to 48 random bytes, new for each attempt. Malformed when a part
    cannot be signed.
    """
    fields = _single_fields(headers) | {"content-digest": _digest(body)}
    text = urlsafe_b64encode(nonce).rstrip(b"=").decode()
    if not 16 <= len(nonce) <= 48:
        raise Malformed("a request nonce is 16 to 48 bytes")
    params = (
        f'{_COMPONENTS};created={now_s};expires={now_s + WINDOW_S};nonce="{text}"'
        f';keyid="{kid(signer.public).hex()}";tag="{TAG}"'
    )
    signature = signer.sign(_signature_base(method, url, fields, params))
    return {
        "Content-Digest": fields["content-digest"],
        "Signature-Input": f"{_LABEL}={params}",
        "Signature": f"{_LABEL}=:{b64encode(signature).decode()}:",
    }


def open_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    *,
    key_for: Callable[[bytes], bytes | None],
    now_s: int,
    seen: NonceMemory,
) -> OpenedRequest:
    """Who signed this request; otherwise Unverified with one text (the reason is its `__cause__`, for the log). It says
    so before the body has come, so that strangers are not listened to for longer; the request is nothing yet until
    `OpenedRequest.accept` has seen its body, and its signature may be used again until then.

    `url` is the service's own configured address followed by the raw target of the request, never built from
    the Host header: a request signed for another service must not pass here. `headers` yields repeated fields
    repeatedly (`items()` of a multidict). `key_for(kid)` is the 32-byte public key that is live now, or None.

    Steps: 1 one value for each field · 2 form of the signature · 3 expiry · 4 key · 5 signature · 6 window and nonce ·
    and with the body 7 expiry, and it is the one digested · 8 window and nonce once more, which is remembered.
    """
    try:
        fields = _single_fields(headers)  # 1
        request, params, signature = _parse_signature(fields)  # 2
        if not (request.created < request.expires <= request.created + WINDOW_S and now_s <= request.expires):  # 3
            raise Unverified("expired, or valid for too long")
        public = key_for(request.kid)  # 4
        if public is None:
            raise Unverified("unknown key")
        assert kid(public) == request.kid, "key_for gave another key"
        verify_ed25519(public, _signature_base(method, url, fields, params), signature)  # 5
        seen.check(request, now_s)  # 6
    except (Malformed, Unverified) as reason:
        raise Unverified(NOT_ACCEPTED) from reason
    return request


def _single_fields(headers: Mapping[str, str]) -> dict[str, str]:
    """The fields of the profile by lower-case name; Malformed when one occurs twice or is not plain text."""
    fields: dict[str, str] = {}
    for name, value in headers.items():
        name = name.lower()
        if name in _NAMES:
            if name in fields or len(value) > _MAX_FIELD or not _VALUE.fullmatch(value):
                raise Malformed(f"header field {name}")
            fields[name] = value
    return fields


def _digest(body: bytes) -> str:
    return f"sha-256=:{b64encode(sha256(body).digest()).decode()}:"  # RFC 9530 2


def _signature_base(method: str, url: str, fields: Mapping[str, str], params: str) -> bytes:
    """RFC 9421 2.5; ASCII by construction."""
    target = _URL.fullmatch(url)
    if target is None or not _METHOD.fullmatch(method):
        raise Malformed("method or URL")
    authority = target["host"].lower()  # RFC 9421 2.2.3: lower case, default port left out
    if target["port"] and (target["scheme"], target["port"]) not in (("https", "443"), ("http", "80")):
        authority += ":" + target["port"]
    lines = [
        f'"@method": {method}',
        f'"@authority": {authority}',
        f'"@path": {target["path"] or "/"}',
        f'"@query": {target["query"] or "?"}',
    ]
    for name in _FIELDS:
        if name not in fields:
            raise Malformed(f"no header field {name}")
        lines.append(f'"{name}": {fields[name]}')
    lines.append(f'"@signature-params": {params}')
    return "\n".join(lines).encode("ascii")


def _parse_signature(fields: Mapping[str, str]) -> tuple[OpenedRequest, str, bytes]:
    """Request, the signature parameters as received, signature bytes; Malformed otherwise."""
    found = _INPUT.fullmatch(fields.get("signature-input", ""))
    if found is None:
        raise Malformed("signature input")
    params = found["params"]
    components, *rest = params.split(";")
    values: dict[str, str] = {}
    for name, _, text in (parameter.partition("=") for parameter in rest):
        form = _PARAMETERS.get(name)
        match = form and form.fullmatch(text)
        if match is None or name in values:
            raise Malformed("signature parameter")
        values[name] = text.strip('"')
    if components != _COMPONENTS or len(values) != len(_PARAMETERS):
        raise Malformed("covered components or parameters")
    opening = f"{found['label']}=:"
    text = fields.get("signature", "")
    encoded = _SIGNATURE.fullmatch(text.removeprefix(opening))
    signature = b64decode(encoded[1]) if encoded else b""
    if f"{opening}{b64encode(signature).decode()}:" != text:
        raise Malformed("signature field")
    digest = fields.get("content-digest", "")  # without one there is nothing to verify: `_signature_base`
    created, expires = int(values["created"]), int(values["expires"])
    return OpenedRequest(bytes.fromhex(values["keyid"]), values["nonce"], created, expires, digest), params, signature
