"""What a front has examined, on its way to the sequencer: one msgpack body, authenticated under the index key.

    body = [label, form, filing number, items]       an item: a refusal, or an entry with its private part if it has one
    mac  = HMAC-SHA-256(HKDF(index key, "certledger/front/v1"), seconds ‖ a newline ‖ SHA-256(body) in hex)

The headers have all that the mac is of, so that whoever does not hold the key is told so before the body is read.

A front is believed what only openings show (steps 7 and 9 of admission): the private part, which is that of one
certificate: what the key of each of its rows is made of. The rows themselves the sequencer makes, of their own purposes
and where the number and the place in the log say. It is not believed about the entry: its form, its key and its
signatures are checked again by whoever puts it into the log, so that a front in other hands cannot get in what no
record key has signed. Whoever holds the index key can send bodies; sent again within their 30 seconds they do nothing,
because a statement is in the log once.

`form` is a digest of the field names and types below, and of the catalogue and ladder that a front examines by: they
say which lineage a person's track is in. Another version of any is refused, not guessed at.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.errors import Malformed, Refused, Unverified
from ledger.records.claim import HolderOpening
from ledger.records.envelope import MAX_ENVELOPE
from ledger.reference_data import catalogue_bytes, ladder_bytes
from ledger.service.admission import Candidate, ClaimPart, Examined, KnownBy, PrivatePart
from ledger.service.private_index import KEY_VERSION, LOOKUP_BYTES
from ledger.text import Text
from ledger.wire import MAX_SUBMISSIONS

PATH: Final = "/sequencer/v1/examined"
TIME_HEADER, DIGEST_HEADER, MAC_HEADER = "Front-Time", "Front-Digest", "Front-Mac"
AGE_S: Final = 30
LABEL: Final = "certledger/examined/v1"
VERSION: Final = "FRONT_VERSION"  # code of the refusal of another form
_OTHER: Final = Text(
    "前端与定序进程的程序版本、职业目录或等级表不同，请升级后重试",
    "Front and sequencer are of different versions of the program, its catalogue or its ladder",
)


class RefusedItem(msgspec.Struct, array_like=True, frozen=True, tag="refused"):
    known_by: KnownBy | None
    code: str
    field: str
    zh: str
    en: str


class ClaimItem(msgspec.Struct, array_like=True, frozen=True, tag="claim"):
    salt: bytes
    cert_key: bytes
    track_id: bytes
    barred: tuple[bytes, ...]


class CheckedItem(msgspec.Struct, array_like=True, frozen=True, tag="checked"):
    entry: bytes
    private: PrivatePart | ClaimItem | None


Item = RefusedItem | CheckedItem


class _Body(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    label: str
    form: bytes
    filing: str
    items: list[Item]


class _RawBody(msgspec.Struct, array_like=True):
    label: str
    form: bytes
    filing: str
    items: Sequence[msgspec.Raw]


def _form() -> bytes:
    kinds = (KnownBy, RefusedItem, PrivatePart, ClaimItem, CheckedItem, _Body)
    fields = [(kind.__name__, [(f.name, str(f.type)) for f in msgspec.structs.fields(kind)]) for kind in kinds]
    reference = [sha256(raw).hexdigest() for raw in (catalogue_bytes(), ladder_bytes())]
    return sha256(repr((LABEL, KEY_VERSION, fields, reference)).encode()).digest()


FORM: Final = _form()
_DECODE: Final = msgspec.msgpack.Decoder(_Body)


def pack_item(examined: Examined) -> bytes:
    """One outcome as its item of a body."""
    outcome = examined.outcome
    if isinstance(outcome, Refused):
        return msgspec.msgpack.encode(refused_item(examined.known_by, outcome))
    part = outcome.private
    private: PrivatePart | ClaimItem | None
    if isinstance(part, ClaimPart):
        private = ClaimItem(part.holder.salt, part.holder.cert_key, part.track_id, part.barred)
    else:
        private = part
    return msgspec.msgpack.encode(CheckedItem(outcome.statement.entry, private))


def refused_item(known_by: KnownBy | None, refusal: Refused) -> RefusedItem:
    return RefusedItem(known_by, refusal.code, refusal.field, refusal.text.zh, refusal.text.en)


def format_examined(filing: str, items: Sequence[bytes], *, form: bytes = FORM) -> bytes:
    """A body of the items that `pack_item` made for the submissions of one filing."""
    return msgspec.msgpack.encode(_RawBody(LABEL, form, filing, [msgspec.Raw(item) for item in items]))


def parse_examined(body: bytes) -> tuple[str, list[Item]]:
    """Filing number and items. Raises Refused("FRONT_VERSION") for another version's, Malformed."""
    try:
        raw = msgspec.msgpack.decode(body, type=_RawBody)
        if (raw.label, raw.form) != (LABEL, FORM):
            raise Refused(VERSION, "form", _OTHER)
        found = _DECODE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed("examined submissions: not the msgpack array of this version") from error
    if not 1 <= len(found.items) <= MAX_SUBMISSIONS:
        raise Malformed(f"examined submissions: between 1 and {MAX_SUBMISSIONS}")
    for item in found.items:
        if isinstance(item, CheckedItem) and isinstance(item.private, PrivatePart):
            _check_part(item.private, found.filing)
    return found.filing, found.items


