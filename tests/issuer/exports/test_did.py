from __future__ import annotations

from openvc.did.base import parse_did_document
from openvc.did.did_web import _did_web_url
from openvc.jwt_vc_issuer import jwt_vc_issuer_metadata_url

from issuer.exports.did import did_document, did_of, did_path, export_key, issuer_metadata, issuer_path
from issuer.exports.when import day_begins
from ledger.records.authority import FiledKey
from ledger.tlog.keys import Ed25519Signer
from tests.support.slow_exports import multikey, unpadded

ADDRESSES = ("https://a.example", "https://a.example:8443", "https://a.example/b", "https://a.example:444/b/c-d")


def test_others_look_where_the_files_are() -> None:
    for base in ADDRESSES:
        host = "/".join(base.split("/")[:3])
        assert _did_web_url(did_of(base)) == f"{host}/{did_path(base)}"
        assert jwt_vc_issuer_metadata_url(base) == f"{host}/{issuer_path(base)}"
    assert did_of(ADDRESSES[3]) == "did:web:a.example%3A444:b:c-d"


def test_keys_that_were_filed_stay() -> None:
    signers = [Ed25519Signer(bytes([seed]) * 32) for seed in (1, 2, 3)]
    keys = tuple(FiledKey(signer.public, 20_000 + at, 20_300 if at == 0 else 0) for at, signer in enumerate(signers))
    compromised = {signers[1].public: 20_500}
    base = ADDRESSES[2]
    document = did_document(base, keys, compromised)
    methods = document["verificationMethod"]
    assert isinstance(methods, list)
    assert [multikey(one["publicKeyMultibase"]) for one in methods] == [signer.public for signer in signers]  # type: ignore[index,call-overload,arg-type]
    assert [one.get("revoked") for one in methods] == [None, day_begins(20_500), None]  # type: ignore[union-attr]
    sound = [export_key(base, signers[at]).method for at in (0, 2)]
    assert document["assertionMethod"] == sound, "retired: what it signed still holds; compromised: nothing does"
    read = parse_did_document(document)
    assert read.id == did_of(base) and len(read.verification_methods) == 3
    jwks = issuer_metadata(base, keys, compromised)["jwks"]
    assert isinstance(jwks, dict) and isinstance(jwks["keys"], list)
    assert [unpadded(one["x"]) for one in jwks["keys"]] == [signers[0].public, signers[2].public]  # type: ignore[index,call-overload,arg-type]
