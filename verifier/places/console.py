"""How `check` judges a proof file (`placed`), and how it tells what that proves."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

from ledger.records.appointment import Appoint
from ledger.records.issue import Issue
from ledger.records.receipt import ReceiptOf
from ledger.text import Text
from verifier import steps
from verifier.config import VerifierSettings
from verifier.messages import Messages, say_time
from verifier.opened import logs_to_ask
from verifier.places.placed import Placed, PlaceProof, parse_place_proof, trust_of, verify_place_of
from verifier.verdict_json import iso_time


async def judge_placed(
    raw: bytes,
    options: argparse.Namespace,
    settings: VerifierSettings,
    now_ms: Callable[[], int],
    tell: Callable[[str], None],
) -> Placed:
    """What a proof file proves. The replica is asked only for a statement that the file does not carry.

    Raises Malformed, Unverified when it does not hold, Unavailable when that cannot be told.
    """
    proof = parse_place_proof(raw)
    trust = trust_of(proof, [log.build(settings.bases) for log in settings.logs])
    entry = None
    if _needs_statement(proof):
        async with AsyncExitStack() as stack:
            logs = await logs_to_ask(
                options.dir, settings, stack, now_ms,
                offline=options.offline, light=options.light, quiet=options.quiet or options.json, tell=tell,
            )  # fmt: skip
            entry = await next(log for log in logs if log.trust.origin == trust.origin).entry(proof.index)
    return verify_place_of(proof, raw, entry, trust, now_ms())


def placed_exit(placed: Placed) -> int:
    """Design 13: 0 it is in the log; 3 the log says so, and too few witnesses."""
    return 3 if placed.witnessed is False else 0


def placed_json(placed: Placed) -> str:
    """What was proven, for programs. Keys are always there."""
    statement = placed.statement
    body = statement.body if statement else None
    return json.dumps(
        {
            "placed": True,
            "origin": placed.origin,
            "index": placed.index,
            "size": placed.size,
            "leaf_hash": placed.leaf_hash.hex(),
            "kind": statement.kind.name.lower() if statement else "seal",
            "cert_key": body.cert_key.hex() if isinstance(body, Issue | Appoint) else None,
            "checkpoint_time": None if placed.time_ms is None else iso_time(placed.time_ms),
            "witnessed": placed.witnessed,
        }
    )


def say_placed(placed: Placed, messages: Messages, lang: str | None) -> str:
    """The same as text, and what it does not prove."""
    langs = (lang,) if lang else ("zh", "en")

    def said(text: Text) -> str:
        return " / ".join(text.of(one) for one in langs)

    def lines() -> Iterator[str]:
        labels = messages.labels
        few = placed.witnessed is False
        yield ("? " if few else "✓ ") + said(labels["places_title"])
        for label, value in _facts(placed, "en" if lang == "en" else "zh"):
            yield f"  {said(labels[label])}: {value}"
        if few:
            yield f"  ? {said(steps.QUORUM_MISSING.text)}"
        yield "  " + said(labels["places_limits"])

    return "\n".join(lines()) + "\n"


def _facts(placed: Placed, lang: str) -> Iterator[tuple[str, str]]:
    statement = placed.statement
    yield "log_name", placed.origin
    yield "log_index", f"{placed.index} < {placed.size}"
    yield "leaf_hash", placed.leaf_hash.hex()
    yield "places_kind", statement.kind.name.lower() if statement else "seal"
    body = statement.body if statement else None
    if isinstance(body, Issue | Appoint):
        yield "cert_key", body.cert_key.hex()
        yield "filing", body.filing_number
    if placed.time_ms is not None:
        yield "checkpoint_time", say_time(placed.time_ms, lang)


def _needs_statement(proof: PlaceProof) -> bool:
    return isinstance(proof, ReceiptOf) or proof.extra is None
