"""Verdicts, errors and the start page as HTML: compiled once, filled from the message catalogue.

A page masks the holder's name, takes the issuer's name from the register only, and shows nothing that the
verdict does not carry. A verdict page is rendered once for each shape and then filled with the words of each verdict.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import jinja2
from markupsafe import Markup, escape

from ledger.edge import ErrorAnswer
from verifier.causes import Cause
from verifier.messages import Messages
from verifier.verdict import GREEN, VALID_FAMILY, Code, Finding, Outcome, Verdict, cause_of
from verifier.web.moulds import Cast, Mould, Page, mark_of
from verifier.web.words import COUNT, MOMENTARY, momentary_of, named, words_of

LANGS: Final = ("zh", "en")
_HTML_LANG: Final = {"zh": "zh-CN", "en": "en"}
_MOODS: Final = {Outcome.PASS: "yes", Outcome.FAIL: "no", Outcome.UNKNOWN: "may", Outcome.SKIPPED: "soft"}
_SCOPES: Final = {True: ("yes", "in_scope"), False: ("no", "out_of_scope"), None: ("may", "scope_unknown")}
# What a browser can check again: a page with the proof of a state, or of an absence.
_RECHECKED: Final = VALID_FAMILY | {
    Code.SUSPENDED, Code.REVOKED, Code.ENDED, Code.ISSUER_OUT_OF_SCOPE, Code.NOT_FOUND
}  # fmt: skip
# All that recheck-page.js imports at first, asked for at once instead of level by level.
_MODULES: Final = (
    "band.js", "bytes.js", "cbor.js", "ed25519.js", "evidence.js", "log-end.js", "merkle.js", "names.js", "note.js",
    "policy.js", "recheck.js", "secret.js", "statement.js", "trust.js",
)  # fmt: skip
_BANDS: Final = {
    "contradicted": ("bad", "link-broken", "✕", "recheck_contradicted", "recheck_contradicted_line"),
    "stale": ("caution", "clock", "!", "recheck_stale", "recheck_stale_line"),
    "changed": ("caution", "triangle", "!", "recheck_changed", "recheck_changed_line"),
}
_POINTLESS: Final = (Cause.HALTED, Cause.STOPPED)  # to try again
_LABEL: Final = re.compile(r"\{\{ t\.(\w+) \}\}")
LOOKUP: Final = "/lookup"  # look-ups by number, and with them matches of ID tails, are offered where this route is
RECEIPT: Final = "/receipt"  # receipts are offered where this route is
MEANS: Final = "/c/{secret}/means"  # what a grade means is shown where this route is
MAX_ASKED: Final = 2048  # characters that a receipt quotes
_VERDICT: Final = "verdict.html"
_MOULDS: Final = 256  # shapes of pages that are kept; the one that was used longest ago goes
_CASTS: Final = 2048  # pages without what is of a person, a moment or a question, of about 4 KB each


@dataclass(frozen=True, slots=True)
class Match:
    """The question whether a holder's ID number ends as typed, beside a verdict, and the answer if it was asked. `mood`
    is a class of the style sheet."""

    action: str  # where the form goes; "" is the page itself
    hidden: tuple[tuple[str, str], ...] = ()
    said: str = ""
    mood: str = ""


_ASK: Final = Match("")  # on the page of a link


@dataclass(frozen=True, slots=True)
class Shape:
    """All that the template of a verdict decides by, beside which of its words are there. It holds nothing of one
    certificate, so that what is rendered from it may be shown with any other of the same shape."""

    lang: str
    code: Code
    cause: Cause | None
    linked: bool
    match: bool  # asks for the end of an ID number
    certificate: bool
    higher: bool  # another certificate of its holder is the current one
    issuer: bool
    in_scope: bool | None
    proof: bool
    findings: tuple[Finding, ...]


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
        self._error = {lang: templates[lang].get_template("error.html") for lang in LANGS}
        # What does not depend on the request is looked up once, for each language.
        self._common = {lang: self._constants(lang, asset_names) for lang in LANGS}
        self._words = {
            (code, lang): {
                "family": wording.family,
                "icon": Markup(icons[wording.icon]),  # noqa: S704  # our own file
                "mark": wording.mark,
                "title": wording.title.of(lang),
            }
            for code, wording in messages.wordings.items()
            for lang in LANGS
        }
        self._scopes = {
            (in_scope, lang): {"mood": mood, "scope": messages.labels[label].of(lang)}
            for in_scope, (mood, label) in _SCOPES.items()
            for lang in LANGS
        }
        self._moulds = OrderedDict[
            object, tuple[Shape, Mould]
        ]()  # the shape keeps its findings, by whose id it is found
        self._casts = OrderedDict[object, tuple[Verdict, Cast]]()  # the same with what is public of a verdict
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
    ) -> Page:
        """The verdict page, or a room's template that extends it and shows `more`. `linked`: it has an address of its
        own, to switch language, to retry and to ask at. `asked`: the link or text that a receipt can be had of, where
        receipts are offered. `means`: the page that says what the grade means, where there is one."""
        if match is None and linked and LOOKUP in self._offers and template == _VERDICT:
            match = _ASK
        if verdict.certificate is None:
            match = None
        asked = asked if RECEIPT in self._offers and len(asked) <= MAX_ASKED else ""
        means = means if MEANS in self._offers and verdict.code in VALID_FAMILY else ""
        public = verdict.public
        shaped = template == _VERDICT and (match is None or match is _ASK)
        if public is None or not shaped:
            words = words_of(verdict, lang, self._messages, asked=asked, means=means)
            if shaped:
                return self._mould(verdict, lang, words, linked, match).fill(words)
            shape = Shape(*(*_decided(verdict, lang, linked, match), verdict.findings))
            return Page(self._rendered(shape, words, template, match=match, **more).encode())
        momentary = momentary_of(verdict, lang, self._messages, asked=asked, means=means)
        known = id(public), lang, linked, match is None, tuple(map(bool, momentary))
        kept = self._casts.get(known)
        if kept is None:
            words = words_of(verdict, lang, self._messages, asked=asked, means=means)
            kept = self._casts[known] = public, Cast(self._mould(verdict, lang, words, linked, match), words)
            if len(self._casts) > _CASTS:
                self._casts.popitem(last=False)
        else:
            self._casts.move_to_end(known)
        return kept[1].fill(momentary)

    def _mould(self, verdict: Verdict, lang: str, words: Sequence[str], linked: bool, match: Match | None) -> Mould:
        """The mould of this verdict's shape."""
        # Equal findings are the same few objects (`verifier.steps`): by these alone a look-up need not compare words.
        decided = _decided(verdict, lang, linked, match)
        key = decided, tuple(map(bool, words)), tuple(map(id, verdict.findings))
        kept = self._moulds.get(key)
        if kept is None:
            shape = Shape(*(*decided, verdict.findings))
            marks = [mark_of(place) if word else "" for place, word in enumerate(words)]
            mould = Mould(self._rendered(shape, marks, _VERDICT, match=match), MOMENTARY)
            kept = self._moulds[key] = shape, mould
            if len(self._moulds) > _MOULDS:
                self._moulds.popitem(last=False)
        else:
            self._moulds.move_to_end(key)
        return kept[1]

    def _rendered(
        self, shape: Shape, words: Sequence[str], template: str, *, match: Match | None, **more: object
    ) -> str:
        """What the template makes of a shape and these words, or marks in their places."""
        assert len(words) == COUNT
        lang, code, said = shape.lang, shape.code, named(words)
        labels = self._messages.labels
        return (
            self._templates[lang]
            .get_template(template)
            .render(
                self._common[lang],
                switch=f"?lang={'en' if lang == 'zh' else 'zh'}" if shape.linked else None,
                v=self._words[code, lang]
                | {
                    "line": said["line"],
                    "next": [step.of(lang) for step in self._messages.next_steps(code, shape.cause)],
                },
                c=said["c"] | {"higher": shape.higher} if shape.certificate else None,
                i=said["i"] | self._scopes[shape.in_scope, lang] if shape.issuer else None,
                p=said["p"] if shape.proof else None,
                asked=said["asked"],
                means=said["means"],
                findings=[
                    {
                        "mood": _MOODS[finding.outcome],
                        "word": labels[f"step_{finding.outcome.value}"].of(lang),
                        "text": finding.text.of(lang),
                    }
                    for finding in shape.findings
                ],
                green=code in GREEN,
                dated=code in (Code.STALE, Code.OFFLINE_BUNDLE_OK),
                match=match,
                retry=shape.linked and code in (Code.STALE, Code.UNAVAILABLE) and shape.cause not in _POINTLESS,
                checked=said["checked"],
                source=said["source"],
                as_of=said["as_of"],
                own=None
                if not shape.linked or not self._bands[lang] or code not in _RECHECKED
                else {
                    "code": code.value,
                    "size": said["p"]["size"] or "0",
                    "bands": self._bands[lang],
                    "modules": _MODULES,
                },
                **more,
            )
        )

    def _recheck_bands(self, icons: Mapping[str, str], lang: str) -> list[tuple[str, dict[str, str]]]:
        """The bands that a browser puts in the place of the server's when its own check ends so."""
        labels, found = self._messages.labels, []
        for name, (family, icon, mark, title, line) in _BANDS.items():
            look = {"family": family, "icon": Markup(icons[icon]), "mark": mark}  # noqa: S704  # our own file
            found.append((name, {**look, "title": labels[title].of(lang), "line": labels[line].of(lang)}))
        return found

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


def _decided(verdict: Verdict, lang: str, linked: bool, match: Match | None) -> tuple[Any, ...]:
    """All of a shape but its findings."""
    certificate, issuer = verdict.certificate, verdict.issuer
    current = None if certificate is None else certificate.current
    return (
        lang,
        verdict.code,
        cause_of(verdict),
        linked,
        match is not None,
        certificate is not None,
        current is not None and not current.is_this,
        issuer is not None,
        None if issuer is None else issuer.in_scope,
        verdict.proof is not None,
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
