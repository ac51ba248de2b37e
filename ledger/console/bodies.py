"""What the authority is about to state, from its TOML form: one small file per statement (docs/operating.md).

Whatever is read here is encoded and parsed again as every reader will read it, so nobody is asked to sign bytes that
nobody would accept.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final

from ledger.errors import Malformed
from ledger.records.authority import RECORD_KEY_CAP, FiledKey, Filing, FilingRow
from ledger.records.dates import parse_day
from ledger.records.grades import parse_grade
from ledger.records.kinds import Audience, FilingStatus, IssuerKind, KeyStatus, Kind, Reason
from ledger.records.life import Listed, Range, Ruling, Whom
from ledger.records.pack import ClaimTerms, Pack
from ledger.records.permit import LatePermit, permit_root
from ledger.records.rotation import AuthorityChange, LogKey
from ledger.records.statements import AuthorityBody, parse_proposal, propose
from ledger.records.supervision import FilingStanding, KeyStanding
from ledger.reference_data import load_ladder
from ledger.text import Text

_FILING_KEYS: Final = frozenset(
    [
        "number",
        "name",
        "latin_name",
        "kind",
        "first_day",
        "last_day",
        "rows",
        "record_keys",
        "request_keys",
        "cap",
        "grants",
        "schemes",
    ]
)
_ROW_KEYS: Final = frozenset(["occupation", "trade", "grades", "audience", "first_day"])
_PACK_KEYS: Final = frozenset(["pack", "version", "digest", "first_day", "last_day", "claim"])
_CLAIM_KEYS: Final = frozenset(["scheme", "groups", "by_trade", "lower_grades", "slots"])
_KEY_KEYS: Final = frozenset(["public", "first_day", "last_day"])

_Table = dict[str, Any]


def read_body(what: str, text: str, today: int) -> AuthorityBody:
    """The content of a proposal named `what` (a key of READERS). Raises Malformed naming what is wrong."""
    try:
        body = READERS[what](tomllib.loads(text), today)
        proposal = propose("origin.example", body)
        parse_proposal(proposal.protected, proposal.payload)  # as every reader will read it
        return body
    except KeyError as error:
        raise Malformed(
            Text(f"{what}：缺少或未知的项 {error.args[0]!r}", f"{what}: missing or unknown {error.args[0]!r}")
        ) from error
    except (tomllib.TOMLDecodeError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise Malformed(Text(f"{what}：格式不正确（{error}）", f"{what}: not well formed: {error}")) from error


def hex_bytes(text: object, length: int) -> bytes:
    """`length` bytes written in hex. Raises Malformed."""
    try:
        raw = bytes.fromhex(str(text))
    except ValueError as error:
        raise Malformed(
            Text("公钥、摘要和签名应写成十六进制", "a key, digest or signature is written in hex")
        ) from error
    if len(raw) != length:
        raise Malformed(Text(f"应为 {length} 字节的十六进制", f"{length} bytes in hex are needed"))
    return raw


def _filing(table: _Table, today: int) -> Filing:
    ladder = load_ladder()
    _only(table, _FILING_KEYS)
    kind = IssuerKind[table["kind"].upper()]
    rows = table.get("rows", []) if kind is IssuerKind.PAYER else table["rows"]
    for row in rows:
        _only(row, _ROW_KEYS)
    return Filing(
        number=table["number"],
        name=table["name"],
        latin_name=table.get("latin_name", ""),
        kind=kind,
        first_day=_day(table["first_day"]),
        last_day=_day(table["last_day"]),
        rows=tuple(
            FilingRow(
                row["occupation"],
                row.get("trade", ""),
                tuple(sorted(parse_grade(str(grade), ladder).ordinal for grade in row["grades"])),
                Audience[row["audience"].upper()],
                _day(row.get("first_day", table["first_day"])),
            )
            for row in rows
        ),
        record_keys=tuple(_filed_key(key, table) for key in table["record_keys"]),
        request_keys=tuple(_filed_key(key, table) for key in table["request_keys"]),
        cap=table.get("cap", RECORD_KEY_CAP),
        grants=tuple(sorted(parse_grade(str(grade), ladder).ordinal for grade in table.get("grants", []))),
        schemes=tuple(sorted(table.get("schemes", []))),
    )


def _filing_change(table: _Table, today: int) -> Filing:
    return replace(_filing(table, today), change=True)


def _pack(table: _Table, today: int) -> Pack:
    """`claim`: what a claim under it uses up; left out where nothing is claimed."""
    _only(table, _PACK_KEYS)
    terms = None
    if "claim" in table:
        claim = table["claim"]
        _only(claim, _CLAIM_KEYS)
        terms = ClaimTerms(
            claim["scheme"],
            tuple(sorted(claim.get("groups", []))),
            by_trade=claim.get("by_trade", False) is True,
            lower_grades=claim.get("lower_grades", False) is True,
            slots=claim.get("slots", 0),
        )
    last_day = _day(table["last_day"]) if "last_day" in table else 0
    digest = hex_bytes(table["digest"], 32)
    return Pack(table["pack"], str(table["version"]), digest, _day(table["first_day"]), last_day, terms)


def _filing_status(table: _Table, today: int) -> FilingStanding:
    _only(table, {"filing", "status", "reason", "effective_day"})
    status = FilingStatus[table["status"].upper()]
    return FilingStanding(table["filing"], status, _reason(table), _effective(table, today))


def _key_status(table: _Table, today: int) -> KeyStanding:
    _only(table, {"filing", "public", "status", "void_from", "day"})
    status = KeyStatus[table["status"].upper()]
    day = _day(table["day"]) if "day" in table else today
    return KeyStanding(table["filing"], hex_bytes(table["public"], 32), status, day, table.get("void_from"))


def _late_permit(table: _Table, today: int) -> LatePermit:
    """`permitted`: the hashes that the issuer handed in, in its order."""
    _only(table, {"filing", "reason", "first_day", "last_day", "permitted"})
    hashes = [hex_bytes(item, 32) for item in table["permitted"]]
    if not hashes:
        raise Malformed(
            Text("late-permit：permitted 至少列出一个摘要", "late-permit: permitted lists at least one hash")
        )
    days = _day(table["first_day"]), _day(table["last_day"])
    return LatePermit(table["filing"], _reason(table), *days, permit_root(hashes), len(hashes))


def _authority_change(table: _Table, today: int) -> AuthorityChange:
    _only(table, {"keys", "threshold"})
    return AuthorityChange(tuple(sorted(hex_bytes(key, 32) for key in table["keys"])), table["threshold"], today)


def _log_key(table: _Table, today: int) -> LogKey:
    _only(table, {"ed25519", "ml_dsa_44", "successor"})
    if "successor" in table:
        return LogKey(today, successor=table["successor"])
    return LogKey(today, hex_bytes(table["ed25519"], 32), hex_bytes(table["ml_dsa_44"], 1312))


def _ruling(kind: Kind) -> Callable[[_Table, int], Ruling]:
    def read(table: _Table, today: int) -> Ruling:
        _only(table, {"cert_keys", "range", "reason", "effective_day"})
        return Ruling(kind, _whom(table), _reason(table), _effective(table, today))

    return read


def _whom(table: _Table) -> Whom:
    if "range" in table:
        _only(table["range"], {"filing", "first", "last"})
        return Range(table["range"]["filing"], table["range"]["first"], table["range"]["last"])
    return Listed(tuple(sorted(hex_bytes(key, 32) for key in table["cert_keys"])))


READERS: Final[Mapping[str, Callable[[_Table, int], AuthorityBody]]] = {
    "filing": _filing,
    "filing-change": _filing_change,
    "filing-status": _filing_status,
    "key-status": _key_status,
    "late-permit": _late_permit,
    "pack": _pack,
    "authority-change": _authority_change,
    "log-key": _log_key,
    "suspend": _ruling(Kind.SUSPEND),
    "restore": _ruling(Kind.RESTORE),
    "revoke": _ruling(Kind.REVOKE),
}


def _reason(table: _Table) -> Reason:
    return Reason[str(table["reason"]).upper()]


def _effective(table: _Table, today: int) -> int:
    return _day(table["effective_day"]) if "effective_day" in table else today


def _filed_key(key: object, table: _Table) -> FiledKey:
    if isinstance(key, str):
        return FiledKey(hex_bytes(key, 32), _day(table["first_day"]))
    if isinstance(key, dict):
        _only(key, _KEY_KEYS)
        last = _day(key["last_day"]) if "last_day" in key else 0
        return FiledKey(hex_bytes(key["public"], 32), _day(key["first_day"]), last)
    raise Malformed(
        Text(
            "filing：公钥应为十六进制，或含 public 和 first_day 的表",
            "filing: a key is hex, or a table with public and first_day",
        )
    )


def _only(table: _Table, known: frozenset[str] | set[str]) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        nearest = get_close_matches(unknown[0], known, 1, 0.0)
        raise Malformed(
            Text(
                f"未知的键 {unknown[0]!r}，最接近的是 {nearest[0]!r}",
                f"unknown key {unknown[0]!r}; the nearest is {nearest[0]!r}",
            )
        )


def _day(value: object) -> int:
    return parse_day(str(value))
