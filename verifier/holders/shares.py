"""What may be shared, for how long, and what each purpose suggests. Pure.

A share discloses fields that the holder chose, each with its own salt, and the eight digests of `rest`: whoever opens
it checks them against the statement in the log. What was not chosen is in none of its bytes. What the log says of the
certificate (grade, occupation, body, dates, status) is public under its cert key and shown with every share.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from ledger.errors import Malformed, Refused
from ledger.records import canonical
from ledger.records.commitments import Field
from ledger.records.dates import MS_PER_DAY, batch_day, last_ms, parse_day
from ledger.text import Text
from verifier.holders.held import Held

DAYS: Final = (7, 30, 90)
LONGEST_DAYS: Final = 366
MAX_BODY: Final = 48 * 1024  # bytes of ciphertext: a photo of 12 KiB in base64, and what a rest envelope holds
MAX_SHARES: Final = 200  # of one account, ended ones included
WRONG_PINS: Final = 5  # then a share is locked until its holder opens it again
NAME: Final = "name"  # number and name, which are disclosed together: one digest covers both
PHOTO: Final = "photo"

# Fields by the names that pages and the browser's modules use.
FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        PHOTO: Field.PHOTO,
        "document": Field.ID_DOCUMENT,
        "scores": Field.SCORES,
        "employer": Field.EMPLOYER,
        "birth_year": Field.BIRTH_YEAR,
        "training": Field.TRAINING,
    }
)
PURPOSES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "job": (NAME, PHOTO),
        "subsidy": (NAME, "document"),
        "title": (NAME, "scores", "employer"),
        "custom": (),
    }
)
_PERIOD: Final = Text(
    "分享有效期应为 7、30、90 天，或一年以内的日期", "A share lasts 7, 30 or 90 days, or until a day within a year"
)


@dataclass(frozen=True, slots=True)
class Note:
    """What its holder sees of a share later. Neither the link's key nor what was disclosed."""

    token: bytes  # of the address, to show which link it is
    purpose: str
    fields: tuple[str, ...]
    recipient: str  # may be empty

    def __post_init__(self) -> None:
        known = {NAME, *FIELDS}
        if self.purpose not in PURPOSES or not set(self.fields) <= known or len(set(self.fields)) != len(self.fields):
            raise Malformed(Text("分享：未知的用途或项目", "share: unknown purpose or field"))
        if len(self.token) != 16 or len(self.recipient) > 100:
            raise Malformed(
                Text(
                    "分享：标识为 16 字节，接收方最多 100 个字符",
                    "share: token of 16 bytes, recipient of at most 100 characters",
                )
            )


def format_note(note: Note) -> bytes:
    return canonical.encode([note.token, note.purpose, list(note.fields), note.recipient])


def parse_note(raw: bytes) -> Note:
    match canonical.decode(raw):
        case [bytes(token), str(purpose), [*fields], str(recipient)] if all(isinstance(f, str) for f in fields):
            return Note(token, purpose, tuple(str(field) for field in fields), recipient)
    raise Malformed("share: not a note of this version")


def expiry_of(period: str, now_ms: int) -> int:
    """When a share ends (ms): `7`, `30` or `90` days from now, or the end of a day written YYYY-MM-DD. Raises
    Refused."""
    if period in map(str, DAYS):
        return now_ms + int(period) * MS_PER_DAY
    try:
        day = parse_day(period)
    except Malformed:
        raise Refused("SHARE_PERIOD", "period", _PERIOD)
    if not 0 <= day - batch_day(now_ms) <= LONGEST_DAYS:
        raise Refused("SHARE_PERIOD", "period", _PERIOD)
    return last_ms(day)


def openings_of(held: Held, picture: bytes | None = None) -> dict[str, object]:
    """What a holder can choose from, as JSON values for the browser: byte strings are `{"hex": …}`, the picture base64.

    `picture` is the face envelope's. The photo can be chosen where that is the picture that was signed: older
    certificates commit to the file that it was made from, which nobody here has.
    """
    face = held.face
    found: dict[str, object] = {
        NAME: [_plain(face.salt), face.number, face.name],
        "digests": [digest.hex() for digest in held.digests],
        "cert_key": held.cert_key.hex(),
    }
    for name, field in FIELDS.items():
        opening = held.opening(field)
        if field is Field.PHOTO and (opening is None or not picture or sha256(picture).digest() != opening.value):
            continue
        if opening is not None:
            found[name] = [int(field), _plain(opening.salt), _plain(opening.value)]
    if PHOTO in found and picture:
        found["picture"] = base64.b64encode(picture).decode()
    return found


def _plain(value: canonical.Value) -> object:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, int | str):
        return value
    if isinstance(value, Mapping):
        raise Malformed("a field's value is no map")
    return [_plain(item) for item in value]