def _check_part(part: PrivatePart, filing: str) -> None:
    """Raises Malformed for what no examiner makes."""
    rows = {len(hmac_) for hmac_ in (*part.number_keys, part.match_hmac, part.lookup_hmac)} == {32}
    rows = rows and len(part.lookup) == LOOKUP_BYTES and len(part.person_hmac) in (0, 32)
    envelopes = all(28 < len(each) <= MAX_ENVELOPE for each in (part.face_envelope, part.rest_envelope))
    if not (rows and envelopes and len(part.locator) == 32 and part.filing_number == filing):
        raise Malformed("examined submissions: the private part is none of an examiner")


def unpack_item(item: Item, checked: Examined | None) -> Examined:
    """The outcome of an item; `checked` is what this process came to about a CheckedItem's entry."""
    if isinstance(item, RefusedItem):
        return Examined(item.known_by, Refused(item.code, item.field, Text(item.zh or "-", item.en or "-")))
    assert checked is not None, "an entry is checked where it is put into the log"
    if isinstance(checked.outcome, Refused) or item.private is None:
        return checked
    part = item.private
    if isinstance(part, ClaimItem):
        claim = ClaimPart(HolderOpening(part.salt, part.cert_key), part.track_id, part.barred)
        return Examined(checked.known_by, Candidate(checked.outcome.authentic, claim))
    return Examined(checked.known_by, Candidate(checked.outcome.authentic, part))


def front_key(index_key: bytes) -> bytes:
    """The key under which fronts and sequencers know each other, from the 32 bytes that both hold."""
    return HKDF(SHA256(), 32, salt=None, info=b"certledger/front/v1").derive(index_key)


def sign_examined(key: bytes, body: bytes, now_s: int) -> dict[str, str]:
    """The headers that authenticate a body."""
    time, digest = str(now_s), sha256(body).hexdigest()
    return {TIME_HEADER: time, DIGEST_HEADER: digest, MAC_HEADER: _mac(key, time, digest)}


def open_examined(key: bytes, headers: Mapping[str, str], now_s: int) -> str:
    """The digest of the body that whoever holds the key sends, signed within the last 30 seconds. Raises Unverified."""
    time, digest, mac = (headers.get(name, "") for name in (TIME_HEADER, DIGEST_HEADER, MAC_HEADER))
    if not hmac.compare_digest(_mac(key, time, digest).encode(), mac.encode("utf-8", "replace")):
        raise Unverified("not accepted")
    if not (time.isdecimal() and abs(now_s - int(time)) <= AGE_S):
        raise Unverified("not accepted")
    return digest


def check_examined(digest: str, body: bytes) -> None:
    """Raises Unverified unless this is the body that was signed for."""
    if digest != sha256(body).hexdigest():
        raise Unverified("not accepted")


def _mac(key: bytes, time: str, digest: str) -> str:
    return hmac.new(key, f"{time}\n{digest}".encode("utf-8", "replace"), sha256).hexdigest()
