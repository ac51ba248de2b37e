"""What a sheet of people gets back: for each person one row of answers, and a summary of the run. Pure.

    result · check · grade now · [appointed grade] · [lines] · [amount · before · change] · until · missing ·
    explanation · [cert key · SHA-256 of the decision: what a claim of the benefit names]

Amounts are whole fen until they are written; a cell has yuan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from ledger.records.grades import Ladder
from ledger.text import Text
from verifier.eligibility.amounts import Line
from verifier.eligibility.decision import Basis, Decision, format_decision
from verifier.eligibility.earlier import TRACK_VOID
from verifier.eligibility.explain import explain, source_text, yuan
from verifier.eligibility.kinds import Kind
from verifier.eligibility.known_of import known_of_text, logs_of
from verifier.eligibility.pack import Pack
from verifier.eligibility.people import Person
from verifier.eligibility.records import held_on, highest_of
from verifier.eligibility.tables import Outcome
from verifier.eligibility.wording import ADVICE, REHEARSAL, RESULTS, SAMPLE, UNPUBLISHED, day_text
from verifier.hiring.rows import Answer
from verifier.hiring.summary import Under
from verifier.messages import Messages, say_day_number, say_time
from verifier.verdict import VALID_FAMILY

RESULT: Final = Text("判定结果", "Decision")
CHECK: Final = Text("证书核验", "Certificate check")
GRADE: Final = Text("现等级", "Grade now")
GRADE_THEN: Final = Text("当日等级", "Grade on that day")
APPOINTED: Final = Text("聘任等级", "Appointed grade")
TOTAL: Final = Text("金额合计（元）", "Amount (yuan)")
BEFORE: Final = Text("上次金额（元）", "Amount last time (yuan)")
CHANGE: Final = Text("与上次相比", "Compared with last time")
EARLIER: Final = Text("对比日金额（元）", "Amount on the earlier day (yuan)")
SINCE: Final = Text("与对比日相比", "Compared with the earlier day")
UNTIL: Final = Text("截止日期", "Until")
MISSING: Final = Text("缺少的信息", "Facts that are missing")
EXPLAINED: Final = Text("说明", "Explanation")
CERT_KEY: Final = Text("证书代号", "Cert key")
DIGEST: Final = Text("判定的 SHA-256", "SHA-256 of the decision")
CLAIMED: Final = Text("是否已被申领", "Claimed already?")
FREE: Final = Text("未被申领", "not claimed")
_FREE_IN: Final = Text(
    "在登记日志 {log} 中未被申领；其他登记日志中同一人的申领查不到，请申请人说明",
    "not claimed in the log {log}; what the person claimed in other logs cannot be seen here: ask the applicant",
)
_NOT_ASKED: Final = Text(
    "本次未查询是否已被申领；登记预留时才能确定",
    "whether anything was claimed already was not asked; reserving it will tell",
)
_UNREAD: Final = Text("有信息无法读取，未作判定", "not decided: a fact could not be read")
_OTHER: Final = Text("第 {row} 行的证书：{said}", "the certificate of row {row}: {said}")
_WITH: Final = Text("并入第 {row} 行", "goes with row {row}")
_NEW: Final = Text("上次没有此人", "not in the last run")
_MORE: Final = Text("增加 {amount} 元", "{amount} yuan more")
_LESS: Final = Text("减少 {amount} 元", "{amount} yuan less")
_SAME: Final = Text("无变化", "no change")
_THEN: Final = Text("{day} 日终时登记日志中的状态", "at the end of {day}, as the log had them then")
_MARKS: Final = {
    Outcome.ELIGIBLE: "✓",
    Outcome.NOT_ELIGIBLE: "✕",
    Outcome.NEEDS_INFORMATION: "?",
    Outcome.REVIEW: "!",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Before:
    """What the last run said of one person."""

    amount: int | None  # fen
    grade: str
    result: str


@dataclass(frozen=True, slots=True)
class Answered:
    """One person's answer. `decision` None: a fact could not be read."""

    person: Person
    checks: tuple[Answer, ...]  # in the order of the rows
    decision: Decision | None
    problems: tuple[Text, ...] = ()


