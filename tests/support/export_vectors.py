"""Makes tests/vectors/exports.json: `python -m tests.support.export_vectors`.

Everything follows from fixed values. For whoever writes another reader: keys, a badge in both forms and its digests,
lists with the places that are set, an SD-JWT with its disclosures, the DID document.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from issuer.exports.badge import BADGE, CREDENTIAL
from issuer.exports.did import did_document, issuer_metadata
from issuer.exports.facts import DEFAULT_FIELDS
from issuer.exports.jcs import canonical_json
from issuer.exports.sdjwt import sd_jwt
from issuer.exports.standing import Place, Standing
from tests.support.exporting import BASE, KEYS, MAKER, SIGNER, make_facts
from tests.support.slow_exports import quads

PATH = Path(__file__).parents[1] / "vectors" / "exports.json"
PLACE = Place(131_072 + 7)
SET = {7: Standing(False, True, False), 8: Standing(True, False, False), 131_071: Standing(False, False, True)}
SEED = 20_260_601  # of random.Random, for the salts of the SD-JWT


def export_vectors() -> dict[str, Any]:
    facts = make_facts()
    forms = {
        name: MAKER.secured(facts, PLACE, lists, DEFAULT_FIELDS)
        for name, lists in (("badge", BADGE), ("credential", CREDENTIAL))
    }
    bare: dict[str, Any] = {name: value for name, value in forms["badge"].items() if name != "proof"}
    return {
        "seed": sha256(b"export key").hexdigest(),
        "public": SIGNER.public.hex(),
        "export_url": BASE,
        "facts": {name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(facts).items()},
        "place": {"log_index": PLACE.index, "list": PLACE.list, "position": PLACE.position},
        **forms,
        "badge_sha256": {
            "rdfc": sha256(quads(bare)).hexdigest(),
            "jcs": sha256(canonical_json(bare)).hexdigest(),
        },
        "sd_jwt": sd_jwt(facts, BASE, PLACE, MAKER.key, MAKER.now_s, random.Random(SEED).randbytes),
        "did": did_document(BASE, KEYS, {}),
        "jwt_vc_issuer": issuer_metadata(BASE, KEYS, {}),
        "set": {str(position): asdict(standing) for position, standing in SET.items()},
        "lists": {
            path: content.decode()
            for path, content in MAKER.list_files({131_072 + at: said for at, said in SET.items()}, tokens=True).items()
        },
    }


def vector_text() -> str:
    return json.dumps(export_vectors(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(vector_text(), encoding="utf-8")
