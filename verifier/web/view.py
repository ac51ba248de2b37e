"""Verdicts, errors and the start page as HTML: compiled once, filled from the message catalogue.

A page masks the holder's name, takes the issuer's name from the register only, and shows nothing that the
verdict does not carry.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import jinja2
from markupsafe import Markup, escape

from ledger.edge import ErrorAnswer
from ledger.errors import Refused
from ledger.records.dates import batch_day
from ledger.records.names import mask_name
from ledger.records.number import parse_number
from verifier.messages import Messages, say_day_number, say_time
from verifier.verdict import GREEN, VALID_FAMILY, CertificateView, Code, Finding, IssuerView, Outcome, Source, Verdict

LANGS: Final = ("zh", "en")
_HTML_LANG: Final = {"zh": "zh-CN", "en": "en"}
_MOODS: Final = {Outcome.PASS: "yes", Outcome.FAIL: "no", Outcome.UNKNOWN: "may", Outcome.SKIPPED: "soft"}
_SCOPES: Final = {True: ("yes", "in_scope"), False: ("no", "out_of_scope"), None: ("may", "scope_unknown")}
_SOURCES: Final = {
    Source.REPLICA: "source_replica",
    Source.EVIDENCE: "source_evidence",
    Source.BUNDLE: "source_bundle",
    Source.KIT: "source_kit",
    Source.CODE: "source_code",
    Source.INDEX: "source_index",
}
# What a browser can check again: a page with the proof of a state, or of an absence.
_RECHECKED: Final = VALID_FAMILY | {
    Code.SUSPENDED, Code.REVOKED, Code.ENDED, Code.ISSUER_OUT_OF_SCOPE, Code.NOT_FOUND
}  # fmt: skip
# All that recheck-page.js imports at first, asked for at once instead of level by level.
_MODULES: Final = (
    "band.js", "bytes.js", "cbor.js", "ed25519.js", "evidence.js", "merkle.js", "names.js", "note.js",
    "policy.js", "recheck.js", "secret.js", "statement.js", "trust.js",
)  # fmt: skip
_BANDS: Final = {
    "contradicted": ("bad", "link-broken", "✕", "recheck_contradicted", "recheck_contradicted_line"),
    "stale": ("caution", "clock", "!", "recheck_stale", "recheck_stale_line"),
    "changed": ("caution", "triangle", "!", "recheck_changed", "recheck_changed_line"),
}
_PHOTO_TYPES: Final = ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"RIFF", "webp"))
_LABEL: Final = re.compile(r"\{\{ t\.(\w+) \}\}")
LOOKUP: Final = "/lookup"  # look-ups by number, and with them matches of ID tails, are offered where this route is
RECEIPT: Final = "/receipt"  # receipts are offered where this route is
MEANS: Final = "/c/{secret}/means"  # what a grade means is shown where this route is
MAX_ASKED: Final = 2048  # characters that a receipt quotes
_VERDICT: Final = "verdict.html"
DELAY_SHOWN_DAYS: Final = 30  # from issue date to registration
MAX_PHOTO: Final = 24 * 1024  # bytes; a larger one would delay the page and is left out


@dataclass(frozen=True, slots=True)
class Match:
    """The question whether a holder's ID number ends as typed, beside a verdict, and the answer if it was asked. `mood`
    is a class of the style sheet."""

    action: str  # where the form goes; "" is the page itself
    hidden: tuple[tuple[str, str], ...] = ()
    said: str = ""
    mood: str = ""


class Pages:
    """All pages of one verifier. `base` is the official address (scheme://host), `upload_mb` the cap to name, `offers`
    the paths of the routes that it has. With `recheck` a verdict page has its browser check the proof again."""

    def __init__(
        self,
        messages: Messages,
        asset_names: Mapping[str, str],
        base: str,
        upload_mb: int,
        offers: Collection[str] = (),
        *,
        recheck: bool = False,
    ) -> None:
        self._offers = frozenset(offers)
        folder = resources.files("verifier.pages")
        sources = {item.name: item.read_text("utf-8") for item in folder.iterdir() if item.name.endswith(".html")}
        self._templates = templates = {lang: _compile(sources, messages.labels_in(lang)) for lang in LANGS}
        icons = json.loads(folder.joinpath("icons.json").read_text("utf-8"))
        self._messages = messages
        self.asset_names = asset_names
        self._verdict = {lang: templates[lang].get_template(_VERDICT) for lang in LANGS}
        self._error = {lang: templates[lang].get_template("error.html") for lang in LANGS}
        # What does not depend on the request is looked up once, for each language.
        self._common = {lang: self._constants(lang, asset_names) for lang in LANGS}
        self._words = {
            (code, lang): {
                "family": wording.family,
                "icon": Markup(icons[wording.icon]),  # noqa: S704  # our own file
                "mark": wording.mark,
                "title": wording.title.of(lang),
                "next": [step.of(lang) for step in wording.next_steps],
            }
            for code, wording in messages.wordings.items()
            for lang in LANGS
        }
        self._bands = {lang: self._recheck_bands(icons, lang) if recheck else [] for lang in LANGS}
        self._start = {
            lang: self._start_page(templates[lang].get_template("start.html"), lang, base, upload_mb) for lang in LANGS
        }

    def render(self, name: str, lang: str, **values: object) -> str:
        """The page of a room. `switch` is the address of the other language or None; words are `t.name`, static files
        `asset["plain name"]`."""
        return self._templates[lang].get_template(name).render(self._common[lang], **({"switch": None} | values))

    def bands(
        self, lines: Mapping[Code, str], lang: str, titles: Mapping[Code, str]
    ) -> list[tuple[str, dict[str, Any]]]:
        """How verdicts look, for a page whose browser judges by itself. `lines`: the codes, and the label that takes
        the place of the code's own line, if any; `titles`: labels in the place of its title."""
        labels, found = self._messages.labels, []
        for code, label in lines.items():
            wording = self._messages.wordings[code]
            line = labels[label] if label else wording.line
            title = labels[titles[code]] if code in titles else wording.title
            found.append((code.value, self._words[code, lang] | {"title": title.of(lang), "line": line.of(lang)}))
        return found

    def start(self, lang: str) -> str:
        return self._start[lang]

    def error(self, answer: ErrorAnswer, lang: str) -> str:
        return self._error[lang].render(
            self._common[lang], switch=None, message=answer.text.of(lang), reference=answer.reference
        )

    def verdict(
        self,
        verdict: Verdict,
        lang: str,
        *,
        linked: bool,
        match: Match | None = None,
        asked: str = "",
        means: str = "",
        template: str = _VERDICT,
        **more: object,
    ) -> str:
        """The verdict page, or a room's template that extends it and shows `more`. `linked`: it has an address of its
        own, to switch language, to retry and to ask at. `asked`: the link or text that a receipt can be had of, where
        receipts are offered. `means`: the page that says what the grade means, where there is one."""
        if match is None and linked and LOOKUP in self._offers and template == _VERDICT:
            match = Match("")
        labels = self._messages.labels
        certificate, issuer = verdict.certificate, verdict.issuer
        lag = None if verdict.as_of_ms is None else self._messages.age(verdict.checked_at_ms - verdict.as_of_ms, lang)
        source = labels[_SOURCES[verdict.source]].of(lang)
        if verdict.source is Source.REPLICA:
            source = source.format(age=lag) if lag is not None else labels["source_code"].of(lang)
        proof = verdict.proof
        page = self._verdict[lang] if template == _VERDICT else self._templates[lang].get_template(template)
        return page.render(
            self._common[lang],
            switch=f"?lang={'en' if lang == 'zh' else 'zh'}" if linked else None,
            v=self._words[verdict.code, lang] | {"line": self._messages.line(verdict).of(lang)},
            c=None if certificate is None else self._certificate(certificate, lang),
            i=None if issuer is None else self._issuer(issuer, lang),
            p=None
            if proof is None
            else {
                "origin": proof.origin,
                "index": proof.index,
                "leaf_hash": proof.leaf_hash,
                "size": proof.size,
                "root": proof.root,
                "time": say_time(proof.checkpoint_time_ms, lang),
                "cert_key": proof.cert_key,
            },
            asked=asked if RECEIPT in self._offers and len(asked) <= MAX_ASKED else "",
            means=means if MEANS in self._offers and verdict.code in VALID_FAMILY else "",
            findings=[self._finding(finding, lang) for finding in verdict.findings],
            green=verdict.code in GREEN,
            dated=verdict.code in (Code.STALE, Code.OFFLINE_BUNDLE_OK),
            match=match if certificate is not None else None,
            retry=linked and verdict.code in (Code.STALE, Code.UNAVAILABLE),
            checked=say_time(verdict.checked_at_ms, lang),
            source=source,
            as_of=None if verdict.as_of_ms is None else say_time(verdict.as_of_ms, lang),
            own=None
            if not linked or not self._bands[lang] or verdict.code not in _RECHECKED
            else {
                "code": verdict.code.value,
                "size": 0 if proof is None else proof.size,
                "bands": self._bands[lang],
                "modules": _MODULES,
            },
            **more,
        )

    def _recheck_bands(self, icons: Mapping[str, str], lang: str) -> list[tuple[str, dict[str, str]]]:
        """The bands that a browser puts in the place of the server's when its own check ends so."""
        labels, found = self._messages.labels, []
        for name, (family, icon, mark, title, line) in _BANDS.items():
            look = {"family": family, "icon": Markup(icons[icon]), "mark": mark}  # noqa: S704  # our own file
            found.append((name, {**look, "title": labels[title].of(lang), "line": labels[line].of(lang)}))
        return found

    def _certificate(self, view: CertificateView, lang: str) -> dict[str, Any]:
        labels = self._messages.labels
        current, note = view.current, ""
        if current is not None and current.is_this:
            note = labels["current_this"].of(lang)
        elif current is not None and current.since_day is not None:
            note = labels["since"].of(lang).format(date=say_day_number(current.since_day, lang))
        return {
            "name": None if view.name is None else mask_name(view.name),
            "photo": None if view.photo is None else _photo_address(view.photo),
            "grade": view.grade.of(lang),
            "occupation": view.occupation,
            "occupation_code": view.occupation_code,
            "trade": view.trade or "--",
            "number": None if view.number is None else _grouped(view.number),
            "issued": say_day_number(view.issue_day, lang),
            "assessed": None if view.assessment_day is None else say_day_number(view.assessment_day, lang),
            "post": None if view.post is None else self._term(*view.post, lang),
            "held": None if view.held is None else view.held.grade.of(lang),
            "held_note": "" if view.held is None else self._term(view.held.first_day, view.held.last_day, lang),
            "corrected": None if view.corrected_day is None else say_day_number(view.corrected_day, lang),
            "delay": self._delay(view, lang),
            "logged": None if view.logged_at_ms is None else say_time(view.logged_at_ms, lang),
            "status": labels[f"status_{view.status}"].of(lang),
            "current": None if current is None else current.grade.of(lang),
            "current_trade": "" if current is None else current.trade,
            "current_note": note,
            "higher": current is not None and not current.is_this,
        }

    def _term(self, first: int, last: int | None, lang: str) -> str:
        until = self._messages.labels["open_ended"].of(lang) if last is None else say_day_number(last, lang)
        return f"{say_day_number(first, lang)} – {until}"

    def _delay(self, view: CertificateView, lang: str) -> str:
        """What is said of a certificate that was registered long after its issue date: back-dating shows."""
        days = 0 if view.logged_at_ms is None else batch_day(view.logged_at_ms) - view.issue_day
        if days <= DELAY_SHOWN_DAYS:
            return ""
        labels = self._messages.labels
        said = labels["delay"].of(lang).format(n=days)
        return said + " · " + labels["late_entry"].of(lang) if view.late else said

    def _issuer(self, view: IssuerView, lang: str) -> dict[str, str]:
        mood, label = _SCOPES[view.in_scope]
        return {
            "name": view.name,
            "filing": view.filing_number,
            "mood": mood,
            "scope": self._messages.labels[label].of(lang),
        }

    def _finding(self, finding: Finding, lang: str) -> dict[str, str]:
        word = self._messages.labels[f"step_{finding.outcome.value}"].of(lang)
        return {"mood": _MOODS[finding.outcome], "word": word, "text": finding.text.of(lang)}

    def _constants(self, lang: str, asset_names: Mapping[str, str]) -> dict[str, Any]:
        return {
            "lang": lang,
            "html_lang": _HTML_LANG[lang],
            "other_html_lang": _HTML_LANG["en" if lang == "zh" else "zh"],
            "css": asset_names["page.css"],
            "favicon": asset_names["icon.svg"],
            "asset": asset_names,
            "offers": self._offers,
            "here": "",  # a page's own entry in nav.html, set by the pages that have one
        }

    def _start_page(self, template: jinja2.Template, lang: str, base: str, upload_mb: int) -> str:
        labels = self._messages.labels
        return template.render(
            self._common[lang],
            switch=f"/?lang={'en' if lang == 'zh' else 'zh'}",
            base=base,
            text_hint=labels["text_hint"].of(lang).format(base=base),
            file_hint=labels["file_hint"].of(lang).format(mb=upload_mb),
        )


def _compile(sources: Mapping[str, str], labels: Mapping[str, str]) -> jinja2.Environment:
    """The templates of one language. Labels (`{{ t.name }}`) become part of the text: a third of the work."""
    filled = {name: _LABEL.sub(lambda match: str(escape(labels[match[1]])), source) for name, source in sources.items()}
    return jinja2.Environment(
        loader=jinja2.DictLoader(filled),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _grouped(number: str) -> str:
    try:
        return parse_number(number).grouped
    except Refused:
        return number


def _photo_address(photo: bytes) -> str | None:
    if len(photo) > MAX_PHOTO:
        return None
    for magic, kind in _PHOTO_TYPES:
        if photo.startswith(magic):
            return f"data:image/{kind};base64,{base64.b64encode(photo).decode()}"
    return None