def key_of(person: Person) -> str:
    """Who is compared with whom: by the employee id; without one by the row, which only the same list has."""
    return person.id or f"#{person.row}"


def say_day(day: int, lang: str) -> str:
    """A day in a cell: as everywhere in the language; once in a sheet of both."""
    return say_day_number(day, "en" if lang == "en" else "zh")


def _then(day: int) -> Text:
    said = day_text(day)
    return Text(_THEN.zh.format(day=said.zh), _THEN.en.format(day=said.en))


def say(text: Text, lang: str) -> str:
    return text.both() if lang == "both" else text.of(lang)


@dataclass(frozen=True, slots=True)
class Columns:
    """How one run is answered. `before`: by `key_of` the person, where it is compared with a last run, or with the same
    list on another day."""

    pack: Pack
    ladder: Ladder
    messages: Messages
    lang: str  # zh, en or both
    before: Mapping[str, Before] | None = None
    then: int | None = None  # the day at whose end the certificates stood as they were read; None: now
    compared: int | None = None  # the other day that `before` is about; None: it is a last run
    taken: Mapping[int, Text] | None = None  # by row of a person, where the ledger was asked what is claimed already

    @property
    def grade(self) -> Text:
        return GRADE if self.then is None else GRADE_THEN

    def before_of(self, answered: Sequence[Answered]) -> dict[str, Before]:
        """What a run says that another is compared with."""
        return {
            key_of(one.person): Before(
                one.decision.amount if one.decision else None, self._grade_now(one), self.result(one.decision)
            )
            for one in answered
        }

    def titles(self) -> list[str]:
        found = [RESULT, CHECK, self.grade]
        if self._appointed is not None:
            found.append(APPOINTED)
        if self.pack.amount is not None:
            found += [line.text for line in self.lines]
            found.append(TOTAL)
            moved = [BEFORE, CHANGE] if self.compared is None else [EARLIER, SINCE]
            found += [] if self.before is None else moved
        found += [UNTIL, MISSING, EXPLAINED]
        found += [] if self.taken is None else [CLAIMED]
        found += [CERT_KEY, DIGEST] if self.claimed else []
        return [say(text, self.lang) for text in found]

    def cells(self, one: Answered) -> list[Any]:
        """The cells of a person: texts, and yuan as numbers."""
        d = one.decision
        grade = self._grade_now(one)
        result = self.result(d)
        found: list[Any] = [result, self._checked(one), grade]
        if self._appointed is not None:
            found.append(self._value(d, self._appointed))
        if self.pack.amount is not None:
            amounts = dict(d.lines) if d else {}
            found += [yuan_cell(amounts.get(line.id)) for line in self.lines]
            found.append(yuan_cell(d.amount if d else None))
            if self.before is not None:
                was = self.before.get(key_of(one.person))
                found += [yuan_cell(was.amount) if was else "", self._change(was, d, grade, result)]
        found += [self._until(d), self._missing(d), "；".join(self._explained(one))]
        if self.taken is not None:
            told = self.taken.get(one.person.row)
            found.append("" if told is None else say(_free_in(d) if d and told is FREE else told, self.lang))
            if told is not None and told is not FREE:
                d = None  # nothing to reserve
        return found + (_claim_cells(d) if self.claimed else [])

    def beside(self, row: int) -> list[Any]:
        """The cells of a further certificate of the person in `row`."""
        return [say(_WITH.format(row=row), self.lang), *[""] * (len(self.titles()) - 1)]

    @property
    def claimed(self) -> bool:
        """Whether what is paid is claimed on the log: a claim names cert key and decision."""
        return self.pack.claim is not None

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines of the amount that have a column of their own."""
        amount = self.pack.amount
        return amount.lines if amount is not None and len(amount.lines) > 1 else ()

    @property
    def _appointed(self) -> str | None:
        """The input that says which grade a person is appointed to."""
        names = [name for name, each in self.pack.inputs.items() if each.type.kind is Kind.GRADE]
        return names[0] if len(names) == 1 else None

    def result(self, d: Decision | None) -> str:
        if d is None:
            return f"? {say(_UNREAD, self.lang)}"
        return f"{_MARKS[d.result]} {say(RESULTS[d.result], self.lang)}"

    def _checked(self, one: Answered) -> str:
        if not one.checks:
            return ""
        wording = self.messages.wordings[one.checks[0].code]
        return f"{wording.mark} {say(wording.title, self.lang)}"

    def _grade_now(self, one: Answered) -> str:
        """Of the first certificate's track; with several logs the highest that any certificate of the person proves."""
        held = [] if one.decision is None else held_on(one.decision.certificates, one.decision.as_of)
        if held and not held[0].alone and (highest := highest_of(held)):
            return say(self.ladder.by_ordinal(highest).text, self.lang)
        view = one.checks[0].verdict.certificate if one.checks else None
        if view is None or one.checks[0].code not in VALID_FAMILY:
            return ""
        known = view.current is not None and TRACK_VOID not in one.checks[0].notes
        return say(view.current.grade if known and view.current else view.grade, self.lang)

    def _value(self, d: Decision | None, name: str) -> str:
        value = dict(d.facts).get(name) if d else None
        return say(self.ladder.by_ordinal(value).text, self.lang) if type(value) is int else ""

    def _until(self, d: Decision | None) -> str:
        if d is None or d.result is Outcome.NOT_ELIGIBLE:
            return ""
        return "；".join(say_day(last, self.lang) for _, _, last in d.windows)

    def _missing(self, d: Decision | None) -> str:
        if d is None:
            return ""
        return "；".join(say(self.pack.labels.get(name, Text(name, name)), self.lang) for name in d.missing)

    def _explained(self, one: Answered) -> list[str]:
        said = [say(text, self.lang) for text in one.problems]
        for check in one.checks:
            notes = [say(self.messages.labels[key], self.lang) for key in check.notes]
            notes += [say(text, self.lang) for text in check.extra]
            if check is one.checks[0]:
                said += notes
            elif check.code not in VALID_FAMILY:
                title, row = self.messages.wordings[check.code].title, check.question.row
                said.append(
                    say(
                        Text(_OTHER.zh.format(row=row, said=title.zh), _OTHER.en.format(row=row, said=title.en)),
                        self.lang,
                    )
                )
        if one.decision is not None:
            said += [say(text, self.lang) for text in reasons(one.decision, self.pack, self.ladder)]
        logs = _logs_of(one)
        known = say(known_of_text(logs), self.lang) if logs else ""
        return said if not known or known in said else [*said, known]

    def _change(self, was: Before | None, d: Decision | None, grade: str, result: str) -> str:
        if was is None:
            return say(_NEW, self.lang)
        said, moved = [], ((d.amount if d else None) or 0) - (was.amount or 0)
        if moved:
            said.append(say((_MORE if moved > 0 else _LESS).format(amount=yuan(abs(moved))), self.lang))
        for label, old, new in ((self.grade, was.grade, grade), (RESULT, was.result, result)):
            if old != new:
                said.append(f"{say(label, self.lang)} {old or '—'} → {new or '—'}")
        return "；".join(said) or say(_SAME, self.lang)


