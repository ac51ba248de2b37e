"""A verdict as plain values, and how every answer of this verifier spells days, moments and texts."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

from ledger.records.dates import format_day
from ledger.text import Text
from verifier.verdict import CertificateView, CurrentGrade, HeldPost, IssuerView, ProofView, Verdict


def to_json(verdict: Verdict) -> dict[str, object]:
    """The verdict as plain values for API, CSV and receipt.

    Times are RFC 3339 in UTC with milliseconds, days ISO dates, the photo base64. The name is whole: whoever
    asks holds the secret that opens it. Keys are always present; what is not known is None.
    """
    return {
        "code": verdict.code.value,
        "checked_at": iso_time(verdict.checked_at_ms),
        "as_of": None if verdict.as_of_ms is None else iso_time(verdict.as_of_ms),
        "source": verdict.source.value,
        "certificate": None if verdict.certificate is None else _certificate_json(verdict.certificate),
        "issuer": None if verdict.issuer is None else _issuer_json(verdict.issuer),
        "findings": [{"step": f.step, "outcome": f.outcome.value, "text": text_json(f.text)} for f in verdict.findings],
        "proof": None if verdict.proof is None else _proof_json(verdict.proof),
        "detail": dict(verdict.detail),
    }


def text_json(text: Text) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}


def iso_time(ms: int) -> str:
    """Unix milliseconds as RFC 3339 in UTC: `2025-11-20T08:00:00.000Z`."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _certificate_json(view: CertificateView) -> dict[str, object]:
    return {
        "number": view.number,
        "name": view.name,
        "personal_available": view.personal_available,
        "photo": None if view.photo is None else base64.b64encode(view.photo).decode(),
        "grade_ordinal": view.grade_ordinal,
        "grade": text_json(view.grade),
        "occupation_code": view.occupation_code,
        "occupation": view.occupation,
        "trade": view.trade,
        "issue_date": format_day(view.issue_day),
        "assessment_date": None if view.assessment_day is None else format_day(view.assessment_day),
        "logged_at": None if view.logged_at_ms is None else iso_time(view.logged_at_ms),
        "status": view.status,
        "current": None if view.current is None else _current_json(view.current),
        "person_linked": view.person_linked,
        "post": None if view.post is None else _days_json(*view.post),
        "held_post": None if view.held is None else _held_json(view.held),
        "late_entry": view.late,
        "corrected": None if view.corrected_day is None else format_day(view.corrected_day),
    }


def _days_json(first: int, last: int | None) -> dict[str, object]:
    return {"first_day": format_day(first), "last_day": None if last is None else format_day(last)}


def _held_json(view: HeldPost) -> dict[str, object]:
    return {"grade": text_json(view.grade), "ordinal": view.ordinal, **_days_json(view.first_day, view.last_day)}


def _current_json(view: CurrentGrade) -> dict[str, object]:
    return {
        "grade": text_json(view.grade),
        "ordinal": view.ordinal,
        "trade": view.trade,
        "is_this": view.is_this,
        "since": None if view.since_day is None else format_day(view.since_day),
        "log": view.log or None,
    }


def _issuer_json(view: IssuerView) -> dict[str, object]:
    return {"filing_number": view.filing_number, "name": view.name, "in_scope": view.in_scope}


def _proof_json(view: ProofView) -> dict[str, object]:
    return {
        "origin": view.origin,
        "index": view.index,
        "leaf_hash": view.leaf_hash,
        "size": view.size,
        "root": view.root,
        "checkpoint_time": iso_time(view.checkpoint_time_ms),
        "cert_key": view.cert_key,
    }
