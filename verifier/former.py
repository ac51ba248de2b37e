"""Under which keys a checkpoint is opened after a rotation: the log's present pair, or one that signed before. Pure.

    open_known(note, origin, keys, former)    a checkpoint that is kept or carried, and whether a former pair signed it
    keys_of(note, origin, keys, former)       the pair whose lines it bears, and until when that pair counts

A former pair is believed for what was signed until its last moment, and only where somebody kept or carries it: in a
holder's file, a receipt, a replica's store, an auditor's record. What is fetched is opened under the present pair
alone. Evidence chooses among pairs that were pinned beforehand and adds none; times in a note are its signers' word, so
a pair that was stolen is not listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ledger.errors import Malformed, Unverified
from ledger.text import Text
from ledger.tlog.checkpoint import OpenedCheckpoint, open_checkpoint
from ledger.tlog.cosignature import ML_DSA_44_COSIGNATURE
from ledger.tlog.note import ED25519, VerifierKey, parse_note
from ledger.tlog.policy import Policy

Keys: TypeAlias = Sequence[VerifierKey]


class UnknownKeys(Unverified):
    """A checkpoint of the pinned log under none of the keys that are believed for its time: it proves nothing, and
    shows nothing against whoever carries it."""


@dataclass(frozen=True, slots=True)
class FormerKeys:
    """A pair of the log's keys that signs no more."""

    keys: tuple[VerifierKey, ...]
    until_ms: int  # ms since 1970: what they signed later does not count

    def __post_init__(self) -> None:
        check_pair(self.keys)
        if self.until_ms < 0:
            raise Malformed(Text("former_keys：最后时刻应在 1970 年以后", "former keys: a last moment after 1970"))


class Pins(Protocol):
    """What of a `Trust` following a log needs."""

    @property
    def origin(self) -> str: ...
    @property
    def keys(self) -> tuple[VerifierKey, ...]: ...
    @property
    def former(self) -> tuple[FormerKeys, ...]: ...
    @property
    def genesis(self) -> bytes: ...
    @property
    def policy(self) -> Policy: ...
    @property
    def max_skew_ms(self) -> int: ...


def check_pair(keys: Keys) -> None:
    """Raises Malformed unless these are the two keys of one log."""
    if sorted(key.type for key in keys) != [ED25519, ML_DSA_44_COSIGNATURE] or len({key.name for key in keys}) != 1:
        raise Malformed(
            Text("日志公钥：Ed25519 与 ML-DSA-44 各一", "trust: the log has exactly one Ed25519 and one ML-DSA-44 key")
        )


def check_former(origin: str, keys: Keys, former: Sequence[FormerKeys]) -> None:
    """Raises Malformed unless all are pairs of this log, and no key is in two of them."""
    every = [*keys, *(key for pair in former for key in pair.keys)]
    if any(key.name != origin for key in every):
        raise Malformed(Text("日志公钥：不是该日志的", "trust: a log key of another origin"))
    if len({key.public for key in every}) != len(every):
        raise Malformed(
            Text(
                "日志以前的公钥不得是现用的，也不得重复",
                "trust: a former log key is neither a present one nor listed twice",
            )
        )


def keys_of(note: bytes, origin: str, keys: Keys, former: Sequence[FormerKeys]) -> tuple[Keys, int | None]:
    """The pair of which `note` bears a line, the present one first, and the last moment (ms) at which it counts (None:
    no end). No signature is checked. Raises UnknownKeys; Unverified for another origin, Malformed for no note."""
    parsed = parse_note(note)
    if parsed.text.partition("\n")[0] != origin:
        raise Unverified(Text("是另一日志的检查点", "a checkpoint of another log"))
    lines = {(line.name, line.key_id) for line in parsed.signatures}
    pairs: list[tuple[Keys, int | None]] = [(keys, None), *((pair.keys, pair.until_ms) for pair in former)]
    for pair, until_ms in pairs:
        if any((key.name, key.key_id) in lines for key in pair):
            return pair, until_ms
    raise UnknownKeys("the log signed it with keys that are not known here")


def check_until(time_s: int, until_ms: int | None) -> None:
    """Raises UnknownKeys for what was signed at `time_s` (POSIX seconds) by keys that counted until `until_ms`."""
    if until_ms is not None and time_s * 1000 > until_ms:
        raise UnknownKeys("the log signed it with keys that did not count any more")


def open_known(
    note: bytes, origin: str, keys: Keys, former: Sequence[FormerKeys] = ()
) -> tuple[OpenedCheckpoint, bool]:
    """The checkpoint, signed by both keys of its pair, and whether that is a former one. Raises as `keys_of`, and
    Unverified where a signature does not hold."""
    pair, until_ms = keys_of(note, origin, keys, former)
    opened = open_checkpoint(note, origin, pair)
    check_until(opened.time_s, until_ms)
    return opened, until_ms is not None