def reasons(decision: Decision, pack: Pack, ladder: Ladder) -> list[Text]:
    """The sentences about this person: without the title, the amounts and what holds for everybody."""
    texts = explain(decision, pack, ladder)[1:]
    general = (SAMPLE, ADVICE, REHEARSAL, UNPUBLISHED)
    return [text for text in texts if text not in general and not text.zh.startswith(("依据：", "金额：", "　"))]


def _logs_of(one: Answered) -> tuple[str, ...]:
    """Of which logs the grade in the row is known, where several are believed."""
    if one.decision is not None and one.decision.certificates:
        return logs_of(one.decision)
    view = one.checks[0].verdict.certificate if one.checks and one.checks[0].code in VALID_FAMILY else None
    return (view.current.log,) if view is not None and view.current is not None and view.current.log else ()


def _free_in(d: Decision) -> Text:
    """That nothing was claimed: claims of a person do not reach from one log into another, as tracks do not."""
    return FREE if d.certificates[0].alone else _FREE_IN.format(log=d.evidence[0].origin)


def _claim_cells(d: Decision | None) -> list[Any]:
    if d is None or d.result is not Outcome.ELIGIBLE or not d.certificates:
        return ["", ""]
    return [d.certificates[0].cert_key.hex(), sha256(format_decision(d)).hexdigest()]


