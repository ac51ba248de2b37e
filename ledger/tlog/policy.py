"""Which witnesses have to stand behind a checkpoint (C2SP tlog-policy): logs, witnesses, groups and one quorum.

A policy is a text of lines, items parted by spaces or tabs; empty lines and lines that begin with `#` say nothing:

    log <vkey> [url]
    witness <name> <vkey> [url]
    group <name> all|any|<k> <member>...      members: witnesses and groups of earlier lines, each in one group only
    quorum <name>|none                        exactly once

A witness with an Ed25519 and an ML-DSA-44 key is two `witness` lines, joined by a group (`any`: one kind is enough).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.errors import Malformed
from ledger.tlog.cosignature import ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE
from ledger.tlog.note import ED25519, VerifierKey, parse_vkey
from ledger.tlog.spelling import parse_decimal

NONE: Final = "none"  # the quorum that needs no cosignature
MAX_LINES_OF_A_KIND: Final = 64  # the specification asks for at least 32
POLICY_CEILING: Final = 512 * 1024  # characters; 128 ML-DSA-44 keys with long addresses fit
LOG_TYPES: Final = frozenset({ED25519, ML_DSA_44_COSIGNATURE})
WITNESS_TYPES: Final = frozenset({ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE})
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BLANKS: Final = re.compile(r"[ \t]+")
_ITEM: Final = re.compile(r"[^ \t\n\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness key under the policy's own name for it. `url`: its submission prefix, or empty."""

    name: str
    key: VerifierKey
    url: str = ""

    def __post_init__(self) -> None:
        _check_item(self.name, "a witness name")
        _check_url(self.url)
        if self.key.type not in WITNESS_TYPES:
            raise Malformed("policy: a witness key is of a cosignature type")


@dataclass(frozen=True, slots=True)
class Group:
    """Has witnessed what at least `k` of its members have witnessed."""

    name: str
    k: int  # 1 <= k <= number of members
    members: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_item(self.name, "a group name")
        if not 1 <= self.k <= len(self.members):
            raise Malformed("policy: a group needs 1 to all of its members")


@dataclass(frozen=True, slots=True)
class Policy:
    """The known logs and witnesses, and which of them are enough. Groups come after what they are made of."""

    logs: tuple[tuple[VerifierKey, str], ...]  # key and address, which may be empty
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str  # a witness, a group, or `none`

    def __post_init__(self) -> None:
        if max(len(self.logs), len(self.witnesses), len(self.groups)) > MAX_LINES_OF_A_KIND:
            raise Malformed("policy: at most 64 logs, 64 witnesses and 64 groups")
        for key, url in self.logs:
            _check_url(url)
            if key.type not in LOG_TYPES:
                raise Malformed("policy: a log key is of a type that logs sign with")
        _check_distinct([key.public for key, _ in self.logs], "a log key")
        _check_distinct([witness.key.public for witness in self.witnesses], "a witness key")
        named = [witness.name for witness in self.witnesses] + [group.name for group in self.groups]
        _check_distinct([NONE, *named], "a name")
        _check_distinct([member for group in self.groups for member in group.members], "a group member")
        known = {witness.name for witness in self.witnesses}
        for group in self.groups:
            if not known.issuperset(group.members):
                raise Malformed("policy: a group member is not defined before the group")
            known.add(group.name)
        if self.quorum not in known | {NONE}:
            raise Malformed("policy: the quorum is not defined before its line")

    @property
    def has_quorum(self) -> bool:
        """Whether any cosignature is asked for at all."""
        return self.quorum != NONE

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """Every witness key, in the order of the lines."""
        return tuple(witness.key for witness in self.witnesses)

    def quorum_time(self, times: Mapping[VerifierKey, int]) -> int | None:
        """The newest moment at which the quorum stood behind what was cosigned at `times` (POSIX seconds).

        That is the newest T such that the witnesses whose cosignature is of T or later satisfy the quorum: for a group
        of k, the k-th newest of its members' moments. None when the quorum is not satisfied, or is `none`.
        """
        moments: dict[str, int] = {w.name: times[w.key] for w in self.witnesses if w.key in times}
        for group in self.groups:
            newest = sorted((moments[member] for member in group.members if member in moments), reverse=True)
            if len(newest) >= group.k:
                moments[group.name] = newest[group.k - 1]
        return moments.get(self.quorum)


def format_policy(policy: Policy) -> str:
    """The text of a policy, without comments: logs, witnesses, groups, quorum."""
    lines = [["log", key.format_vkey(), url] for key, url in policy.logs]
    lines += [["witness", witness.name, witness.key.format_vkey(), witness.url] for witness in policy.witnesses]
    lines += [["group", group.name, str(group.k), *group.members] for group in policy.groups]
    lines.append(["quorum", policy.quorum])
    return "".join(" ".join(item for item in line if item) + "\n" for line in lines)


def parse_policy(text: str) -> Policy:
    """Read a policy. Malformed at the first line that the specification does not allow.

    A last line without its newline is refused too: a policy cut short must not be a laxer policy.
    """
    if len(text) > POLICY_CEILING:
        raise Malformed("policy: the text is too long")
    if _CONTROL.search(text):
        raise Malformed("policy: a control character")
    if text and not text.endswith("\n"):
        raise Malformed("policy: the last line does not end in a newline")
    logs: list[tuple[VerifierKey, str]] = []
    witnesses: list[Witness] = []
    groups: list[Group] = []
    quorums: list[str] = []
    known: set[str] = set()
    for line in text.split("\n"):
        items = [item for item in _BLANKS.split(line) if item]
        match items:
            case []:
                continue
            case [first, *_] if first.startswith("#"):
                continue
            case ["log", vkey, *url] if len(url) <= 1:
                logs.append((parse_vkey(vkey), "".join(url)))
            case ["witness", name, vkey, *url] if len(url) <= 1:
                witnesses.append(Witness(name, parse_vkey(vkey), "".join(url)))
                known.add(name)
            case ["group", name, threshold, *members]:
                if not known.issuperset(members):
                    raise Malformed("policy: a group member is not defined before the group")
                groups.append(Group(name, _parse_threshold(threshold, len(members)), tuple(members)))
                known.add(name)
            case ["quorum", name]:
                if name not in known | {NONE}:
                    raise Malformed("policy: the quorum is not defined before its line")
                quorums.append(name)
            case _:
                raise Malformed("policy: a line that is no log, witness, group or quorum")
    if len(quorums) != 1:
        raise Malformed("policy: exactly one quorum line; of what `witness init` prints leave its own out")
    return Policy(tuple(logs), tuple(witnesses), tuple(groups), quorums[0])


def _parse_threshold(text: str, members: int) -> int:
    if text == "any":
        return 1
    return members if text == "all" else parse_decimal(text, "policy: the threshold of a group")


def _check_item(text: str, what: str) -> None:
    if _ITEM.fullmatch(text) is None:
        raise Malformed(f"policy: {what} is empty or holds a space or a control character")


def _check_url(url: str) -> None:
    if url:
        _check_item(url, "an address")


def _check_distinct(values: Sequence[object], what: str) -> None:
    if len(set(values)) != len(values):
        raise Malformed(f"policy: {what} twice")


NO_WITNESSES: Final = Policy((), (), (), NONE)
