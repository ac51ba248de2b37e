"""A verdict as a block of text for a terminal: mark and words first, colour only as an extra. Pure.

The name is shown whole, unlike on a page: whoever runs the command holds the code that opens it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.text import Text, shown
from verifier.messages import Messages, say_day_number, say_time
from verifier.verdict import CertificateView, Code, CurrentGrade, Outcome, Source, Verdict, cause_of

_COLOURS: Final = {"good": "32", "outline": "32", "caution": "33", "bad": "31"}  # families; others stay plain
_OUTCOMES: Final = {Outcome.PASS: "+", Outcome.FAIL: "x", Outcome.UNKNOWN: "?"}
_SOURCES: Final = {
    Source.REPLICA: Text("本机登记副本", "this machine's verified copy of the register"),
    Source.EVIDENCE: Text("账本给出的证明", "a proof fetched from the ledger"),
    Source.BUNDLE: Text("持证人文件中的证明", "the proof in the holder's file"),
    Source.KIT: Text("离线包", "the offline kit"),
    Source.CODE: Text("二维码本身", "the code alone"),
    Source.INDEX: Text("账本的编号姓名索引", "the ledger's index of numbers and names"),
}
_KNOWN: Final = Text("据此可知", "What this rests on")
_UNKNOWN: Final = Text("无法得知", "What it cannot tell")
_SINCE: Final = Text("此后是否被撤销、暂停或更正", "whether it was revoked, suspended or corrected since")
_LATER: Final = Text("此后登记的证书", "certificates registered since")
_NAMED: Final = Text("二维码所载序号（未核对）", "place that the code names (not checked)")
_ENTERED: Final = Text("是否确已登记：须联网核验", "whether it was entered in the register: check with a network")
_CLOSED: Final = Text("没有登记数据：请先联网运行 sync", "there is no register yet: run sync with a network first")
_BASED: Final = Text("{source}，截至 {time}（{age}前）", "{source}, as of {time} ({age} before)")


class Printer:
    """Writes verdicts in "zh", "en" or both (lang None)."""

    def __init__(self, messages: Messages, lang: str | None, *, colour: bool) -> None:
        self._messages = messages
        self._langs = (lang,) if lang else ("zh", "en")
        self._colour = colour

    def block(self, verdict: Verdict) -> str:
        wording = self._messages.wordings[verdict.code]
        head = f"{wording.mark} {self._say(wording.title)}"
        if self._colour and wording.family in _COLOURS:
            head = f"\x1b[1;{_COLOURS[wording.family]}m{head}\x1b[0m"
        lines = [head, f"  {self._say(self._messages.line(verdict))}", ""]
        lines += [f"  {label}: {value}" for label, value in self._facts(verdict)]
        lines += [
            f"  {self._label('next')}: {self._say(step)}"
            for step in self._messages.next_steps(verdict.code, cause_of(verdict))
        ]
        lines += ["", f"  {self._label('details')}"]
        done = (finding for finding in verdict.findings if finding.outcome is not Outcome.SKIPPED)
        lines += [f"  {_OUTCOMES[finding.outcome]} {self._say(finding.text)}" for finding in done]
        return "\n".join(lines) + "\n"

    def _facts(self, verdict: Verdict) -> Iterator[tuple[str, str]]:
        if verdict.certificate is not None:
            yield from self._certificate(verdict.certificate, self._messages.unnamed(verdict))
        if verdict.issuer is not None:
            yield self._label("issuer"), f"{verdict.issuer.name} ({verdict.issuer.filing_number})"
        proof = verdict.proof
        if proof is not None and verdict.source is Source.KIT:
            yield self._say(_NAMED), f"{proof.index} < {proof.size}  {proof.origin}"
        elif proof is not None:
            yield self._label("log_index"), f"{proof.index} < {proof.size}  {proof.origin}"
            yield self._label("leaf_hash"), proof.leaf_hash
            yield self._label("log_root"), proof.root
        yield self._label("checked"), self._time(verdict.checked_at_ms)
        if verdict.as_of_ms is not None:
            yield self._label("data_as_of"), self._time(verdict.as_of_ms)
        yield from self._limits(verdict)

    def _certificate(self, view: CertificateView, unnamed: Text) -> Iterator[tuple[str, str]]:
        if view.personal_available:
            yield self._label("holder"), shown(view.name or "")
            yield self._label("number"), shown(view.number or "")
        else:
            yield self._label("holder"), self._say(unnamed)
        yield self._label("grade"), self._say(view.grade)
        yield self._label("occupation"), f"{view.occupation} ({view.occupation_code})"
        yield self._label("trade"), shown(view.trade) or "--"
        delay = self._messages.delay(view.issue_day, view.logged_at_ms, late=view.late)
        yield self._label("issued"), self._day(view.issue_day) + ("" if delay is None else f"  ({self._say(delay)})")
        if view.logged_at_ms is not None:
            yield self._label("logged"), self._time(view.logged_at_ms)
        yield self._label("status"), self._label(f"status_{view.status}")
        if view.current is not None:
            trade = f"  {view.current.trade}" if view.current.trade else ""
            yield self._label("current"), self._say(view.current.grade) + trade + self._since(view.current)
        if view.post is not None:
            yield self._label("post_days"), self._term(*view.post)
        if view.held is not None:
            yield (
                self._label("held"),
                f"{self._say(view.held.grade)}  {self._term(view.held.first_day, view.held.last_day)}",
            )
        if view.corrected_day is not None:
            yield self._label("corrected"), self._day(view.corrected_day)

    def _since(self, current: CurrentGrade) -> str:
        said, labels = "", self._messages.labels
        if not current.is_this and current.since_day is not None:
            said = "  " + self._say(labels["since"].format(date=self._day(current.since_day)))
        return f"{said}  ({self._say(labels['current_log'].format(log=current.log))})" if current.log else said

    def _term(self, first: int, last: int | None) -> str:
        return f"{self._day(first)} – {self._label('open_ended') if last is None else self._day(last)}"

    def _limits(self, verdict: Verdict) -> Iterator[tuple[str, str]]:
        """What an offline answer rests on and what it leaves open."""
        by_kit = verdict.source is Source.KIT and verdict.code is Code.OFFLINE_BUNDLE_OK
        if by_kit:
            yield self._say(_UNKNOWN), self._say(_ENTERED)
        elif verdict.code not in (Code.OFFLINE_SIGNATURE_OK, Code.STALE, Code.UNAVAILABLE):
            return
        if verdict.as_of_ms is None:
            yield self._say(_UNKNOWN), self._say(_CLOSED)
            return
        age_ms = verdict.checked_at_ms - verdict.as_of_ms
        based = Text(
            *(
                _BASED.of(lang).format(
                    source=_SOURCES[verdict.source].of(lang),
                    time=say_time(verdict.as_of_ms, lang),
                    age=self._messages.age(age_ms, lang),
                )
                for lang in ("zh", "en")
            )
        )
        yield self._say(_KNOWN), self._say(based)
        yield self._say(_UNKNOWN), self._say(_SINCE if verdict.certificate else _LATER)

    def _say(self, text: Text) -> str:
        return " / ".join(text.of(lang) for lang in self._langs)

    def _label(self, key: str) -> str:
        return self._say(self._messages.labels[key])

    def _day(self, day: int) -> str:
        return say_day_number(day, "en" if self._langs == ("en",) else "zh")

    def _time(self, ms: int) -> str:
        return say_time(ms, "en" if self._langs == ("en",) else "zh")
