"""What a browser is told to believe, as JSON: every log's pins, and the words it compares pages with. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from ledger.tlog.note import VerifierKey
from ledger.tlog.policy import format_policy
from verifier.messages import Messages
from verifier.trust import Trust
from verifier.verdict import STATUSES
from verifier.verdict_json import text_json

FORMAT: Final = "certledger/browser-trust/v1"


def format_trust(trusts: Sequence[Trust], messages: Messages, kit_keys: Sequence[VerifierKey] = ()) -> bytes:
    """The document for logs that share their official addresses. `kit_keys`: whose offline kits this site offers."""
    ladder = trusts[0].ladder
    document = {
        "format": FORMAT,
        "bases": list(trusts[0].bases),
        "logs": [
            {
                "origin": trust.origin,
                "keys": [key.format_vkey() for key in trust.keys],
                "genesis": trust.genesis.hex(),
                "policy": format_policy(trust.policy),
                "map_auditors": [key.format_vkey() for key in trust.map_auditors],
                "freshness_s": trust.freshness_ms // 1000,
                "max_skew_s": trust.max_skew_ms // 1000,
            }
            for trust in trusts
        ],
        "kit_keys": [key.format_vkey() for key in kit_keys],
        "grades": {str(grade.ordinal): text_json(grade.text) for grade in ladder.grades},
        "statuses": {status: text_json(messages.labels[f"status_{status}"]) for status in sorted(STATUSES)},
        "post_to_come": text_json(messages.labels["post_to_come"]),
        "titles": {code.value: text_json(wording.title) for code, wording in messages.wordings.items()},
    }
    return json.dumps(document, ensure_ascii=False).encode()
