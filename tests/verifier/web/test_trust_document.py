"""What browsers are told to believe."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

from ledger.reference_data import load_catalogue, load_ladder
from ledger.tlog.note import VerifierKey
from ledger.tlog.policy import parse_policy
from tests.support.sealed_log import AUDITOR_KEY, POLICY
from tests.support.witnesses import Cosigner
from verifier.messages import load_messages
from verifier.trust import Trust
from verifier.verdict import STATUSES, Code
from verifier.web.trust_document import format_trust

ORIGIN = "log.test.example/2026"
KEYS = (VerifierKey(ORIGIN, 1, sha256(b"a").digest()), VerifierKey(ORIGIN, 6, bytes(1312)))
TRUST = Trust(
    ORIGIN, KEYS, bytes(32), ("https://cert.test.example",), 300_000, 60_000, load_ladder(), load_catalogue(), POLICY,
    map_auditors=(AUDITOR_KEY,),
)  # fmt: skip


def test_it_says_all_pins_of_all_logs_in_their_own_spelling() -> None:
    other = replace(TRUST, origin="log.other", keys=tuple(replace(key, name="log.other") for key in KEYS))
    kit = Cosigner("kit.example").ed25519
    said = json.loads(format_trust([TRUST, other], load_messages(), [kit]))
    assert [log["origin"] for log in said["logs"]] == [ORIGIN, "log.other"]
    first = said["logs"][0]
    assert first["keys"] == [key.format_vkey() for key in KEYS] and first["genesis"] == "00" * 32
    assert parse_policy(first["policy"]) == POLICY and first["map_auditors"] == [AUDITOR_KEY.format_vkey()]
    assert (first["freshness_s"], first["max_skew_s"]) == (300, 60)
    assert said["bases"] == ["https://cert.test.example"] and said["kit_keys"] == [kit.format_vkey()]


def test_it_has_the_words_that_a_page_is_compared_with() -> None:
    said, messages = json.loads(format_trust([TRUST], load_messages())), load_messages()
    assert set(said["titles"]) == {code.value for code in Code} and set(said["statuses"]) == STATUSES
    assert said["titles"]["revoked"] == {"zh": "证书已撤销", "en": "Revoked"}
    assert said["grades"]["4"] == {"zh": load_ladder().by_ordinal(4).zh_formal, "en": load_ladder().by_ordinal(4).en}
    assert said["statuses"]["void"]["en"] == messages.labels["status_void"].en
