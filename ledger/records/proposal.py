"""The proposal file: a statement of the authority before anybody signed, as it travels between people.

JSON, so that it can be mailed and looked at; what is signed are the bytes in it, never a rendering of them:

    {"format": "certledger/proposal/v1", "protected": base64, "payload": base64, "sha256": hex of protected ‖ payload}
"""

from __future__ import annotations

import base64
import json
from typing import Final

from ledger.errors import Malformed
from ledger.records.statements import Proposal

FORMAT: Final = "certledger/proposal/v1"
MAX_PROPOSAL: Final = 64 * 1024  # bytes of a file


def format_proposal(proposal: Proposal) -> bytes:
    document = {
        "format": FORMAT,
        "protected": base64.b64encode(proposal.protected).decode(),
        "payload": base64.b64encode(proposal.payload).decode(),
        "sha256": proposal.identity.hex(),
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def read_proposal(raw: bytes) -> Proposal:
    """The bytes to sign out of a file. Raises Malformed."""
    try:
        document = json.loads(raw) if len(raw) <= MAX_PROPOSAL else None
    except (ValueError, RecursionError) as error:
        raise Malformed("proposal: not JSON") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise Malformed(f"proposal: not of the form {FORMAT}")
    try:
        proposal = Proposal(
            base64.b64decode(document["protected"], validate=True),
            base64.b64decode(document["payload"], validate=True),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise Malformed("proposal: the bytes to sign are missing") from error
    if document.get("sha256") != proposal.identity.hex():
        raise Malformed("proposal: its digest does not match its bytes")
    return proposal
