"""What a verdict page says of one verdict, word by word in a fixed order, and how its template finds each. Pure.

A word that there is nothing to say for is "". Templates ask whether a word is there and print it, nothing else: that is
what lets `web.moulds` fill it in afterwards. Whatever else a template decides by is in `web.view.Shape`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

from ledger.records.names import mask_name
from ledger.records.number import grouped
from verifier.messages import Messages, say_day_number, say_time
from verifier.verdict import CertificateView, Source, Verdict

MAX_PHOTO: Final = 24 * 1024  # bytes; a larger one would delay the page and is left out
_PHOTO_TYPES: Final = ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"RIFF", "webp"))
_SOURCES: Final = {
    Source.REPLICA: "source_replica",
    Source.EVIDENCE: "source_evidence",
    Source.BUNDLE: "source_bundle",
    Source.KIT: "source_kit",
    Source.CODE: "source_code",
    Source.INDEX: "source_index",
}
_PAGE: Final = ("line", "checked", "source", "asked", "means", "as_of")
_CERTIFICATE: Final = (
    "name", "photo", "unnamed", "grade", "occupation", "occupation_code", "trade", "number", "issued", "assessed",
    "post", "held", "held_note", "corrected", "delay", "logged", "status", "current", "current_trade", "current_note",
)  # fmt: skip
_ISSUER: Final = ("name", "filing")
_PROOF: Final = ("origin", "index", "leaf_hash", "size", "root", "time", "cert_key")
_C: Final = len(_PAGE)
_I: Final = _C + len(_CERTIFICATE)
_P: Final = _I + len(_ISSUER)
COUNT: Final = _P + len(_PROOF)
# Where stands what another moment, checkpoint or question changes, and what is of the person. All other words of a page
# are the same in every verdict with the same `public`.
MOMENTARY: Final = (
    *range(_C),
    *(_C + _CERTIFICATE.index(name) for name in ("name", "photo", "number")),
    *(_P + _PROOF.index(name) for name in ("size", "root", "time")),
)


def words_of(verdict: Verdict, lang: str, messages: Messages, *, asked: str = "", means: str = "") -> list[str]:
    """All words of a page, COUNT of them."""
    certificate, issuer, proof = verdict.certificate, verdict.issuer, verdict.proof
    unnamed = messages.unnamed(verdict).of(lang)
    words = [
        *("",) * _C,  # momentary
        *(_NO_CERTIFICATE if certificate is None else _certificate(certificate, unnamed, lang, messages)),
        *(_NO_ISSUER if issuer is None else (issuer.name, issuer.filing_number)),
        *(
            _NO_PROOF
            if proof is None
            else (
                proof.origin,
                str(proof.index),
                proof.leaf_hash,
                "",  # size, root and time: momentary
                "",
                "",
                proof.cert_key,
            )
        ),
    ]
    for place, word in zip(MOMENTARY, momentary_of(verdict, lang, messages, asked=asked, means=means), strict=True):
        words[place] = word
    return words


def momentary_of(
    verdict: Verdict, lang: str, messages: Messages, *, asked: str = "", means: str = ""
) -> tuple[str, ...]:
    """The words of the places MOMENTARY."""
    as_of_ms, view, proof = verdict.as_of_ms, verdict.certificate, verdict.proof
    source = messages.labels[_SOURCES[verdict.source]].of(lang)
    if verdict.source is Source.REPLICA:
        source = (
            messages.labels["source_code"].of(lang)
            if as_of_ms is None
            else source.format(age=messages.age(verdict.checked_at_ms - as_of_ms, lang))
        )
    return (
        messages.line(verdict).of(lang),
        say_time(verdict.checked_at_ms, lang),
        source,
        asked,
        means,
        "" if as_of_ms is None else say_time(as_of_ms, lang),
        "" if view is None or view.name is None else mask_name(view.name),
        "" if view is None or view.photo is None else _photo_address(view.photo),
        "" if view is None or view.number is None else grouped(view.number),
        *(("", "", "") if proof is None else (str(proof.size), proof.root, say_time(proof.checkpoint_time_ms, lang))),
    )


def named(words: Sequence[str]) -> dict[str, Any]:
    """The words by the names that templates have for them: those of the page, and `c`, `i` and `p`."""
    return {
        **dict(zip(_PAGE, words, strict=False)),
        "c": dict(zip(_CERTIFICATE, words[_C:_I], strict=True)),
        "i": dict(zip(_ISSUER, words[_I:_P], strict=True)),
        "p": dict(zip(_PROOF, words[_P:], strict=True)),
    }


_NO_CERTIFICATE: Final = ("",) * len(_CERTIFICATE)
_NO_ISSUER: Final = ("",) * len(_ISSUER)
_NO_PROOF: Final = ("",) * len(_PROOF)


def _certificate(view: CertificateView, unnamed: str, lang: str, messages: Messages) -> tuple[str, ...]:
    labels, current, held, note = messages.labels, view.current, view.held, ""
    if current is not None and current.is_this:
        note = labels["current_this"].of(lang)
    elif current is not None and current.since_day is not None:
        note = labels["since"].of(lang).format(date=say_day_number(current.since_day, lang))
    if current is not None and current.log:
        note = " · ".join(filter(None, (note, labels["current_log"].of(lang).format(log=current.log))))
    return (
        "",  # name and photo: momentary
        "",
        unnamed,
        view.grade.of(lang),
        view.occupation,
        view.occupation_code,
        view.trade or "--",
        "",  # number: momentary
        say_day_number(view.issue_day, lang),
        "" if view.assessment_day is None else say_day_number(view.assessment_day, lang),
        "" if view.post is None else _term(*view.post, lang, messages),
        "" if held is None else held.grade.of(lang),
        "" if held is None else _term(held.first_day, held.last_day, lang, messages),
        "" if view.corrected_day is None else say_day_number(view.corrected_day, lang),
        _delay(view, lang, messages),
        "" if view.logged_at_ms is None else say_time(view.logged_at_ms, lang),
        labels[f"status_{view.status}"].of(lang),
        "" if current is None else current.grade.of(lang),
        "" if current is None else current.trade,
        note,
    )


def _term(first: int, last: int | None, lang: str, messages: Messages) -> str:
    until = messages.labels["open_ended"].of(lang) if last is None else say_day_number(last, lang)
    return f"{say_day_number(first, lang)} – {until}"


def _delay(view: CertificateView, lang: str, messages: Messages) -> str:
    said = messages.delay(view.issue_day, view.logged_at_ms, late=view.late)
    return "" if said is None else said.of(lang)


def _photo_address(photo: bytes) -> str:
    if len(photo) > MAX_PHOTO:
        return ""
    for magic, kind in _PHOTO_TYPES:
        if photo.startswith(magic):
            return f"data:image/{kind};base64,{base64.b64encode(photo).decode()}"
    return ""
