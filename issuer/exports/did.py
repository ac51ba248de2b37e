"""The issuer's keys under its own web address: did:web, and the key set that SD-JWT verifiers ask for.

    https://HOST           did:web:HOST              /.well-known/did.json    /.well-known/jwt-vc-issuer
    https://HOST/A/B       did:web:HOST:A:B          /A/B/did.json            /.well-known/jwt-vc-issuer/A/B
    a port: did:web:HOST%3A8443

A key is named by its kid on the log, so that a DID document can be compared with the filing. did:web shows what is so
now and keeps no history; as far as it can, all keys that were ever filed stay listed, with two meanings:

    filed, live or retired    verificationMethod and assertionMethod: what it signed while it was used still verifies
    compromised               verificationMethod with `revoked`, and not in assertionMethod: whatever it signed is
                              refused from then on, and is exported anew under the next key

When a key was used is on the log (windows of the filing), not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from issuer.exports.integrity import ExportKey
from issuer.exports.jcs import Json
from issuer.exports.jose import public_jwk
from issuer.exports.multibase import multikey
from issuer.exports.when import day_begins
from ledger.records.authority import FiledKey
from ledger.records.cose import Signer
from ledger.tlog.keys import kid

_CONTEXTS: Final = ("https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1")


def split_base(base: str) -> tuple[str, str]:
    """Host (with its port) and path ("" or "/a/b") of `export_url`, as the settings allow it."""
    host, slash, path = base.removeprefix("https://").partition("/")
    assert host and base.startswith("https://"), "settings were checked"
    return host, slash + path


def did_of(base: str) -> str:
    host, path = split_base(base)
    return "did:web:" + host.replace(":", "%3A") + path.replace("/", ":")


def did_path(base: str) -> str:
    """Where the DID document lies, from the root of the host."""
    _, path = split_base(base)
    return f"{path[1:]}/did.json" if path else ".well-known/did.json"


def issuer_path(base: str) -> str:
    """Where the JWT VC issuer metadata lies, from the root of the host (SD-JWT VC, section 4)."""
    return ".well-known/jwt-vc-issuer" + split_base(base)[1]


def export_key(base: str, signer: Signer) -> ExportKey:
    return ExportKey(signer, f"{did_of(base)}#{kid(signer.public).hex()}")


def did_document(base: str, keys: Sequence[FiledKey], compromised: Mapping[bytes, int]) -> dict[str, Json]:
    """did.json. `compromised`: public keys to the day from which they are."""
    did = did_of(base)
    methods: list[Json] = []
    for key in keys:
        method: dict[str, Json] = {
            "id": f"{did}#{key.kid.hex()}",
            "type": "Multikey",
            "controller": did,
            "publicKeyMultibase": multikey(key.public),
        }
        if key.public in compromised:
            method["revoked"] = day_begins(compromised[key.public])
        methods.append(method)
    sound: list[Json] = [f"{did}#{key.kid.hex()}" for key in keys if key.public not in compromised]
    return {"@context": list(_CONTEXTS), "id": did, "verificationMethod": methods, "assertionMethod": sound}


def issuer_metadata(base: str, keys: Sequence[FiledKey], compromised: Mapping[bytes, int]) -> dict[str, Json]:
    """The keys as a JWK set; a compromised one is left out."""
    sound: list[Json] = [public_jwk(key.public, key.kid.hex()) for key in keys if key.public not in compromised]
    return {"issuer": base, "jwks": {"keys": sound}}
