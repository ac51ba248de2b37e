"""Whether the words on a certificate's pages are those that were signed: a genuine code under another person's name
is a forgery. Pure.

    wording_of(issue, face, body, trust) -> Wording      what a page has to say
    pages_say(wording, page_texts) -> bool               whether every certificate among the pages says it

Compared are pages whose text layer holds the title of a certificate; each has to pass by itself:

    1 every known field stands on the page whole: white space, a line end or punctuation on both sides, white space
      within it anywhere (numbers are printed in groups, long entries take two lines)
    2 under the labels of our own certificate, between one label and the next, stands the field and nothing else

Rule 1 holds for any layout. Rule 2 finds what it cannot: a second word added to a name, a trade where there is none,
one of two dates changed, the true words put elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.records.appointment import CertificateBody
from ledger.records.commitments import FaceOpening
from ledger.records.dates import format_day
from ledger.text import Text
from verifier.trust import Trust

TITLE: Final = "职业技能等级证书"
NO_TRADE: Final = "--"
_MAX_TEXT: Final = 20_000  # characters of a page after normalising; a certificate has a thousand

_INTERPUNCTS: Final = frozenset("·•・‧⋅∙᛫")
_JOINING: Final = frozenset("-‐–'’‘")  # parts of one name when letters stand on both sides
_LABELS: Final = {
    "name": (("姓名", "Name"), ("证件类型",)),
    "occupation": (("职业名称", "Occupation"), ("工种/职业方向",)),
    "trade": (("工种/职业方向", "Trade"), ("照片", "职业技能等级")),
    "grade": (("职业技能等级",), ("证书编号",)),
    "number": (("证书编号", "Certificate number"), ("评价机构（盖章）",)),
    "body": (("评价机构（盖章）", "Assessment body (seal)"), ("发证日期",)),
    "issue date": (("发证日期", "Date of issue"), ("证书查询",)),
}


@dataclass(frozen=True, slots=True)
class Wording:
    """What a certificate's page says. None where we do not know; each is then left out of the comparison."""

    number: str | None
    name: str | None
    grade: Text
    occupation: tuple[str, ...]  # its name, or its code as a programme prints that knows no name; empty: not known
    trade: str  # "" where there is none
    issue_day: int
    body: str | None  # registered name of the assessment body

    def fields(self) -> dict[str, tuple[str, ...]]:
        """The spellings of each field, by the names of `_LABELS`, of which one has to stand on the page."""
        known = {
            "number": (self.number,) if self.number else (),
            "name": (self.name,) if self.name else (),
            "grade": (self.grade.zh,),
            "occupation": self.occupation,
            "trade": (self.trade,) if self.trade else (),
            "issue date": self._dates(),
            "body": (self.body,) if self.body else (),
        }
        return {field: spellings for field, spellings in known.items() if spellings}

    def entries(self) -> dict[str, tuple[str, ...]]:
        """What may stand under each label of our own certificate."""
        zh, padded, iso = self._dates()
        return self.fields() | {
            "grade": (self.grade.zh, self.grade.zh + self.grade.en),
            "trade": (self.trade or NO_TRADE,),
            "issue date": (zh, padded, iso, zh + iso, padded + iso),
        }

    def _dates(self) -> tuple[str, str, str]:
        iso = format_day(self.issue_day)
        year, month, day = iso.split("-")
        return f"{year}年{int(month)}月{int(day)}日", f"{year}年{month}月{day}日", iso


def wording_of(issue: CertificateBody, face: FaceOpening | None, body: str | None, trust: Trust) -> Wording:
    """`face` None: number and name are not known. `body`: the name in the filing, None without a register."""
    occupation = trust.catalogue.find(issue.occupation)
    return Wording(
        number=face.number if face else None,
        name=face.name if face else None,
        grade=trust.ladder.by_ordinal(issue.grade).text,
        occupation=(occupation.name, occupation.code) if occupation else (),
        trade=issue.trade,
        issue_day=issue.issue_day,
        body=body,
    )


def pages_say(wording: Wording, page_texts: Sequence[str]) -> bool:
    """False when a page with the title of a certificate says something else than `wording`."""
    pages = [_plain(text) for text in page_texts]
    return all(_says(wording, page) for page in pages if TITLE in _compact(page))


def _says(wording: Wording, page: str) -> bool:
    words = _Words.of(page)
    spelled = wording.fields().values()
    if not all(any(words.hold(_entry(one)) for one in spellings) for spellings in spelled):  # 1
        return False
    lines = "\n".join(["", *(_compact(line) for line in page.splitlines())])
    return all(  # 2
        _entry(shown) in map(_entry, entries)
        for field, entries in wording.entries().items()
        for shown in _ENTRIES[field].findall(lines)
    )


@dataclass(frozen=True, slots=True)
class _Words:
    """A page without its white space, and where that was."""

    characters: str
    gaps: frozenset[int]  # before which characters there was white space

    @classmethod
    def of(cls, page: str) -> _Words:
        characters: list[str] = []
        gaps = set()
        for character in page:
            if character.isspace():
                gaps.add(len(characters))
            else:
                characters.append(character)
        return cls("".join(characters), frozenset(gaps))

    def hold(self, field: str) -> bool:
        """Whether `field`, without white space, stands here whole."""
        return any(
            self._ends(start - 1, start - 2, start in self.gaps, start - 1 in self.gaps)
            and self._ends(end, end + 1, end in self.gaps, end + 1 in self.gaps)
            for start, end in self._found(field)
        )

    def _found(self, field: str) -> Iterator[tuple[int, int]]:
        start = self.characters.find(field)
        while start >= 0:
            yield start, start + len(field)
            start = self.characters.find(field, start + 1)

    def _ends(self, near: int, far: int, gap: bool, far_gap: bool) -> bool:
        """Whether a field ends before the character `near`, `far` being the one beyond it. `gap`: white space between
        field and `near`; `far_gap`: between `near` and `far`."""
        beside, beyond = self._at(near), self._at(far)
        if beside in _INTERPUNCTS:
            return gap and (far_gap or not _is_word(beyond))
        if gap:
            return True
        if beside in _JOINING:
            return not _is_word(beyond)
        return not _is_word(beside)

    def _at(self, index: int) -> str:
        return self.characters[index] if 0 <= index < len(self.characters) else ""


def _is_word(character: str) -> bool:
    """Letters, marks, digits, and what may be drawn as any of them."""
    if not character:
        return False
    category = unicodedata.category(character)
    return category[0] in "LMN" or category in ("Co", "Cn", "Cs") or character == "\ufffd"


def _plain(text: str) -> str:
    """NFKC (programmes that re-save a PDF may leave radicals and ligatures), without characters that draw nothing."""
    normal = unicodedata.normalize("NFKC", text)[:_MAX_TEXT]
    return "".join(c for c in normal if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf"))


def _compact(text: str) -> str:
    return "".join(text.split())


def _entry(text: str) -> str:
    return _compact(_plain(text))


def _between(labels: tuple[str, ...], ends: tuple[str, ...]) -> re.Pattern[str]:
    """At most four lines between two labels, in lines without white space."""
    start = "".join(f"\n{re.escape(_entry(label))}" for label in labels)
    end = "|".join(re.escape(_entry(label)) for label in ends)
    return re.compile(rf"{start}\n((?:[^\n]*\n){{1,4}}?)(?={end})")


_ENTRIES: Final = {field: _between(labels, ends) for field, (labels, ends) in _LABELS.items()}