def yuan_cell(fen: int | None) -> Any:
    """A cell in yuan: a number, empty where there is none."""
    if fen is None:
        return ""
    return fen // 100 if fen % 100 == 0 else float(yuan(fen).replace(",", ""))


def summary_of(
    columns: Columns, answered: Sequence[Answered], as_of: int, finished_ms: int, logs: Iterable[Under]
) -> list[tuple[str, str]]:
    """The second sheet: which rules, under which checkpoints, how many of what, the totals, and who has gone."""
    pack, lang = columns.pack, columns.lang
    said = {key: say(text, lang) for key, text in _SUMMARY.items()}
    lines = [(said["pack"], say(pack.title, lang)), (said["id"], pack.id), (said["digest"], pack.digest.hex())]
    if pack.sample or any(one.decision is not None and one.decision.sample for one in answered):
        lines.append((said["sample"], say(SAMPLE, lang)))
    if any(one.decision is not None and one.decision.basis is Basis.UNPUBLISHED for one in answered):
        lines.append((said["sample"], say(UNPUBLISHED, lang)))
    lines += [
        (said["as_of"], say_day(as_of, lang)),
        *([] if columns.then is None else [(said["stood"], say(_then(columns.then), lang))]),
        *([] if columns.compared is None else [(said["compared"], say_day(columns.compared, lang))]),
        (said["finished"], say_time(finished_ms, "en" if lang == "en" else "zh")),
    ]
    for log in logs:
        lines.append((said["log"], f"{log.origin}  {log.size}  {log.root.hex()}"))
    lines.append((said["people"], str(len(answered))))
    if columns.claimed and columns.taken is None:
        lines.append((said["sample"], say(_NOT_ASKED, lang)))
    counts = Counter(columns.result(one.decision) for one in answered)
    lines += [(result, str(count)) for result, count in sorted(counts.items())]
    lines += _totals(columns, answered, said)
    if columns.before is not None and columns.compared is None:
        here = {key_of(one.person) for one in answered}
        gone = [key for key in columns.before if key not in here]
        lines.append((said["gone"], f"{len(gone)}  {'、'.join(gone[:200])}"))
    used = dict.fromkeys(key for one in answered if one.decision for key in one.decision.sources)
    for key in used:
        source = pack.sources[key]
        where = source_text(source).of("en" if lang == "en" else "zh")
        lines.append((said["source"], f"{where} {source.link}".rstrip()))
    return [*lines, (said["advice"], say(ADVICE, lang))]


def _totals(columns: Columns, answered: Sequence[Answered], said: Mapping[str, str]) -> list[tuple[str, str]]:
    decisions = [one.decision for one in answered if one.decision is not None and one.decision.amount is not None]
    if columns.pack.amount is None:
        return []
    found = []
    for line in columns.lines:
        total = sum(dict(d.lines).get(line.id, 0) for d in decisions)
        found.append((say(line.text, columns.lang), yuan(total)))
    total = sum(d.amount or 0 for d in decisions)
    found.append((said["total"], yuan(total)))
    if columns.before is not None:
        before = sum(was.amount or 0 for was in columns.before.values())
        found.append((said["before" if columns.compared is None else "earlier"], yuan(before)))
    return found


_SUMMARY: Final = {
    "pack": Text("规则", "Rules"),
    "id": Text("规则编号", "Id of the rules"),
    "digest": Text("规则的 SHA-256", "SHA-256 of the rules"),
    "sample": Text("注意", "Note"),
    "as_of": Text("判定日", "As of"),
    "stood": Text("证书状态", "Certificates as they stood"),
    "compared": Text("对比日", "Compared with"),
    "finished": Text("完成时间", "Finished at"),
    "log": Text("登记日志（名称、条数、根）", "Log (name, size, root)"),
    "people": Text("人数", "People"),
    "total": Text("金额合计（元）", "Total (yuan)"),
    "before": Text("上次合计（元）", "Total last time (yuan)"),
    "earlier": Text("对比日合计（元）", "Total on the earlier day (yuan)"),
    "gone": Text("上次有、本次没有的人员", "In the last run and not in this one"),
    "source": Text("依据", "Source"),
    "advice": Text("说明", "About this"),
}
