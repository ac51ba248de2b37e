"""Talking to a ledger over HTTP: the only place in the product that does.

Every call has a deadline and a size limit, follows no redirect, and turns whatever the network throws into
Unavailable. A refusal by the ledger arrives as Refused with its code. Nothing that comes back is trusted here:
callers verify proofs with their own pinned keys.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from types import TracebackType
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from ledger import wire
from ledger.errors import ERROR_CODE, Malformed, Refused, Unavailable, Unverified
from ledger.records.dates import format_day
from ledger.records.documents import IdDocument
from ledger.records.evidence import MAX_EVIDENCE
from ledger.records.receipt import MAX_RECEIPT
from ledger.request_signing import Signer, sign_request
from ledger.text import Text, repeated
from ledger.tlog.note import VerifierKey
from ledger.wire import AnySubmission, Asked, PersonLineage, Receipt
from ledger.wire_holders import HolderAnswer, HolderRequest

CONNECT_S: Final = 5.0
TOTAL_S: Final = 60.0
_SMALL: Final = 256 * 1024  # bytes of a checkpoint, envelope or filing
_BUNDLE: Final = 256 * 8200 * 2  # bytes of an entry bundle, generous
_SIGNED_TRIES: Final = 3
_LARGE: Final = 32 * 1024 * 1024  # bytes of a receipt

_PENDING: Final = Text(
    "已登记入账，尚未公布（多因见证人签署不足）：不会丢失，稍后再次执行同一命令即可完成",
    "logged durably, but not published yet, mostly because too few witnesses have signed: nothing is lost, and the "
    "same command again, later, ends it",
)
_NOT_ACCEPTED: Final = Text(
    "账本不认可请求的签名或令牌：请核对所用地址是否即账本的 public_url、本机时钟是否准确、密钥或令牌是否已在账本登记",
    "the ledger did not accept the request's signature or token: is the address in use the ledger's public_url, is "
    "this machine's clock right, does the ledger know the key or token?",
)

T = TypeVar("T")


class Pending(Unavailable):
    """The ledger has these statements, durably, and has not published them yet: ask again after `retry_after` s.

    Sending the same statements again is as good as asking for the last of `identities`, which is at `index`.
    """

    def __init__(self, identities: tuple[bytes, ...], index: int, retry_after: int) -> None:
        super().__init__(_PENDING, retry_after=retry_after, public=True)
        self.identities, self.index = identities, index


_CODE: Final = re.compile(r"[A-Za-z_]{1,40}", re.ASCII)  # whatever else a proxy sends is not repeated


class _ErrorPart(msgspec.Struct):
    code: str = "error"
    field: str = "-"
    zh: str = "-"
    en: str = "-"


class _ErrorBody(msgspec.Struct):
    error: _ErrorPart


class LedgerClient:
    """One ledger. `signer` is the filing's request key, needed only by those who submit; `token` a verifier's, needed
    for look-ups and matches."""

    def __init__(
        self,
        base_url: str,
        *,
        signer: Signer | None = None,
        token: str = "",
        now_s: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = os.urandom,
        total_s: float = TOTAL_S,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._signer = signer
        self._token = token
        self._now_s = now_s
        self._random = random_bytes
        self._timeout = aiohttp.ClientTimeout(total=total_s, connect=CONNECT_S)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> LedgerClient:
        # What comes back is compared byte for byte, and sizes are limited as they arrive: nothing is to be compressed.
        plain = {"Accept-Encoding": "identity"}
        self._session = aiohttp.ClientSession(timeout=self._timeout, auto_decompress=False, headers=plain)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def checkpoint(self) -> bytes:
        """The newest signed checkpoint, as it came."""
        return await self._get("/checkpoint", _SMALL)

    async def tile(self, path: str) -> bytes:
        """A tile or entry bundle; `path` as ledger.tlog.tiles.format_tile_path writes it."""
        return await self._get(f"/{path}", _BUNDLE)

    async def envelope(self, issued: int, locator: bytes, slot: str) -> bytes | None:
        """A certificate's "face" or "rest" envelope, or None when the ledger has none. `issued`: index of the statement
        that issued the certificate, also where a correction's envelope is meant."""
        try:
            return await self._get(f"/v1/envelopes/{issued}/{locator.hex()}/{slot}", _SMALL)
        except Refused as refusal:
            if refusal.code == "not_found":
                return None
            raise

    async def evidence(
        self,
        cert_key: bytes,
        *,
        size: int | None = None,
        day: int | None = None,
        cosigned: Sequence[VerifierKey] = (),
    ) -> bytes:
        """What the log says about a certificate (32 bytes) now, as of its first `size` leaves, or as of the end of a
        day (days since 1970, Asia/Shanghai): bytes for `parse_evidence`, an absence too. `cosigned`: under the newest
        head that one of these keys cosigned (16 at most), which may be a little older than the newest.

        Raises Refused NO_SUCH_SIZE, NOT_YET, TOO_EARLY.
        """
        asked = {"size": str(size)} if size is not None else {} if day is None else {"date": format_day(day)}
        if cosigned:
            asked["cosigned"] = ",".join(key.key_id.hex() for key in cosigned)
        query = "?" + "&".join(f"{name}={value}" for name, value in asked.items()) if asked else ""
        return await self._get(f"/v1/evidence/{cert_key.hex()}{query}", MAX_EVIDENCE)

    async def receipt(self, cert_key: bytes) -> bytes:
        """The RFC 9942 receipt of the statement that issued a certificate: bytes for `open_receipt`. Raises
        Refused("not_found")."""
        return await self._get(f"/v1/evidence/{cert_key.hex()}/receipt", MAX_RECEIPT)

    async def filing(self, number: str) -> tuple[bytes, int]:
        """The statement with a filing's terms, and its index. Raises Refused("not_found")."""
        answer = wire.decode(await self._get(f"/v1/filings/{number}", _SMALL), wire.FilingAnswer)
        return answer.entry, answer.index

    async def tracks(self, persons: Sequence[PersonLineage]) -> list[bytes]:
        """The track id of each person and lineage, drawn by the ledger when it is the first request for them."""
        bodies = [wire.PersonBody(p.document_type, p.country, p.number, p.lineage) for p in persons]
        raw = await self._post("/v1/tracks", wire.encode(wire.TracksRequest(bodies)))
        tracks = wire.decode(raw, wire.TracksAnswer).tracks
        if len(tracks) != len(persons) or any(len(track) != 16 for track in tracks):
            raise Malformed("the ledger's answer about tracks")
        return tracks

    async def taken_numbers(self, numbers: Sequence[str]) -> set[str]:
        """Which of these certificate numbers are on the log already."""
        raw = await self._post("/v1/numbers", wire.encode(wire.NumbersRequest(list(numbers))))
        return set(wire.decode(raw, wire.NumbersAnswer).taken)

    async def submit(self, submissions: Sequence[AnySubmission]) -> Receipt:
        """Submit signed statements of the filing. The answers are durable facts, one for each, in order.

        Raises Pending when they are logged and not published yet: the same call again gives the receipt.
        """
        bodies = [wire.submission_body(submission) for submission in submissions]
        receipt = wire.receipt_of(await self._post("/v1/statements", wire.encode(wire.SubmitRequest(bodies))))
        if len(receipt.answers) != len(submissions):
            raise Malformed("the ledger's receipt has another number of answers")
        return receipt

    async def holders_certificate(self, number: str, name: str, document: IdDocument) -> bytes:
        """The cert key behind what is printed on a certificate (in normal forms), for the document of its holder.
        Needs a payer's request key.

        Raises Refused NOT_HOLDER alike for an unknown number, another name and somebody else's document.
        """
        body = HolderRequest(number, name, document.type_code, document.country, document.number)
        found = wire.decode(await self._post("/v1/claims/certificate", wire.encode(body)), HolderAnswer).cert_key
        if len(found) != 32:
            raise Malformed("the ledger's answer about a certificate")
        return found

    async def nullifiers(self, asked: Asked) -> tuple[tuple[bytes, ...], bytes]:
        """The nullifiers of a claim, rising, and the voucher to hand in with it. Needs a payer's request key.

        Raises Refused: ALREADY_CLAIMED, NOT_IN_FORCE, NOT_HOLDER and others.
        """
        document = asked.document
        body = wire.NullifiersRequest(
            asked.cert_key, document.type_code, document.country, document.number, asked.pack, asked.year
        )
        answer = wire.decode(await self._post("/v1/claims/nullifiers", wire.encode(body)), wire.NullifiersAnswer)
        return tuple(answer.nullifiers), answer.voucher

    async def cases(self) -> list[wire.CaseBody]:
        """The payer's claims that hold, on certificates that are not in force, in the order of the log."""
        found: list[wire.CaseBody] = []
        path = "/v1/claims/cases"
        while True:
            answer = wire.decode(await self._signed("GET", path, b""), wire.CasesAnswer)
            found += answer.cases
            if not answer.more:
                return found
            path = f"/v1/claims/cases?after={answer.after}"

    async def pack(self, digest: bytes, issuer: str = "") -> tuple[bytes, int] | None:
        """The statement that published a pack with this SHA-256, and its index: the authority's, or that of the
        employer with this filing number. None when there is none."""
        query = f"?by={issuer}" if issuer else ""
        try:
            answer = wire.decode(await self._get(f"/v1/packs/{digest.hex()}{query}", _SMALL), wire.PackAnswer)
        except Refused as refusal:
            if refusal.code == "not_found":
                return None
            raise
        return answer.entry, answer.index

    async def submit_authority(self, entry: bytes) -> Receipt:
        """Submit a statement of the authority; its signatures are its authority, so the request needs none.

        Raises as `submit`.
        """
        body = wire.encode(wire.AuthorityRequest(entry))
        headers = {"Content-Type": "application/json"}
        return wire.receipt_of(await self._send("POST", "/v1/authority", _LARGE, body, headers))

    async def statement(self, identity: bytes, index: int | None = None) -> Receipt | None:
        """The receipt of one statement, or None when the log does not have it, or not at this index. A certificate is
        found only with its index. Raises Pending."""
        try:
            receipt = wire.receipt_of(await self._send("GET", wire.ask_path(identity, index), _SMALL, None, {}))
        except Refused as refusal:
            if refusal.code == "not_found":
                return None
            raise
        if len(receipt.answers) != 1:
            raise Malformed("the ledger's receipt has another number of answers")
        return receipt

    async def lookup(self, pairs: Sequence[tuple[str, str]]) -> wire.LookupAnswer:
        """What each number with a name (in their normal forms, at most `wire.MAX_LOOKUPS`) leads to; None where no
        certificate has this number and this name, or where the ledger has no answer (`unanswered`). Nothing of it is
        proven: `FaceOpening` and the log do that.

        Raises Unverified when the ledger does not take the token.
        """
        bodies = [wire.LookupBody(number, name) for number, name in pairs]
        answer = wire.decode(await self._ask("/v1/lookup", wire.LookupRequest(bodies)), wire.LookupAnswer)
        if (
            len(answer.found) != len(pairs)
            or any(
                one and (len(one.cert_key), len(one.salt), len(one.leaf_hash)) != (32, 16, 32) for one in answer.found
            )
            or not all(0 <= at < len(pairs) and answer.found[at] is None for at in answer.unanswered)
        ):
            raise Malformed("the ledger's answer to a look-up")
        return answer

    async def match(self, cert_key: bytes, last4: str) -> bool:
        """Whether the holder's ID number ends so, as far as the ledger knows. Raises Refused("TRIES_USED") after five
        tries for one certificate in a day, Unverified when the ledger does not take the token."""
        return wire.decode(await self._ask("/v1/match", wire.MatchRequest(cert_key, last4)), wire.MatchAnswer).match

    async def _ask(self, path: str, body: object) -> bytes:
        """A question of a verifier, under its token."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        return await self._send("POST", path, _LARGE, wire.encode(body), headers)

    async def _get(self, path: str, limit: int) -> bytes:
        """What anybody may read: whoever wants a password for it, or has it later, stands between us and the ledger."""
        return await self._send("GET", path, limit, None, {}, public=True)

    async def _post(self, path: str, body: bytes) -> bytes:
        return await self._signed("POST", path, body)

    async def _signed(self, method: str, path: str, body: bytes) -> bytes:
        if self._signer is None:
            raise AssertionError("this call needs the filing's request key")
        for attempt in range(_SIGNED_TRIES):
            headers = {"Content-Type": "application/json", "Idempotency-Key": sha256(body).hexdigest()}
            headers |= sign_request(
                method,
                self._base + path,
                headers,
                body,
                signer=self._signer,
                now_s=int(self._now_s()),
                nonce=self._random(16),
            )
            try:
                return await self._send(method, path, _LARGE, body or None, headers)
            except Unverified:
                # A ledger that has just started refuses what was signed before: it cannot know it is no replay.
                if attempt == _SIGNED_TRIES - 1:
                    raise
                await asyncio.sleep(1.1)
        raise AssertionError("unreachable")

    async def _send(
        self, method: str, path: str, limit: int, body: bytes | None, headers: dict[str, str], *, public: bool = False
    ) -> bytes:
        if self._session is None:
            raise AssertionError("use the client as a context manager")
        try:
            async with self._session.request(
                method, self._base + path, data=body, headers=headers, allow_redirects=False
            ) as response:
                raw = await _read(response, limit)
                status, retry = response.status, response.headers.get("Retry-After", "")
                coded = response.headers.get(ERROR_CODE, "")
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(
                Text(
                    f"账本 {self._base} 没有答复（{type(error).__name__}）：请确认它在运行，地址和网络无误",
                    f"the ledger did not answer at {self._base}: {type(error).__name__}; is it running, and "
                    "are address and network right?",
                )
            ) from error
        if status == 200:
            return raw
        if public and status in (202, 401):
            raise Unavailable(
                Text(
                    f"{self._base} 答复 {status}，不像是账本：请核对地址",
                    f"the ledger at {self._base} answered {status}",
                )
            )
        if status == 202:
            raise Pending(*wire.pending_of(raw))
        raise _failure(self._base, status, raw, retry, coded)


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    raw = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        raw += chunk
        if len(raw) > limit:
            raise Unavailable(
                Text("答复的内容超出账本会发送的长度：请核对账本地址", "what answered sent more than a ledger does")
            )
    return bytes(raw)


def _failure(base: str, status: int, raw: bytes, retry: str, coded: str) -> Exception:
    """`coded`: the code as the header has it, which a proxy that answers by itself does not send."""
    retry_after = int(retry) if retry.isascii() and retry.isdigit() and len(retry) < 6 else None
    try:
        error: Any = msgspec.json.decode(raw, type=_ErrorBody).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        error = _ErrorPart()
    if status in (429, 503) or status >= 500:  # one that stands by says so: the address is another's
        said = f"{status} ({error.code})" if _CODE.fullmatch(error.code) else str(status)
        what = Text(f"账本 {base} 答复 {said}，请稍后重试", f"the ledger at {base} answered {said}")
        if coded and coded == error.code:
            what = Text(f"账本 {base} 答复 {said}：{repeated(error.zh)}", f"{what.en}: {repeated(error.en)}")
        return Unavailable(what, retry_after=retry_after)
    if status == 404:
        return Refused("not_found", "path", Text("账本中没有", "The ledger does not have it"))
    if status == 401:
        return Unverified(_NOT_ACCEPTED)
    return Refused(repeated(error.code), repeated(error.field), Text(repeated(error.zh), repeated(error.en)))
