"""Evidence, proof files and receipts over HTTP: what anybody may carry away and check without this server.

    GET /v1/evidence/{cert key}                   records/evidence.py; ?size=N or ?date=YYYY-MM-DD: of an older seal;
                                                  ?cosigned=KEYID,…: under the newest head with a line of one of these
    GET /v1/evidence/{cert key}/tlog-proof        C2SP tlog-proof of the statement that issued the certificate, which
                                                  is its `extra`: checked with nothing but the pinned keys
    GET /v1/evidence/{cert key}/receipt           RFC 9942 receipt of the same

An unknown certificate has evidence too: that of its absence. Every answer is immutable for its checkpoint, which its
ETag names; it is asked for again each time, so that no cache can pass off an old state as the present one.

A map auditor's line comes a moment after a head was published. Who needs it asks for the head that has it: seconds old
under a stream of batches, and dated by its own cosignatures, so that whoever asks sees how old it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from aiohttp import web

from ledger.downloads import RECEIPT, TLOG_PROOF, Download
from ledger.edge import Rejected
from ledger.edge_direct import add_direct
from ledger.edge_ready import Header
from ledger.errors import Malformed, Unavailable
from ledger.records.cose import Signer
from ledger.records.receipt import ReceiptOf, format_receipt, sign_root
from ledger.service.cosigned import Published
from ledger.store.evidence import Basis, Prover, Standing
from ledger.text import Text
from ledger.tlog.cosignature import ML_DSA_44_COSIGNATURE
from ledger.tlog.keys import kid
from ledger.tlog.note import VerifierKey, parse_note
from ledger.tlog.proof import TlogProof, format_tlog_proof
from ledger.wire import evidence_question

_KEY_IDS: Final = re.compile(r"[0-9a-f]{8}(,[0-9a-f]{8}){0,15}", re.ASCII)
_KEY: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CORS: Final = {"Access-Control-Allow-Origin": "*"}
_EVIDENCE: Final = "application/cbor"


class Tag:
    """The ETag of what is answered under one checkpoint, and the headers that go with it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._headers = {**_CORS, "Cache-Control": "no-cache", "ETag": text}
        self._evidence = Header(_EVIDENCE, self._headers)

    def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Evidence; 304 to who has it."""
        if request.headers.get("If-None-Match") == self.text:
            return web.Response(status=304, headers=self._headers)
        return self._evidence.answer(request, body)

    def download(self, request: web.Request, body: bytes, kind: Download, cert_key: bytes) -> web.StreamResponse:
        """A file about one certificate, for a browser to keep."""
        if request.headers.get("If-None-Match") == self.text:
            return web.Response(status=304, headers=self._headers)
        headers = {**self._headers, **kind.headers(cert_key)}
        return web.Response(body=body, content_type=kind.content_type, headers=headers)

    def whole(self, body: bytes, hsts: bool) -> bytes:
        """All bytes of `answer` to who has nothing."""
        return self._evidence.whole(body, hsts)


@dataclass(slots=True)
class Proofs:
    """What the handlers need. `published` gives the newest head, `cosigned` the newest with a line of one of these key
    IDs; `keys` are the log's, `receipt_key` its own."""

    prover: Prover
    published: Callable[[], Published | None]
    cosigned: Callable[[Sequence[bytes]], Published | None]
    origin: str
    keys: tuple[VerifierKey, ...]
    receipt_key: Signer
    _head: tuple[Published, Basis, Tag] | None = None
    _cosigned: tuple[Published, Basis, Tag] | None = None
    _signature: tuple[bytes, bytes] | None = None  # root, and the receipt key's signature over it

    def head(self) -> tuple[Published, Basis, Tag]:
        """The published head, as a basis for proofs, and its ETag. Raises Unavailable before the first."""
        published = self.published()
        if published is None:
            raise Unavailable(Text("还没有公布任何检查点，请稍后重试", "nothing is published yet; try again later"))
        if self._head is None or self._head[0] is not published:
            self._head = self._named(published)
        return self._head

    def ready(self, cert_key: str, hsts: bool) -> bytes | None:
        """All bytes of the answer of `get_evidence` to a question without a query, where nothing has to be waited for
        (`ledger.edge_direct`). Raises as that does."""
        if _KEY.fullmatch(cert_key) is None:
            return None
        _, basis, tag = self.head()
        body = self.prover.at_once(bytes.fromhex(cert_key), basis)
        return None if body is None else tag.whole(body, hsts)

    def cosigned_head(self, key_ids: Sequence[bytes]) -> tuple[Published, Basis, Tag]:
        """As `head`, of the newest one with such a line; the newest of all when none has one."""
        published = self.cosigned(key_ids)
        if published is None:
            return self.head()
        if self._cosigned is None or self._cosigned[0] is not published:
            self._cosigned = self._named(published)
        return self._cosigned

    def _named(self, published: Published) -> tuple[Published, Basis, Tag]:
        basis = Basis(published.size, published.note, self._signed_ms(published.note))
        return published, basis, Tag(f'"{sha256(published.note).hexdigest()[:32]}"')

    def root_signature(self, root: bytes) -> bytes:
        """The receipt key's signature, made once for a head."""
        if self._signature is None or self._signature[0] != root:
            self._signature = root, sign_root(self.origin, root, self.receipt_key)
        return self._signature[1]

    def _signed_ms(self, note: bytes) -> int:
        """When the log's own dated signature was made: u64 seconds before it (C2SP tlog-cosignature)."""
        dated = next(key for key in self.keys if key.type == ML_DSA_44_COSIGNATURE)
        lines = parse_note(note).signatures
        line = next(line for line in lines if (line.name, line.key_id) == (dated.name, dated.key_id))
        return int.from_bytes(line.blob[:8], "big") * 1000


