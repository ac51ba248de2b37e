"""A decision as plain values for API, CSV and command line: all by name, days as ISO dates, money in fen. Pure."""

from __future__ import annotations

from hashlib import sha256

from ledger.records.dates import format_day
from ledger.records.grades import Ladder
from ledger.text import Text
from verifier.eligibility.decision import Decision, format_decision
from verifier.eligibility.explain import explain, trace_lines
from verifier.eligibility.known_of import rests_on
from verifier.eligibility.pack import Pack
from verifier.verdict_json import iso_time, text_json


def decision_json(decision: Decision, pack: Pack, ladder: Ladder, *, trace: bool = True) -> dict[str, object]:
    """The answer with its words, and the SHA-256 of its bytes, which a claim commits to.

    Facts are not repeated: whoever asks has them. Raises Unverified for another pack.
    """
    d = decision
    amount = None
    if d.amount is not None and d.period is not None and d.bound is not None:
        lines = [{"id": name, "fen": fen} for name, fen in d.lines]
        amount = {"fen": d.amount, "currency": "CNY", "period": d.period.value, "bound": d.bound.value, "lines": lines}
    sources = [(key, pack.sources[key]) for key in d.sources]
    return {
        "decision": sha256(format_decision(d)).hexdigest(),
        "pack": d.pack,
        "title": text_json(pack.title),
        "digest": d.digest.hex(),
        "as_of": format_day(d.as_of),
        "basis": d.basis.value,
        "sample": d.sample,
        "result": d.result.value,
        "reasons": list(d.reasons),
        "missing": [{"name": name, **text_json(pack.labels.get(name, Text(name, name)))} for name in d.missing],
        "rules": list(d.rules),
        "amount": amount,
        "outputs": [{"table": f.table, "row": f.row, "values": dict(f.outputs)} for f in d.fired if f.outputs],
        "windows": [
            {"name": name, "first_day": format_day(first), "last_day": format_day(last)}
            for name, first, last in d.windows
        ],
        "nearest": d.nearest or None,
        "sources": [
            {"key": key, "document": s.document, "clause": s.clause, "date": format_day(s.day), "sample": s.sample}
            for key, s in sources
        ],
        "evidence": [
            {
                "cert_key": proof.cert_key.hex(),
                "origin": proof.origin,
                "size": proof.size,
                "root": proof.root.hex(),
                "checkpoint_time": iso_time(proof.time_ms),
            }
            for proof in d.evidence
        ],
        "known_of": list(rests_on(d, pack)),  # logs; [] where one is believed alone, or the pack does not ask
        "left_out": [{"code": each.code, "reason": each.reason} for each in d.rejected],
        "explanation": [text_json(text) for text in explain(d, pack, ladder)],
        "trace": [text_json(text) for text in trace_lines(d, pack, ladder)] if trace else [],
    }
