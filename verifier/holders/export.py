"""Everything that is kept here of a holder, as one zip to take along: JSON for programs and people, bundles to verify.
Pure.

    export.json               certificates with every field that is here, shares with their views, passkeys, requests
    bundles/NUMBER.bundle     each certificate with its openings and its proof, for `cert-verifier check` and any reader
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, Final

from ledger.records.bundle import Bundle, format_bundle
from ledger.records.envelope import holder_tag
from ledger.records.evidence import Evidence
from ledger.records.secret import format_secret
from ledger.records.statements import parse_statement
from verifier.holders.accounts import Kept, Passkey
from verifier.holders.held import Held
from verifier.holders.requests import Request
from verifier.holders.share_store import Listed
from verifier.holders.shares import openings_of
from verifier.messages import say_time

FORMAT: Final = "certledger/holder-export/v1"
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)  # of a zip; the same export twice is the same bytes


def bundle_of(held: Held, evidence: Evidence) -> bytes:
    """The holder's file of a certificate. Raises Malformed for evidence of one that was never issued."""
    assert evidence.issued is not None, "a held certificate was issued"
    leaf = parse_statement(evidence.issued.entry).leaf_hash
    tag = holder_tag(held.holder_code, leaf)
    bundle = Bundle(held.secret, held.holder_code, tag, held.face, held.digests, held.openings, evidence)
    return format_bundle(bundle)


def bundle_name(held: Held) -> str:
    """A file's name of its number: the ledger's word, so that only what numbers are made of gets into it."""
    return "".join(c for c in held.face.number if c.isascii() and (c.isalnum() or c == "-"))[:64] + ".bundle"


def export_zip(
    kept: Sequence[Kept],
    shares: Sequence[Listed],
    passkeys: Sequence[Passkey],
    requests: Sequence[Request],
    bundles: Mapping[bytes, bytes],
    now_ms: int,
) -> bytes:
    """`bundles` by the id of their certificate; one whose proof is not to be had now is missing there."""
    document = {
        "format": FORMAT,
        "made": say_time(now_ms, "en"),
        "certificates": [_certificate(one) for one in kept],
        "shares": [_share(one, now_ms) for one in shares],
        "passkeys": [_passkey(one) for one in passkeys],
        "requests": [_request(one) for one in requests],
    }
    raw = BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as packed:
        text = json.dumps(document, ensure_ascii=False, indent=1)
        packed.writestr(zipfile.ZipInfo("export.json", _EARLIEST), text)
        for one in kept:
            if one.id in bundles:
                name = f"bundles/{bundle_name(one.held)}"
                packed.writestr(zipfile.ZipInfo(name, _EARLIEST), bundles[one.id])
    return raw.getvalue()


def _certificate(kept: Kept) -> dict[str, Any]:
    held = kept.held
    return {
        "number": held.face.number,
        "name": held.face.name,
        "secret": format_secret(held.secret),
        "holder_code": format_secret(held.holder_code),
        "openings": openings_of(held),
        "claimed": _when(kept.created_ms),
    }


def _share(share: Listed, now_ms: int) -> dict[str, Any]:
    return {
        "certificate": share.certificate.hex(),
        "purpose": share.note.purpose,
        "recipient": share.note.recipient,
        "fields": list(share.note.fields),
        "pin": share.has_pin,
        "state": share.state(now_ms),
        "views": share.views,
        "seen": [_when(at) for at in share.seen_ms],
        "made": _when(share.created_ms),
        "ends": _when(share.expires_ms),
        "closed": _when(share.closed_ms),
    }


def _passkey(passkey: Passkey) -> dict[str, Any]:
    return {"id": passkey.id.hex(), "made": _when(passkey.created_ms), "used": _when(passkey.used_ms)}


def _request(request: Request) -> dict[str, Any]:
    named = {"kind": request.kind, "cert_key": request.cert_key.hex(), "field": request.field}
    return named | {"made": _when(request.at_ms), "done": _when(request.done_ms)}


def _when(ms: int) -> str | None:
    return say_time(ms, "en") if ms else None