PROOFS: Final = web.AppKey("proofs", Proofs)


def add_proofs(app: web.Application, proofs: Proofs) -> None:
    """Serve the three routes of this module in `app`."""
    app[PROOFS] = proofs
    add_direct(app, "/v1/evidence/", "/v1/evidence/{cert_key}", proofs.ready)
    app.add_routes(
        [
            web.get("/v1/evidence/{cert_key}", get_evidence),
            web.get("/v1/evidence/{cert_key}/tlog-proof", get_tlog_proof),
            web.get("/v1/evidence/{cert_key}/receipt", get_receipt),
        ]
    )


async def get_evidence(request: web.Request) -> web.StreamResponse:
    proofs = request.app[PROOFS]
    cert_key = _cert_key(request)
    size = day = None
    if request.query_string:
        key_ids, moment = cosigned_question(request.query)
        size, day = evidence_question(moment)
        _, basis, tag = proofs.cosigned_head(key_ids) if key_ids else proofs.head()
    else:
        _, basis, tag = proofs.head()
    if size is not None:
        body = await proofs.prover.at_size(cert_key, size, basis)
    elif day is not None:
        body = await proofs.prover.at_day(cert_key, day, basis)
    else:
        body = await proofs.prover.current(cert_key, basis)
    return tag.answer(request, body)


def cosigned_question(query: Mapping[str, str]) -> tuple[tuple[bytes, ...], dict[str, str]]:
    """The key IDs of `?cosigned=`, none without it, and the rest of the question. Raises Malformed."""
    rest = dict(query)
    text = rest.pop("cosigned", None)
    if text is None:
        return (), rest
    if _KEY_IDS.fullmatch(text) is None:
        raise Malformed("?cosigned= is 1 to 16 key IDs of 8 hex digits, with commas between")
    return tuple(map(bytes.fromhex, text.split(","))), rest


async def get_tlog_proof(request: web.Request) -> web.StreamResponse:
    proofs = request.app[PROOFS]
    _, basis, tag = proofs.head()
    cert_key = _cert_key(request)
    standing = await _standing(proofs, cert_key, basis)
    proof = TlogProof(standing.index, standing.placed.inclusion, basis.note, standing.placed.entry)
    return tag.download(request, format_tlog_proof(proof), TLOG_PROOF, cert_key)


async def get_receipt(request: web.Request) -> web.StreamResponse:
    proofs = request.app[PROOFS]
    published, basis, tag = proofs.head()
    cert_key = _cert_key(request)
    standing = await _standing(proofs, cert_key, basis)
    signature = proofs.root_signature(published.root)
    path = standing.placed.inclusion
    receipt = ReceiptOf(proofs.origin, kid(proofs.receipt_key.public), basis.size, standing.index, path, signature)
    return tag.download(request, format_receipt(receipt), RECEIPT, cert_key)


async def _standing(proofs: Proofs, cert_key: bytes, basis: Basis) -> Standing:
    standing = await proofs.prover.standing(cert_key, basis)
    if standing is None:
        raise Rejected(404)
    return standing


def _cert_key(request: web.Request) -> bytes:
    text = request.match_info["cert_key"]
    if _KEY.fullmatch(text) is None:
        raise Rejected(404)
    return bytes.fromhex(text)
