"""Old decisions again: the same inputs under the pack of the same digest must give the same bytes. Pure.

What this shows is that the rules said so, not that the certificates were genuine: their checkpoints are in the
decision, and `verifier.verify` is asked about those.
"""

from __future__ import annotations

from collections.abc import Callable

from ledger.errors import Unverified
from ledger.text import Text
from verifier.eligibility.decision import Decision, format_decision, parse_decision
from verifier.eligibility.engine import evaluate_again
from verifier.eligibility.facts import facts_from
from verifier.eligibility.pack import Pack


def replay(raw: bytes, pack_of: Callable[[bytes], Pack | None]) -> Decision:
    """The decision with these bytes, decided again. `pack_of`: the pack with a digest, also a superseded one.

    Raises Malformed (not a decision), Unverified (a pack that is not there, or other bytes came out).
    """
    decision = parse_decision(raw)
    pack = pack_of(decision.digest)
    if pack is None or pack.digest != decision.digest:
        raise Unverified(Text("手边没有该决定所用的规则包", "the pack of this decision is not at hand"))
    again = evaluate_again(decision, facts_from(decision.facts, pack), pack)
    if format_decision(again) != raw:
        raise Unverified(Text("同样的输入得出另一决定", "the same inputs give another decision"))
    return again
