"""Data Integrity proofs: eddsa-rdfc-2022 and eddsa-jcs-2022 (W3C vc-di-eddsa 1.0, sections 3.2 and 3.3).

    1 every type and member is a term that the contexts define: what a canonicaliser drops, nobody would sign
    2 proof options without the value; under eddsa-jcs-2022 they carry the document's @context (3.3.1)
    3 each canonical form hashed: SHA-256(options) ‖ SHA-256(document without proof), 64 bytes
    4 Ed25519 over those 64 bytes; the value in base58btc

Canonical is RDFC-1.0 N-Quads for the first and RFC 8785 for the second. Several outside verifiers know the first only,
and take the first proof of the array: so it stands there. Both are over the same document; neither covers the other.

The record key signs, as it signs statements. No signature of one kind passes for another: a COSE Sig_structure begins
84 6A "Signature1" and is longer than 64 bytes, a JWT is "ey…" in ASCII, and these are exactly 64 bytes of digests.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from pyld import jsonld

from issuer.exports.jcs import Json, canonical_json
from issuer.exports.multibase import base58btc
from issuer.exports.vocabulary import check_terms, document_loader
from ledger.errors import Malformed
from ledger.records.cose import Signer

RDFC: Final = "eddsa-rdfc-2022"
JCS: Final = "eddsa-jcs-2022"


@dataclass(frozen=True, slots=True)
class ExportKey:
    """Who signs exports: the record key, and the name under which the issuer's DID document lists it."""

    signer: Signer
    method: str  # DID URL: did:web:…#kid

    @property
    def controller(self) -> str:
        return self.method.partition("#")[0]

    @property
    def kid(self) -> str:
        return self.method.partition("#")[2]


def secure(document: Mapping[str, Json], key: ExportKey, created: str) -> dict[str, Json]:
    """The document with both proofs. `created`: an instant, `YYYY-MM-DDThh:mm:ssZ`. Raises Malformed (step 1)."""
    assert "proof" not in document
    check_terms(document)  # 1
    return {**document, "proof": [_proof(document, key, created, RDFC), _proof(document, key, created, JCS)]}


def _proof(document: Mapping[str, Json], key: ExportKey, created: str, suite: str) -> Json:
    context = document["@context"]
    assert isinstance(context, list)
    options = _options(suite, key.method, created)
    canonical = _quads if suite == RDFC else canonical_json
    hashed = _options_digest(suite, key.method, created, tuple(map(str, context)))  # 3
    hashed += sha256(canonical(dict(document))).digest()
    shown = options if suite == RDFC else {"@context": context, **options}
    return {**shown, "proofValue": base58btc(key.signer.sign(hashed))}  # 4


def _options(suite: str, method: str, created: str) -> dict[str, Json]:
    return {
        "type": "DataIntegrityProof",
        "cryptosuite": suite,
        "created": created,
        "verificationMethod": method,
        "proofPurpose": "assertionMethod",
    }


@functools.lru_cache(maxsize=8)
def _options_digest(suite: str, method: str, created: str, context: tuple[str, ...]) -> bytes:
    """The same for everything that a run signs, and a third of what canonicalising costs."""
    options: dict[str, Json] = {"@context": list(context), **_options(suite, method, created)}  # 2
    return sha256((_quads if suite == RDFC else canonical_json)(options)).digest()


def _quads(document: dict[str, Json]) -> bytes:
    try:
        quads: str = jsonld.normalize(
            document,
            {"algorithm": "URDNA2015", "format": "application/n-quads", "documentLoader": document_loader},
        )
    except jsonld.JsonLdError as error:
        raise Malformed("JSON-LD that has no canonical form") from error
    return quads.encode()
