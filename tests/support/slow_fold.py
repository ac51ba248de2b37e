"""A slow twin of the fold, written from design 5 and 7: plain lists, everything recomputed, no code of ledger/records.

It knows one log with certificates only: filings are given at the start and never change. State is the CBOR array
itself, so that the product's encoding is checked on the way.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import cbor2

SHANGHAI = dt.timezone(dt.timedelta(hours=8))
SUMMARY, PREVIOUS, TRACK = 18, 15, 17  # places in the state array


def value_of(array: list[Any]) -> bytes:
    return sha256(b"certledger/cert-state/v1\n" + cbor2.dumps(array)).digest()


def day_of(time: int) -> int:
    moment = dt.datetime.fromtimestamp(time // 1000, dt.UTC).astimezone(SHANGHAI)
    return (moment.date() - dt.date(1970, 1, 1)).days


@dataclass
class SlowFold:
    """`filings`: number -> plain terms (first, last, rows, keys, cap, leaf); certificates as plain dictionaries."""

    filings: dict[str, dict[str, Any]]
    issued: list[dict[str, Any]] = field(default_factory=list)  # accepted certificates, in order
    states: dict[bytes, list[Any]] = field(default_factory=dict)

    def refusal(self, issue: dict[str, Any], time: int) -> str:
        """The code of the first rule that this certificate breaks, or nothing."""
        filing = self.filings.get(issue["filing"])
        if filing is None:
            return "FILING_UNKNOWN"
        today = day_of(time)
        key = filing["keys"].get(issue["key"])
        if key is None:
            return "KEY_UNKNOWN"
        if today < key[0] or (key[1] != 0 and today > key[1]):
            return "KEY_NOT_LIVE"
        if issue["day"] < filing["first"] or issue["day"] > filing["last"]:
            return "SCOPE_WINDOW"
        wanted = (issue["occupation"], issue["grade"], issue["audience"])
        if not any(
            wanted[0] == row["occupation"]
            and row["trade"] in ("", issue["trade"])
            and wanted[1] in row["grades"]
            and wanted[2] == row["audience"]
            and row["first"] <= issue["day"]
            for row in filing["rows"]
        ):
            return "SCOPE_ROW"
        if issue["assessed"] > issue["day"]:
            return "ASSESSED_AFTER_ISSUE"
        if issue["day"] > today:
            return "ISSUED_IN_FUTURE"
        if issue["day"] < today - 60:
            return "ISSUED_TOO_LATE"
        if issue["cert_key"] in self.states:
            return "CERT_KEY_TAKEN"
        track = [other for other in self.issued if other["track"] == issue["track"]]
        if len(track) == 64:
            return "TRACK_FULL"
        for other in track:
            if other["unlinked"] != issue["unlinked"]:
                return "TRACK_UNKNOWN"
            if other["grade"] == issue["grade"] and other["trade"] == issue["trade"]:
                return "DUPLICATE_GRADE"
        signed = [other for other in self.issued if (other["filing"], other["key"]) == (issue["filing"], issue["key"])]
        if len(signed) >= filing["cap"]:
            return "CAP_REACHED"
        return ""

    def accept(self, issue: dict[str, Any], time: int, index: int) -> None:
        """Record a certificate that `refusal` has nothing against, then work out its whole track again."""
        leaf, filing = issue["leaf"], self.filings[issue["filing"]]
        issue = {**issue, "index": index}
        self.issued.append(issue)
        self.states[issue["cert_key"]] = [
            1, 1, 12, issue["grade"], issue["filing"], issue["key"], filing["leaf"], index, leaf, time,
            leaf, index, leaf, issue["day"], 1, b"", b"", issue["track"], None,
        ]  # fmt: skip
        track = [other for other in self.issued if other["track"] == issue["track"]]
        summary: list[Any] = [[], []]
        for other in track:
            if not other["unlinked"] and (not summary[0] or other["grade"] > summary[0][0]):
                summary[0] = [other["grade"], other["trade"], other["cert_key"], other["index"]]
        for other in track:
            old = self.states[other["cert_key"]]
            if old[SUMMARY] is not None and old[SUMMARY] != summary:
                before = value_of(old)
                self.states[other["cert_key"]] = [*old[:PREVIOUS], before, old[16], old[TRACK], summary]
            elif old[SUMMARY] is None:
                self.states[other["cert_key"]] = [*old[:SUMMARY], summary]

    def used(self, filing: str, key: bytes) -> int:
        return sum(1 for other in self.issued if (other["filing"], other["key"]) == (filing, key))
