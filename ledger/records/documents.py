"""People's identity documents: type, issuing country, number, in one normal form per person.

The type follows from the number wherever the number says it (GB 11643 numbers share one space: citizens,
810000/820000/830000 residence permits, foreign permanent residents whose 18 digits start with 9), so a roster
that calls a residence permit 身份证 still names the same person. Region digits are not compared with a list.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from dataclasses import dataclass

from ledger.errors import Malformed, Refused
from ledger.records.dates import date_of, day_of
from ledger.records.notice import Notice
from ledger.text import Text

CITIZEN, PASSPORT, TAIWAN_PERMIT, HONG_KONG_MACAO_PERMIT = "111", "414", "511", "516"
# No code of a published list is confirmed for these three: the names are ours.
RESIDENCE_PERMIT, PERMANENT_RESIDENT, OTHER = "residence", "permanent", "other"
UNKNOWN_COUNTRY = "XXX"  # ICAO 9303: unspecified

TYPES = {
    CITIZEN: Text("居民身份证", "Resident identity card"),
    RESIDENCE_PERMIT: Text("港澳台居民居住证", "Residence permit (Hong Kong, Macao, Taiwan)"),
    PERMANENT_RESIDENT: Text("外国人永久居留身份证", "Foreign permanent resident card"),
    PASSPORT: Text("护照", "Passport"),
    HONG_KONG_MACAO_PERMIT: Text("港澳居民来往内地通行证", "Mainland travel permit (Hong Kong, Macao)"),
    TAIWAN_PERMIT: Text("台湾居民来往大陆通行证", "Mainland travel permit (Taiwan)"),
    OTHER: Text("其他证件", "Other document"),
}
_SPELLINGS = {
    **{code: code for code in TYPES},
    **{text.zh: code for code, text in TYPES.items()},
    **{text.en.lower().replace(" ", ""): code for code, text in TYPES.items()},
    **dict.fromkeys(("身份证", "中国居民身份证", "二代身份证", "临时居民身份证", "idcard"), CITIZEN),
    **dict.fromkeys(("港澳居民居住证", "台湾居民居住证", "居住证"), RESIDENCE_PERMIT),
    **dict.fromkeys(("外国人永久居留证", "永久居留身份证", "外国人永久居留身份证件"), PERMANENT_RESIDENT),
    **dict.fromkeys(("中国护照", "外国护照", "普通护照", "因私护照"), PASSPORT),
    **dict.fromkeys(("港澳通行证", "港澳居民通行证", "回乡证"), HONG_KONG_MACAO_PERMIT),
    **dict.fromkeys(("台胞证", "台湾通行证", "台湾居民通行证"), TAIWAN_PERMIT),
    "其他": OTHER,
}
_UNCONFIRMED_CITIZEN = "201"  # seen in one issuer's export; its meaning is not confirmed in public
_SPECIAL_REGIONS = {"810000": "HKG", "820000": "MAC", "830000": "TWN"}
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643: 2**(17-i) mod 11

_COUNTRY = re.compile(r"[A-Z]{3}")
_EIGHTEEN = re.compile(r"[0-9]{17}[0-9X]")
_FIFTEEN = re.compile(r"[0-9]{15}")
_OLD_PERMANENT = re.compile(r"[A-Z]{3}[0-9]{12}")
_FORMS = {
    HONG_KONG_MACAO_PERMIT: re.compile(r"[HM][0-9]{8}([0-9]{2})?"),
    TAIWAN_PERMIT: re.compile(r"[0-9]{8}|[0-9]{10}[A-Z]?"),
    PASSPORT: re.compile(r"(?=.*[0-9])[A-Z0-9]{5,17}"),
    OTHER: re.compile(r"[A-Z0-9][A-Z0-9/-]{2,29}"),
}
MAX_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class IdDocument:
    """A checked document: `type_code` of TYPES, ISO 3166 alpha-3 (or XXX) country, number as printed on it."""

    type_code: str
    country: str
    number: str

    def __post_init__(self) -> None:
        if self.type_code not in TYPES or not _COUNTRY.fullmatch(self.country):
            raise Malformed("type or country of an identity document")
        if _EIGHTEEN.fullmatch(self.number):
            return  # in its normal form whatever the rules below: nearly every number
        if self.number != normal_number(self.number) or not 3 <= len(self.number) <= 30:
            raise Malformed("number of an identity document is not in its normal form")

    @property
    def identity(self) -> tuple[str, str, str]:
        """Who it names, for links and duplicates: 15-digit numbers as 18 digits, renewal counts dropped."""
        number = self.number
        if self.type_code == CITIZEN and len(number) == 15:
            number = f"{number[:6]}19{number[6:]}"
            number += check_digit(number)
        if self.type_code == HONG_KONG_MACAO_PERMIT:
            number = number[:9]  # the last two digits of the old form count renewals
        return (self.type_code, self.country, number)

    @property
    def last4(self) -> str:
        """The four characters a holder types to prove it is theirs."""
        return self.number[-4:]

    @property
    def birth_day(self) -> int | None:
        """Birth date in days since 1970-01-01 where the number carries one in full; None otherwise."""
        number = self.identity[2]
        return _birth(number[6:14]) if _EIGHTEEN.fullmatch(number) else None

    @property
    def type_name(self) -> Text:
        """The type for people."""
        return TYPES[self.type_code]


def parse_document(type_text: str, number_text: str, *, today_day: int, country: str = UNKNOWN_COUNTRY) -> IdDocument:
    """The document that a roster row means. `country` (alpha-3) matters for passports and other papers only.

    An empty type is taken from the number. Refused DOCUMENT_MISSING, DOCUMENT_TYPE, DOCUMENT_TYPE_MISMATCH,
    DOCUMENT_LENGTH, DOCUMENT_CHARACTER, DOCUMENT_BIRTH_DATE, DOCUMENT_CHECK_DIGIT or DOCUMENT_FORM.
    """
    number = normal_number(number_text)
    if not number:
        raise _refused("DOCUMENT_MISSING", "没有填写证件号码", "the document number is empty")
    if len(number_text) > MAX_CHARACTERS or len(number) > 30:
        raise _refused("DOCUMENT_LENGTH", "证件号码过长", "the document number is too long")
    wanted = _parse_type(type_text, number)
    if wanted in (CITIZEN, RESIDENCE_PERMIT, PERMANENT_RESIDENT):
        return _parse_resident(wanted, number, today_day)
    if not _FORMS[wanted].fullmatch(number):
        zh, en = TYPES[wanted].zh, TYPES[wanted].en
        raise _refused("DOCUMENT_FORM", f"不是{zh}的号码格式", f"not the form of a number of: {en}")
    if wanted == HONG_KONG_MACAO_PERMIT:
        country = "HKG" if number[0] == "H" else "MAC"
    elif wanted == TAIWAN_PERMIT:
        country = "TWN"
    return IdDocument(wanted, country, number)


def review_document(type_text: str, document: IdDocument, *, today_day: int) -> tuple[Notice, ...]:
    """What a person should look at although it is no error: unusual ages, assumed or unconfirmed types."""
    notices = []
    birth = document.birth_day
    if birth is not None:
        age = _age(birth, today_day)
        if not 16 <= age <= 80:
            said = Text(f"年龄 {age} 岁，请核对", f"age {age}: please check")
            notices.append(Notice("DOCUMENT_AGE", said, "warning"))
    plain = normal_type(type_text)
    if plain == _UNCONFIRMED_CITIZEN:
        said = Text("证件类型代码 201 按居民身份证读取（含义未证实）", "type code 201 read as ID card (unconfirmed)")
        notices.append(Notice("DOCUMENT_TYPE_UNCONFIRMED", said))
    elif not plain or _SPELLINGS.get(plain) != document.type_code:
        said = Text(f"按号码读作{document.type_name.zh}", f"read from its number as: {document.type_name.en}")
        notices.append(Notice("DOCUMENT_TYPE_ASSUMED", said, "note" if plain else "warning"))
    if document.type_code == CITIZEN and len(document.number) == 15:
        notices.append(Notice("DOCUMENT_OLD_FORM", Text("15 位旧号码", "old 15-digit number"), "warning"))
    return tuple(notices)


def check_digit(first17: str) -> str:
    """The 18th character, `0`..`9` or `X`, of a GB 11643 number (ISO 7064 MOD 11-2) from 17 ASCII digits."""
    if not re.fullmatch(r"[0-9]{17}", first17):
        raise Malformed("17 digits are needed for a check digit")
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, first17, strict=True))
    return "10X98765432"[total % 11]


def normal_number(text: str) -> str:
    """NFKC, upper case, no white space or parentheses: how document numbers are compared and stored."""
    folded = unicodedata.normalize("NFKC", text[: MAX_CHARACTERS * 2]).upper()
    return re.sub(r"[\s()]+", "", folded)


def normal_type(text: str) -> str:
    """A document type as it is compared: NFKC, lower case, no white space."""
    return "".join(unicodedata.normalize("NFKC", text[:64]).lower().split())


def _parse_type(type_text: str, number: str) -> str:
    plain = normal_type(type_text)
    resident = _EIGHTEEN.fullmatch(number) or _FIFTEEN.fullmatch(number)
    if plain in _SPELLINGS:
        return _SPELLINGS[plain]
    if resident and plain in ("", _UNCONFIRMED_CITIZEN):
        return CITIZEN
    if not plain:
        raise _refused("DOCUMENT_TYPE", "没有填写证件类型", "the document type is empty")
    raise _refused("DOCUMENT_TYPE", "不认识的证件类型", "unknown document type")


def _parse_resident(wanted: str, number: str, today_day: int) -> IdDocument:
    if _OLD_PERMANENT.fullmatch(number) and wanted == PERMANENT_RESIDENT:
        _check_birth("19" + number[7:13], today_day, either_century=True)
        return IdDocument(PERMANENT_RESIDENT, number[:3], number)
    if _FIFTEEN.fullmatch(number):
        if wanted != CITIZEN:
            raise _mismatch()
        _check_birth("19" + number[6:12], today_day)
        return IdDocument(CITIZEN, "CHN", number)
    if len(number) != 18:
        said = f"证件号码应为 18 位，现为 {len(number)} 位", f"{len(number)} characters instead of 18"
        raise _refused("DOCUMENT_LENGTH", *said)
    if not _EIGHTEEN.fullmatch(number):
        raise _refused("DOCUMENT_CHARACTER", "应为 17 位数字加数字或 X", "17 digits and a digit or X are needed")
    _check_birth(number[6:14], today_day)
    if check_digit(number[:17]) != number[17]:
        raise _refused("DOCUMENT_CHECK_DIGIT", "校验码不对，号码有误", "the check digit does not match: mistyped")
    return _by_number(wanted, number)


def _by_number(wanted: str, number: str) -> IdDocument:
    if number[0] == "9":
        found, country = PERMANENT_RESIDENT, UNKNOWN_COUNTRY
    elif number[:6] in _SPECIAL_REGIONS:
        found, country = RESIDENCE_PERMIT, _SPECIAL_REGIONS[number[:6]]
    else:
        found, country = CITIZEN, "CHN"
    if wanted not in (found, CITIZEN):
        raise _mismatch()
    return IdDocument(found, country, number)


def _check_birth(yyyymmdd: str, today_day: int, *, either_century: bool = False) -> None:
    birth = _birth(yyyymmdd)
    if birth is None and either_century:
        birth = _birth("20" + yyyymmdd[2:])
    if birth is None or birth > today_day:
        raise _refused("DOCUMENT_BIRTH_DATE", "出生日期不存在或在将来", "no such birth date, or in the future")


def _birth(yyyymmdd: str) -> int | None:
    try:
        return day_of(dt.date(int(yyyymmdd[:4]), int(yyyymmdd[4:6]), int(yyyymmdd[6:])))
    except (ValueError, Malformed):
        return None


def _age(birth_day: int, today_day: int) -> int:
    birth, today = date_of(birth_day), date_of(today_day)
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))


def _mismatch() -> Refused:
    return _refused("DOCUMENT_TYPE_MISMATCH", "证件类型与号码不符", "the number is not of this document type")


def _refused(code: str, zh: str, en: str) -> Refused:
    return Refused(code, "document", Text(zh, en))
