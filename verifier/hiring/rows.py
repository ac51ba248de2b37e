"""What each row of a list is answered: a code of the one list, and words for the columns that come back.

A row that names a person besides a link asks whether *that person* holds the certificate: behind a link that is
registered under another name or number there is nothing for this row, and nothing of the other person is shown. Where
nobody can tell whose it is now, neither is there an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.errors import Refused
from ledger.records.dates import format_day
from ledger.records.names import normalise_name
from ledger.records.number import diagnose_number, normal_text
from ledger.text import Text
from verifier import steps
from verifier.hiring.sheets import Question
from verifier.messages import Messages, say_time
from verifier.verdict import GREEN, CertificateView, Code, Verdict, without_item

# The columns that answer, in order: their keys among the words.
COLUMNS: Final = (
    "hiring_result",
    "hiring_code",
    "hiring_holder",
    "hiring_certificate",
    "hiring_status",
    "hiring_current",
    "hiring_explained",
    "hiring_checked",
)


NOT_COMPARED: Final = "hiring_not_compared"  # a note: whose it is cannot be told now
_ODD: Final = {
    "formula": "hiring_odd_formula",
    "merged": "hiring_odd_merged",
    "error": "hiring_odd_error",
    "long": "hiring_odd_long",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One row's answer. `notes` are keys of the catalogue; `extra` what has no key."""

    question: Question
    verdict: Verdict
    notes: tuple[str, ...] = ()
    extra: tuple[Text, ...] = ()

    @property
    def code(self) -> Code:
        return self.verdict.code


def asks_nothing(question: Question, now_ms: int) -> Answer | None:
    """The answer of a row that cannot be asked as it stands; None where it can."""
    unreadable = without_item(Code.UNREADABLE, now_ms)
    if question.odd is not None:
        return Answer(question, unreadable, (_ODD[question.odd.kind],))
    if question.link or question.picture is not None:
        return None
    if not question.number and not question.name:
        return Answer(question, unreadable, ("hiring_asks_nothing",))
    if not question.number or not question.name:
        return Answer(question, unreadable, ("hiring_needs_both",))
    problems = diagnose_number(question.number)
    if problems:
        return Answer(question, unreadable, ("hiring_bad_number",), tuple(problem.text for problem in problems[:3]))
    try:
        normalise_name(question.name)
    except Refused as refused:
        return Answer(question, unreadable, ("hiring_bad_name",), (refused.text,))
    return None


def pair_of(question: Question) -> tuple[str, str]:
    """Number and name in the forms that are looked up. Only of a row that `asks_nothing` let pass."""
    return normal_text(question.number), normalise_name(question.name)[0]


def answered(question: Question, verdict: Verdict) -> Answer:
    """The answer to a row that gave a link, a code or a picture."""
    view = verdict.certificate
    if view is None or not (question.number or question.name):
        return Answer(question, verdict)
    if not view.personal_available:
        return Answer(question, whose(verdict) if verdict.code in GREEN else verdict, (NOT_COMPARED,))
    if not _is_of(question, view):
        other = without_item(Code.NOT_FOUND, verdict.checked_at_ms, source=verdict.source, as_of_ms=verdict.as_of_ms)
        return Answer(question, other, ("hiring_other_person",))
    return Answer(question, verdict)


def whose(verdict: Verdict) -> Verdict:
    """In its place while nobody can tell whose the certificate is."""
    return without_item(Code.UNAVAILABLE, verdict.checked_at_ms, source=verdict.source, as_of_ms=verdict.as_of_ms)


def columns_of(answer: Answer, messages: Messages, lang: str) -> tuple[str, ...]:
    """The cells of COLUMNS. `lang`: zh, en or both."""
    verdict, view = answer.verdict, answer.verdict.certificate
    wording = messages.wordings[verdict.code]
    grade = status = current = holder = ""
    if view is not None:
        holder = view.name or ""
        trade = f" {view.trade}" if view.trade else ""
        grade = f"{view.occupation}{trade} {say(view.grade, lang)}"
        if view.post is not None:
            grade += f" ({_term(*view.post, messages, lang)})"
        status = say(messages.labels[f"status_{view.status}"], lang)
        if view.current is not None:
            notes = [] if view.current.since_day is None else [format_day(view.current.since_day)]
            if view.current.log:
                notes.append(say(messages.labels["current_log"].format(log=view.current.log), lang))
            named = f"{view.current.trade} " if view.current.trade else ""
            current = named + say(view.current.grade, lang) + (f" ({'; '.join(notes)})" if notes else "")
        if view.held is not None:
            term = _term(view.held.first_day, view.held.last_day, messages, lang)
            held = f"{say(messages.labels['held'], lang)}: {say(view.held.grade, lang)} ({term})"
            current = "；".join(filter(None, (current, held)))
    return (
        f"{wording.mark} {say(wording.title, lang)}",
        verdict.code.value,
        holder,
        grade,
        status,
        current,
        "；".join(_explained(answer, messages, lang)),
        say_time(verdict.checked_at_ms, "en" if lang == "en" else "zh"),
    )


def say(text: Text, lang: str) -> str:
    return text.both() if lang == "both" else text.of(lang)


def _term(first: int, last: int | None, messages: Messages, lang: str) -> str:
    return f"{format_day(first)} – {say(messages.labels['open_ended'], lang) if last is None else format_day(last)}"


def _explained(answer: Answer, messages: Messages, lang: str) -> list[str]:
    labels = messages.labels
    said = [say(labels[key], lang) for key in answer.notes]
    said += [say(text, lang) for text in answer.extra]
    if not said:
        said = [say(messages.line(answer.verdict), lang)]
        said += [say(why.text, lang) for why in steps.INDEX_FOR_GOOD if why in answer.verdict.findings]
        if answer.verdict.code in GREEN:
            said.append(say(labels["hiring_compare"], lang))
    view = answer.verdict.certificate
    delay = None if view is None else messages.delay(view.issue_day, view.logged_at_ms, late=view.late)
    return said if delay is None else [*said, say(delay, lang)]


def _is_of(question: Question, view: CertificateView) -> bool:
    if question.number and normal_text(question.number) != view.number:
        return False
    if not question.name:
        return True
    try:
        return normalise_name(question.name)[0] == view.name
    except Refused:
        return False
