"""A slow twin of the whole log state, written from docs/states.md and docs/formats.md: no code of the product.

It reads entries itself (cbor2, PyNaCl, hashlib), keeps plain lists and dictionaries, and looks everything up again by
walking over all accepted statements: uses of a key, corrections, who decided, permits. States are the CBOR arrays, so
that the product's encoding is checked on the way.

    codes = life.batch([entry, …], time)     one code per entry, "" for what is taken in; then the seal, if any was
    life.entries, life.map(), life.root()    the log, the state map as key -> value, its tree's root
"""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import cbor2
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from tests.support import slow_tree

SHANGHAI = dt.timezone(dt.timedelta(hours=8))
IN_FORCE, SUSPENDED, REVOKED, VOID, REPLACED, ENDED = range(1, 7)
GENESIS, AUTHORITY_CHANGE, LOG_KEY, FILING, FILING_CHANGE, FILING_STATUS, LATE_PERMIT, KEY_STATUS = range(1, 9)
CATALOGUE, LADDER, PACK, ISSUE, APPOINT, END, CORRECT, SUSPEND, RESTORE, REVOKE, REISSUE = range(9, 20)
CLAIM, RELEASE, CLAW_BACK, PAY = range(20, 24)
RESERVED, PAID, RELEASED, CLAWED_BACK, FORFEITED = range(1, 6)
BRINGS = (ISSUE, APPOINT, REISSUE)
PREVIOUS = 15  # place in a certificate's array
PERMIT = 16  # payload key

# What a statement that names a certificate makes of it, by its status: the table of docs/states.md.
NAMED = {
    SUSPEND: [SUSPENDED, "ALREADY_SUSPENDED", "ALREADY_REVOKED", "FINAL", "FINAL", "FINAL"],
    RESTORE: ["NOTHING_TO_RESTORE", IN_FORCE, IN_FORCE, "FINAL", "FINAL", "FINAL"],
    REVOKE: [REVOKED, REVOKED, "ALREADY_REVOKED", "FINAL", "FINAL", REVOKED],
    CORRECT: [IN_FORCE, SUSPENDED, "ALREADY_REVOKED", "FINAL", "FINAL", "FINAL"],
    REISSUE: [REPLACED, "NOT_IN_FORCE", "ALREADY_REVOKED", "FINAL", "FINAL", "FINAL"],
    END: [ENDED, ENDED, "ALREADY_REVOKED", "FINAL", "FINAL", "FINAL"],
}
FAMILY = {SUSPENDED: "suspended", REVOKED: "revoked", VOID: "revoked", REPLACED: "revoked", ENDED: "ended"}


class No(Exception):
    """A refusal; its text is the code."""


def kid(public: bytes) -> bytes:
    return sha256(public).digest()[:8]


def day_of(time: int) -> int:
    moment = dt.datetime.fromtimestamp(time // 1000, dt.UTC).astimezone(SHANGHAI)
    return (moment.date() - dt.date(1970, 1, 1)).days


def cert_value(array: list[Any]) -> bytes:
    return sha256(b"certledger/cert-state/v1\n" + cbor2.dumps(array)).digest()


def read(entry: bytes) -> dict[str, Any]:
    """One statement as a plain dictionary: what its header and its payload say."""
    tag = cbor2.loads(entry)
    protected, _, payload, last = tag.value
    header = cbor2.loads(protected)
    single = tag.tag == 18
    signed = []  # (kid, signature, signed bytes)
    if single:
        signed.append((header[4], last, cbor2.dumps(["Signature1", protected, b"", payload])))
    for own, _, signature in () if single else last:
        signed.append(
            (cbor2.loads(own)[4], signature, cbor2.dumps(["Signature", protected, own, b"", payload])),
        )
    subject, fields = header[15][2], cbor2.loads(payload)
    cert = b""
    if fields[1] in (*BRINGS, END, CORRECT) or (fields[1] in (SUSPEND, RESTORE, REVOKE) and not {2, 3} & set(fields)):
        cert = base64.urlsafe_b64decode(subject + "=")
    return {
        "kind": fields[1],
        "single": single,
        "issuer": header[15][1],
        "fields": fields,
        "cert": cert,
        "about": base64.urlsafe_b64decode(subject + "=") if fields[1] >= CLAIM else b"",
        "signed": signed,
        "kid": signed[0][0],
        "leaf": slow_tree.leaf(entry),
        "identity": sha256(entry if single else protected + payload).digest(),
    }


def holds(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(public).verify(message, signature)
    except BadSignatureError:
        return False
    return True


@dataclass
class SlowLife:
    """One log. `said` are the accepted statements in order, each with its `index`, `time` and `day`."""

    entries: list[bytes] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    certs: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    arrays: dict[bytes, list[Any]] = field(default_factory=dict)  # of certificates, by cert key
    filings: dict[str, dict[str, Any]] = field(default_factory=dict)
    authority: dict[str, Any] | None = None
    seals: list[int] = field(default_factory=list)
    sealed: tuple[dict[bytes, bytes], bytes] = field(default_factory=lambda: ({}, b""))  # state map, its root; newest
    chain: bytes = bytes(32)

    # ---- batches ------------------------------------------------------------------------------------------------

    def batch(self, entries: list[bytes], time: int) -> list[str]:
        codes, taken, closed = [], 0, False
        for entry in entries:
            said = {**read(entry), "index": len(self.entries), "time": time, "day": day_of(time)}
            names = [name for name, _, _ in said["signed"]]
            try:
                if names != sorted(set(names)):
                    raise No("MALFORMED")
                if any(other["identity"] == said["identity"] for other in self.said):
                    raise No("LOGGED")
                self._signatures(said)
                alone = self._alone(said)
                if closed or (alone and taken):
                    raise No("STANDS_ALONE")
                self._take(said)
            except No as refused:
                codes.append(str(refused))
                continue
            closed, taken = alone, taken + 1
            self._append(entry)
            codes.append("")
        if taken:
            leaves = self.map()
            self.sealed = leaves, slow_tree.map_root(leaves)
            last = self.seals[-1] if self.seals else -1
            covered = len(self.entries)
            seal = ["certledger/seal/v1", covered, time, self.sealed[1], len(leaves), self.chain, last]
            self._append(cbor2.dumps(seal))
            self.seals.append(covered)
        return codes

    def _append(self, entry: bytes) -> None:
        self.entries.append(entry)
        self.chain = sha256(b"certledger/chain/v1\n" + self.chain + slow_tree.leaf(entry)).digest()

    def root(self) -> bytes:
        return slow_tree.root([slow_tree.leaf(entry) for entry in self.entries])

    def map(self) -> dict[bytes, bytes]:
        """The state map, made anew from everything."""
        found = {}
        for cert, array in self.arrays.items():
            found[sha256(b"certledger/map/cert/v1\n" + cert).digest()] = cert_value(array)
        for number in self.filings:
            raw = cbor2.dumps(self.filing_array(number))
            place = sha256(b"certledger/map/filing/v1\n" + number.encode()).digest()
            found[place] = sha256(b"certledger/filing-state/v1\n" + raw).digest()
        for said in self.said:
            if said["kind"] == CLAIM:
                raw = cbor2.dumps(self.claim_array(said))
                place = sha256(b"certledger/map/claim/v1\n" + said["leaf"]).digest()
                found[place] = sha256(b"certledger/claim-state/v1\n" + raw).digest()
                for nullifier in said["fields"][4]:  # a later claim overwrites an earlier one
                    place = sha256(b"certledger/map/nullifier/v1\n" + nullifier).digest()
                    raw = cbor2.dumps([1, said["leaf"]])
                    found[place] = sha256(b"certledger/nullifier-state/v1\n" + raw).digest()
        array = self.authority_array()
        if array[6] > 1:
            place = sha256(b"certledger/map/authority/v1\n" + array[1].encode()).digest()
            found[place] = sha256(b"certledger/authority-state/v1\n" + cbor2.dumps(array)).digest()
        return found

    def verdict(self, cert: bytes, day: int) -> str:
        """How a scan of this certificate ends on that day, while the register is fresh."""
        one = self.certs[cert]
        if one["status"] != IN_FORCE:
            return FAMILY[one["status"]]
        if self._over(one, day):
            return "ended"
        if one["commitment"] != one["leaf"]:
            return "valid_corrected"
        highest = self.arrays[cert][18][0]
        return "valid_upgraded" if highest and one["fields"][4] < highest[0] else "valid"

    # ---- who signed ---------------------------------------------------------------------------------------------

    def _signatures(self, said: dict[str, Any]) -> None:
        if said["single"]:
            public = self._listed(said)
            if not holds(public, said["signed"][0][2], said["signed"][0][1]):
                raise No("SIGNATURE")
            return
        fields = said["fields"]
        people = self.authority or {"keys": fields[3], "threshold": fields[4]}
        joining = [key for key in fields[2] if key not in people["keys"]] if said["kind"] == AUTHORITY_CHANGE else []
        good = []
        for name, signature, message in said["signed"]:
            found = [key for key in (*people["keys"], *joining) if kid(key) == name]
            if not found or not holds(found[0], message, signature):
                raise No("SIGNATURE")
            good.append(found[0])
        if len({key for key in good if key in people["keys"]}) < people["threshold"] or not set(joining) <= set(good):
            raise No("SIGNATURE")

    def _listed(self, said: dict[str, Any]) -> bytes:
        filing = self._filing(said["issuer"])
        for _, public, _, _ in filing["terms"][8]:
            if kid(public) == said["kid"]:
                return bytes(public)
        raise No("KEY_UNKNOWN")

    def _issuer(self, said: dict[str, Any]) -> dict[str, Any]:
        """The filing whose live record key signed this."""
        filing, public = self._filing(said["issuer"]), self._listed(said)
        for _, listed, first, last in filing["terms"][8]:
            if listed == public and (
                filing["keys"][public][0] != 1 or said["day"] < first or (last != 0 and said["day"] > last)
            ):
                raise No("KEY_NOT_LIVE")
        return filing

    def _by_authority(self, said: dict[str, Any]) -> dict[str, Any]:
        if self.authority is None:
            raise No("GENESIS_PLACE")
        if said["issuer"] != self.authority["origin"]:
            raise No("ORIGIN")
        return self.authority

    def _filing(self, number: str) -> dict[str, Any]:
        if number not in self.filings:
            raise No("FILING_UNKNOWN")
        return self.filings[number]

    def _alone(self, said: dict[str, Any]) -> bool:
        ranged = said["kind"] in (SUSPEND, RESTORE, REVOKE) and 3 in said["fields"]
        return ranged or said["kind"] in (AUTHORITY_CHANGE, LOG_KEY, FILING_CHANGE, FILING_STATUS, KEY_STATUS)

    # ---- one statement ------------------------------------------------------------------------------------------

    def _take(self, said: dict[str, Any]) -> None:
        if self.authority is not None and self.authority["successor"]:
            raise No("LOG_CLOSED")
        before = {cert: one["track"] for cert, one in self.certs.items()}
        touched = {
            GENESIS: self._genesis,
            AUTHORITY_CHANGE: self._authority_change,
            LOG_KEY: self._log_key,
            FILING: self._file,
            FILING_CHANGE: self._filing_change,
            FILING_STATUS: self._filing_status,
            LATE_PERMIT: self._late_permit,
            KEY_STATUS: self._key_status,
            CATALOGUE: self._publish,
            LADDER: self._publish,
            ISSUE: self._issue,
            APPOINT: self._appoint,
            REISSUE: self._reissue,
            END: self._end,
            CORRECT: self._correct,
            SUSPEND: self._ruling,
            RESTORE: self._ruling,
            REVOKE: self._ruling,
            PACK: self._pack,
            CLAIM: self._claim,
            PAY: self._claim_act,
            RELEASE: self._claim_act,
            CLAW_BACK: self._claim_act,
        }[said["kind"]](said)
        self.said.append(said)
        self._settle(touched or [], before, said["day"])

    def _settle(self, touched: list[bytes], before: dict[bytes, bytes], day: int) -> None:
        """The summary of every track that a touched certificate stands or stood in; then every array anew."""
        tracks = {self.certs[cert]["track"] for cert in touched} | {before.get(cert) for cert in touched}
        for track in tracks:
            summary = self._summary(track, day)
            for one in self.certs.values():
                if one["track"] == track:
                    one["summary"] = summary
        for cert, one in self.certs.items():
            old = self.arrays.get(cert)
            new = self._array(one, b"" if old is None else old[PREVIOUS])
            if old is not None and new != old:
                new[PREVIOUS] = cert_value(old)
            self.arrays[cert] = new

    def _summary(self, track: bytes | None, day: int) -> list[Any]:
        """The highest grade in force, among equals the one issued first; the posts that are not over, in that order."""
        highest = None
        posts: list[dict[str, Any]] = []
        for one in sorted(self.certs.values(), key=lambda one: one["index"]):
            if one["track"] != track or one["status"] != IN_FORCE or 14 in one["fields"]:
                continue
            if one["kind"] != APPOINT:
                if highest is None or one["fields"][4] > highest["fields"][4]:
                    highest = one
            elif not self._over(one, day):
                posts.append(one)
        found: list[Any] = [[], []]
        if highest is not None:
            fields = highest["fields"]
            found[0] = [fields[4], fields.get(3, ""), highest["cert"], highest["event_index"]]
        for grade in (8, 7):
            for post in (one for one in posts if one["fields"][4] == grade):
                fields = post["fields"]
                found[1] += [grade, post["cert"], post["event_index"], fields[7], fields.get(8, 0)]
        del found[1][16 * 5 :]
        return found

    def _over(self, one: dict[str, Any], day: int) -> bool:
        return one["kind"] == APPOINT and 8 in one["fields"] and one["fields"][8] < day

    # ---- arrays -------------------------------------------------------------------------------------------------

    def _array(self, one: dict[str, Any], previous: bytes) -> list[Any]:
        return [
            1, one["status"], one["kind"], one["fields"][4], one["issuer"], one["record"], one["filing_leaf"],
            one["index"], one["leaf"], one["time"], one["commitment"], one["event_index"], one["event_leaf"],
            one["effective"], one["count"], previous, one["successor"], one["track"], one["summary"],
        ]  # fmt: skip

    def filing_array(self, number: str) -> list[Any]:
        filing = self.filings[number]
        terms = filing["terms"]
        record, request = [], []
        for algorithm, public, first, last in terms[8]:
            status, void_from = filing["keys"][public]
            used = len([s for s in self.said if self._uses(s, number) and s["kid"] == kid(public)])
            record.append([algorithm, public, first, last, status, used, terms[10], void_from])
        for algorithm, public, first, last in terms[9]:
            request.append([algorithm, public, first, last, filing["keys"][public][0]])
        return [
            1, filing["status"], number, filing["terms_index"], filing["terms_leaf"], filing["event_index"],
            filing["event_leaf"], filing["count"], filing["status_day"], filing["status_leaf"], [terms[5], terms[6]],
            record, request,
        ]  # fmt: skip

    def authority_array(self) -> list[Any]:
        one = self.authority
        assert one is not None
        return [
            1, one["origin"], one["keys"], one["threshold"], one["event_index"], one["event_leaf"], one["count"],
            one["log_keys"], one["successor"],
        ]  # fmt: skip

    def _uses(self, said: dict[str, Any], number: str) -> bool:
        return said["single"] and said["issuer"] == number and said["kind"] in (*BRINGS, CORRECT)

    # ---- the authority's statements -----------------------------------------------------------------------------

    def _genesis(self, said: dict[str, Any]) -> None:
        if self.authority is not None or said["index"] != 0:
            raise No("GENESIS_PLACE")
        fields = said["fields"]
        self.authority = {
            "origin": fields[2], "keys": fields[3], "threshold": fields[4], "event_index": 0,
            "event_leaf": said["leaf"], "count": 1, "log_keys": [], "successor": "",
        }  # fmt: skip

    def _authority_change(self, said: dict[str, Any]) -> None:
        authority, fields = self._by_authority(said), said["fields"]
        if fields[2] == authority["keys"] and fields[3] == authority["threshold"]:
            raise No("NOTHING_CHANGES")
        authority["keys"], authority["threshold"] = fields[2], fields[3]
        self._event(authority, said)

    def _log_key(self, said: dict[str, Any]) -> None:
        authority, fields = self._by_authority(said), said["fields"]
        if 5 in fields:
            if fields[5] == authority["origin"]:
                raise No("NOTHING_CHANGES")
            authority["successor"] = fields[5]
        elif authority["log_keys"] == [fields[2], fields[3]]:
            raise No("NOTHING_CHANGES")
        else:
            authority["log_keys"] = [fields[2], fields[3]]
        self._event(authority, said)

    def _event(self, what: dict[str, Any], said: dict[str, Any]) -> None:
        """One statement is one event, whatever all it does."""
        what["count"] += said["leaf"] not in (what["event_leaf"], what.get("counted"))
        what["event_index"], what["event_leaf"] = said["index"], said["leaf"]

    def _file(self, said: dict[str, Any]) -> None:
        self._by_authority(said)
        fields = said["fields"]
        if fields[2] in self.filings:
            raise No("FILING_EXISTS")
        self.filings[fields[2]] = {
            "status": 1, "terms": fields, "terms_index": said["index"], "terms_leaf": said["leaf"],
            "event_index": said["index"], "event_leaf": said["leaf"], "count": 1, "status_day": fields[5],
            "status_leaf": said["leaf"], "keys": {key[1]: [1, -1] for key in fields[8] + fields[9]},
        }  # fmt: skip

    def _filing_change(self, said: dict[str, Any]) -> None:
        self._by_authority(said)
        fields = said["fields"]
        filing = self._filing(fields[2])
        if filing["status"] == 3:
            raise No("FILING_NOT_ACTIVE")
        for keys in (8, 9):
            if not {key[1] for key in filing["terms"][keys]} <= {key[1] for key in fields[keys]}:
                raise No("KEYS_DROPPED")
        filing["terms"], filing["terms_index"], filing["terms_leaf"] = fields, said["index"], said["leaf"]
        for key in fields[8] + fields[9]:
            filing["keys"].setdefault(key[1], [1, -1])
        self._event(filing, said)

    def _late_permit(self, said: dict[str, Any]) -> None:
        self._by_authority(said)
        self._filing(said["fields"][2])

    def _publish(self, said: dict[str, Any]) -> None:
        self._by_authority(said)
        for other in self.said:
            if other["kind"] == said["kind"] and other["fields"][2] == said["fields"][2]:
                raise No("VERSION_EXISTS")

    # ---- packs and claims ---------------------------------------------------------------------------------------

    def _pack(self, said: dict[str, Any]) -> None:
        if said["single"]:
            filing = self._issuer(said)
            if filing["terms"][4] != 1:
                raise No("NOT_EMPLOYER")
            if filing["status"] != 1:
                raise No("FILING_NOT_ACTIVE")
        else:
            self._by_authority(said)
        publisher = said["issuer"] if said["single"] else ""
        for other in self.said:
            if other["kind"] == PACK and (other["issuer"] if other["single"] else "") == publisher:
                ours, theirs = said["fields"], other["fields"]
                if ours[3] == theirs[3] or (ours[6], ours[2]) == (theirs[6], theirs[2]):
                    raise No("VERSION_EXISTS")
        for other in self.said:
            if other["kind"] == PACK and 7 in said["fields"] and 7 in other["fields"]:
                ours, theirs = said["fields"][7], other["fields"][7]
                if ours[0] == theirs[0] and ours[2] != theirs[2]:
                    raise No("SCHEME_COUNTS")

    def _payer(self, said: dict[str, Any]) -> dict[str, Any]:
        filing = self._issuer(said)
        if filing["terms"][4] != 4:
            raise No("NOT_PAYER")
        return filing

    def _claim(self, said: dict[str, Any]) -> None:
        filing, fields, today = self._payer(said), said["fields"], said["day"]
        if filing["status"] != 1:
            raise No("FILING_NOT_ACTIVE")
        if today < filing["terms"][5] or today > filing["terms"][6]:
            raise No("PAYER_WINDOW")
        packs = [
            one for one in self.said if one["kind"] == PACK and not one["single"] and one["fields"][3] == fields[2]
        ]
        if not packs or 7 not in packs[0]["fields"]:
            raise No("PACK_UNKNOWN")
        pack = packs[0]["fields"]
        scheme, groups, _, lower, slots = pack[7]
        if today < pack[4] or (5 in pack and today > pack[5] + 180):
            raise No("PACK_WINDOW")
        if scheme not in filing["terms"][13]:
            raise No("PAYER_SCHEME")
        if len(fields[4]) != len(groups) + (7 if lower else 1) + (1 if slots else 0):
            raise No("CLAIM_WIDTH")
        year = (dt.date(1970, 1, 1) + dt.timedelta(days=today)).year
        if fields[3] not in (year, year - 1):
            raise No("CLAIM_YEAR")
        if fields[6] < today or fields[6] > today + 90:
            raise No("CLAIM_DAY")
        for nullifier in fields[4]:
            if self._taken(nullifier, today):
                raise No("ALREADY_CLAIMED")

    def _taken(self, nullifier: bytes, today: int) -> bool:
        """By any claim that was ever made: those that no longer hold are asked too."""
        for said in self.said:
            if said["kind"] == CLAIM and nullifier in said["fields"][4]:
                status = self.claim_array(said)[1]
                if status in (PAID, FORFEITED) or (status == RESERVED and today <= said["fields"][6]):
                    return True
        return False

    def _claim_act(self, said: dict[str, Any]) -> None:
        filing, kind = self._payer(said), said["kind"]
        if filing["status"] == 3 or (kind == PAY and filing["status"] != 1):
            raise No("FILING_NOT_ACTIVE")
        if said["fields"][5] > said["day"]:
            raise No("EFFECTIVE_IN_FUTURE")
        found = [one for one in self.said if one["kind"] == CLAIM and one["leaf"] == said["about"]]
        if not found or found[0]["issuer"] != said["issuer"]:
            raise No("CLAIM_UNKNOWN")
        status = self.claim_array(found[0])[1]
        if kind == CLAW_BACK:
            if status != PAID:
                raise No("CLAIM_NOT_PAID")
            return
        if status != RESERVED:
            raise No("CLAIM_NOT_RESERVED")
        if said["day"] > found[0]["fields"][6]:
            raise No("CLAIM_EXPIRED")

    def claim_array(self, claim: dict[str, Any]) -> list[Any]:
        """A claim as what came after it has left it."""
        status, last, day = RESERVED, claim, claim["day"]
        for said in self.said:
            if said["kind"] in (PAY, RELEASE, CLAW_BACK) and said["about"] == claim["leaf"]:
                back = FORFEITED if said["fields"].get(4) == 3 else CLAWED_BACK
                status = {PAY: PAID, RELEASE: RELEASED, CLAW_BACK: back}[said["kind"]]
                last, day = said, said["fields"][5]
        fields = claim["fields"]
        return [
            1, status, claim["issuer"], fields[2], claim["about"], fields[6], claim["index"], claim["leaf"],
            last["index"], last["leaf"], day,
        ]  # fmt: skip

    def _filing_status(self, said: dict[str, Any]) -> list[bytes]:
        self._by_authority(said)
        _, number, status, _, since = (said["fields"][at] for at in range(1, 6))
        filing = self._filing(number)
        if since > said["day"]:
            raise No("EFFECTIVE_IN_FUTURE")
        if filing["status"] in (status, 3):
            raise No("NOTHING_CHANGES")
        touched = []
        for cert, one in self.certs.items():
            if one["issuer"] != number:
                continue
            if status == 1:  # resumed: what this suspension had suspended, and nobody since
                if one["status"] == SUSPENDED and one["event_leaf"] == filing["status_leaf"]:
                    self._mark(one, said, IN_FORCE, since)
                    touched.append(cert)
            elif one["fields"][6] >= since and one["status"] in ((IN_FORCE,) if status == 2 else (IN_FORCE, SUSPENDED)):
                self._mark(one, said, SUSPENDED if status == 2 else VOID, since)
                touched.append(cert)
        filing["status"], filing["status_day"], filing["status_leaf"] = status, since, said["leaf"]
        self._event(filing, said)
        return touched

    def _key_status(self, said: dict[str, Any]) -> list[bytes]:
        fields = said["fields"]
        number, public, status = fields[2], fields[3], fields[4]
        if said["single"]:
            if self._issuer(said)["status"] == 3:
                raise No("FILING_NOT_ACTIVE")
        else:
            self._by_authority(said)
        filing = self._filing(number)
        since = fields.get(5, said["index"])
        if since > said["index"]:
            raise No("EFFECTIVE_IN_FUTURE")
        if public not in filing["keys"]:
            raise No("KEY_UNKNOWN")
        now, void_from = filing["keys"][public]
        if (status == 2 and now != 1) or (status == 3 and now == 3 and since >= void_from):
            raise No("NOTHING_CHANGES")
        records = [key[1] for key in filing["terms"][8]]
        filing["keys"][public] = [status, since if status == 3 and public in records else -1]
        self._event(filing, said)
        return self._compromise(said, number, public, since, fields[6]) if status == 3 else []

    def _compromise(self, said: dict[str, Any], number: str, public: bytes, since: int, day: int) -> list[bytes]:
        touched, newest = [], []
        for cert, one in self.certs.items():
            if one["issuer"] != number:
                continue
            if one["record"] == public and one["index"] >= since:
                if one["status"] != VOID:
                    if one["successor"] == b"":
                        newest.append((cert, one["status"]))
                    self._mark(one, said, VOID, day)
                    touched.append(cert)
                continue
            corrections = [s for s in self.said if s["kind"] == CORRECT and s["cert"] == cert]
            if not any(s["single"] and s["kid"] == kid(public) and s["index"] >= since for s in corrections):
                continue
            commitment, track = one["leaf"], one["fields"][11]
            for other in corrections:
                if not self._void(other, number):
                    commitment, track = other["leaf"], other["fields"].get(11, track)
            if (commitment, track) != (one["commitment"], one["track"]):
                one["commitment"], one["track"] = commitment, track
                self._recommit(one, said, day)
                touched.append(cert)
        for cert, status in newest:
            touched += self._bring_back(said, cert, status, day)
        return touched

    def _bring_back(self, said: dict[str, Any], cert: bytes, status: int, day: int) -> list[bytes]:
        """The newest certificate of a chain is void: the last before it that is not void takes its place and fate."""
        while self.certs[cert]["kind"] == REISSUE:
            successor, cert = cert, self.certs[cert]["fields"][15]
            old = self.certs[cert]
            if old["status"] == REPLACED and old["successor"] == successor:
                self._mark(old, said, status if status in (SUSPENDED, REVOKED) else IN_FORCE, day)
                old["successor"] = b""
                return [cert]
            if old["status"] != VOID:
                break
        return []

    def _void(self, said: dict[str, Any], number: str) -> bool:
        """Whether a compromised key made this statement, from the index on from which nothing of it holds."""
        for public, (_, void_from) in self.filings[number]["keys"].items():
            if said["single"] and said["kid"] == kid(public) and 0 <= void_from <= said["index"]:
                return True
        return False

    # ---- certificates -------------------------------------------------------------------------------------------

    def _mark(self, one: dict[str, Any], said: dict[str, Any], status: int, day: int) -> None:
        one["status"], one["effective"] = status, day
        self._event(one, said)

    def _recommit(self, one: dict[str, Any], said: dict[str, Any], day: int) -> None:
        """Commitments changed. What is not in force keeps, as its last event, the one that made it so."""
        if one["status"] == IN_FORCE:
            self._mark(one, said, IN_FORCE, day)
        else:
            one["count"] += 1
            one["counted"] = said["leaf"]

    def _new(self, said: dict[str, Any], filing_leaf: bytes) -> list[bytes]:
        self.certs[said["cert"]] = {
            **said, "status": IN_FORCE, "record": self._listed(said), "filing_leaf": filing_leaf,
            "commitment": said["leaf"], "event_index": said["index"], "event_leaf": said["leaf"],
            "effective": said["fields"][6], "count": 1, "successor": b"", "track": said["fields"][11],
            "summary": None,
        }  # fmt: skip
        return [said["cert"]]

    def _may_issue(self, said: dict[str, Any]) -> dict[str, Any]:
        filing = self._issuer(said)
        if filing["status"] != 1:
            raise No("FILING_NOT_ACTIVE")
        return filing

    def _cap(self, said: dict[str, Any], filing: dict[str, Any]) -> None:
        uses = [s for s in self.said if self._uses(s, said["issuer"]) and s["kid"] == said["kid"]]
        if len(uses) >= filing["terms"][10]:
            raise No("CAP_REACHED")

    def _dates(self, said: dict[str, Any]) -> None:
        fields, day = said["fields"], said["fields"][6]
        if day > said["day"]:
            raise No("ISSUED_IN_FUTURE")
        if PERMIT not in fields:
            if said["day"] - day > 60:
                raise No("ISSUED_TOO_LATE")
            return
        leaf, position, path = fields[PERMIT]
        permits = [other for other in self.said if other["kind"] == LATE_PERMIT and other["leaf"] == leaf]
        if not permits:
            raise No("PERMIT_UNKNOWN")
        terms = permits[0]["fields"]
        plain = {key: value for key, value in sorted(fields.items()) if key != PERMIT}
        permitted = sha256(b"certledger/permitted/v1\n" + cbor2.dumps([said["issuer"], said["cert"], plain])).digest()
        inside = position < terms[7] and slow_tree.climbs(slow_tree.leaf(permitted), position, terms[7], path, terms[6])
        if terms[2] != said["issuer"] or not terms[4] <= day <= terms[5] or not inside:
            raise No("PERMIT_OTHER")

    def _joins(self, said: dict[str, Any], track: bytes, day: int, *, without: bytes = b"") -> None:
        others = [one for one in self.certs.values() if one["track"] == track]
        if len(others) >= 64:
            raise No("TRACK_FULL")
        for one in sorted(others, key=lambda one: one["index"]):
            if one["cert"] == without:
                continue
            if (14 in one["fields"]) != (14 in said["fields"]):
                raise No("TRACK_UNKNOWN")
            if self._equal(one, said) and one["status"] in (IN_FORCE, SUSPENDED) and not self._over(one, day):
                raise No("DUPLICATE_GRADE")
        if said["kind"] == APPOINT and self._posts(track, without, {}, day) >= 16:
            raise No("TRACK_FULL")

    def _posts(self, track: bytes, without: bytes, results: dict[bytes, int], day: int) -> int:
        """How many posts that are not over stand in a track, beside one, after these results."""
        return sum(
            one["track"] == track
            and one["kind"] == APPOINT
            and cert != without
            and results.get(cert, one["status"]) in (IN_FORCE, SUSPENDED)
            and not self._over(one, day)
            for cert, one in self.certs.items()
        )

    def _equal(self, one: dict[str, Any], other: dict[str, Any]) -> bool:
        return all(one["fields"].get(at, "") == other["fields"].get(at, "") for at in (3, 4))

    def _issue(self, said: dict[str, Any]) -> list[bytes]:
        filing, fields = self._may_issue(said), said["fields"]
        terms = filing["terms"]
        if not terms[5] <= fields[6] <= terms[6]:
            raise No("SCOPE_WINDOW")
        if not any(
            (occupation, audience) == (fields[2], fields[10])
            and trade in ("", fields.get(3, ""))
            and fields[4] in grades
            and first <= fields[6]
            for occupation, trade, grades, audience, first in terms[7]
        ):
            raise No("SCOPE_ROW")
        if fields[7] > fields[6]:
            raise No("ASSESSED_AFTER_ISSUE")
        self._dates(said)
        if said["cert"] in self.certs:
            raise No("CERT_KEY_TAKEN")
        self._joins(said, fields[11], said["day"])
        self._cap(said, filing)
        return self._new(said, filing["terms_leaf"])

    def _appoint(self, said: dict[str, Any]) -> list[bytes]:
        filing, fields = self._may_issue(said), said["fields"]
        terms = filing["terms"]
        if not terms[5] <= fields[6] <= terms[6]:
            raise No("SCOPE_WINDOW")
        if fields[4] not in terms.get(11, []):
            raise No("GRANT")
        if not any(row[0] == fields[2] and row[1] in ("", fields.get(3, "")) for row in terms[7]):
            raise No("SCOPE_ROW")
        self._dates(said)
        if said["cert"] in self.certs:
            raise No("CERT_KEY_TAKEN")
        if 15 in fields:
            one = self.certs.get(fields[15])
            if one is None or one["track"] != fields[11] or one["status"] != IN_FORCE:
                raise No("PREREQUISITE")
            if not 6 <= one["fields"][4] < fields[4]:
                raise No("PREREQUISITE")
            if one["kind"] == APPOINT and (self._over(one, said["day"]) or said["day"] < one["fields"][7]):
                raise No("PREREQUISITE")
        self._joins(said, fields[11], said["day"])
        self._cap(said, filing)
        return self._new(said, filing["terms_leaf"])

    def _reissue(self, said: dict[str, Any]) -> list[bytes]:
        filing, fields = self._may_issue(said), said["fields"]
        old = self.certs.get(fields[15])
        if old is None:
            raise No("CERT_UNKNOWN")
        same = old["kind"] != APPOINT and old["issuer"] == said["issuer"] and old["track"] == fields[11]
        if not same or any(old["fields"].get(at) != fields.get(at) for at in (2, 3, 4, 5, 6, 7, 8, 9, 10, 14)):
            raise No("REISSUE_DIFFERS")
        if said["cert"] in self.certs:
            raise No("CERT_KEY_TAKEN")
        self._named(REISSUE, old)
        self._joins(said, fields[11], said["day"], without=fields[15])
        self._cap(said, filing)
        self._mark(old, said, REPLACED, said["day"])
        old["successor"] = said["cert"]
        return [*self._new(said, old["filing_leaf"]), fields[15]]

    def _known(self, cert: bytes) -> dict[str, Any]:
        if cert not in self.certs:
            raise No("CERT_UNKNOWN")
        return self.certs[cert]

    def _named(self, kind: int, one: dict[str, Any]) -> int:
        cell = NAMED[kind][one["status"] - 1]
        if isinstance(cell, str):
            raise No(cell)
        return cell

    def _end(self, said: dict[str, Any]) -> list[bytes]:
        if self._issuer(said)["status"] == 3:
            raise No("FILING_NOT_ACTIVE")
        one = self._known(said["cert"])
        if one["kind"] != APPOINT:
            raise No("NO_APPOINTMENT")
        if one["issuer"] != said["issuer"]:
            raise No("NOT_ISSUER")
        if said["fields"][5] > said["day"]:
            raise No("EFFECTIVE_IN_FUTURE")
        self._mark(one, said, self._named(END, one), said["fields"][5])
        return [said["cert"]]

    def _correct(self, said: dict[str, Any]) -> list[bytes]:
        fields = said["fields"]
        if fields[5] > said["day"]:
            raise No("EFFECTIVE_IN_FUTURE")
        if said["single"]:
            self._cap(said, self._may_issue(said))
        else:
            self._by_authority(said)
        one = self._known(said["cert"])
        if said["single"] and one["issuer"] != said["issuer"]:
            raise No("NOT_ISSUER")
        status = self._named(CORRECT, one)
        if fields.get(11, one["track"]) != one["track"]:
            self._joins(one, fields[11], said["day"])
            one["track"] = fields[11]
        one["commitment"] = said["leaf"]
        assert status == one["status"]
        self._recommit(one, said, fields[5])
        return [said["cert"]]

    def _ruling(self, said: dict[str, Any]) -> list[bytes]:
        kind, fields = said["kind"], said["fields"]
        if said["single"]:
            status = self._issuer(said)["status"]
            if status == 3 or (status == 2 and kind == RESTORE):
                raise No("FILING_NOT_ACTIVE")
        else:
            self._by_authority(said)
        if fields[5] > said["day"]:
            raise No("EFFECTIVE_IN_FUTURE")
        if 3 in fields:
            return self._range(said)
        certs, results = fields.get(2, [said["cert"]]), {}
        for cert in certs:
            one = self._known(cert)
            if said["single"] and one["issuer"] != said["issuer"]:
                raise No("NOT_ISSUER")
            results[cert] = self._named(kind, one)
            if not self._may_restore(said, one):
                raise No("AUTHORITY_NEEDED")
            if kind == RESTORE and one["status"] == REVOKED:
                no = self._rival(cert, results, said["day"])
                if no:
                    raise No(no)
        for cert in certs:
            self._mark(self.certs[cert], said, results[cert], fields[5])
        return list(certs)

    def _range(self, said: dict[str, Any]) -> list[bytes]:
        number, first, last = said["fields"][3]
        touched = []
        for cert, one in self.certs.items():
            if one["issuer"] != number or not first <= one["index"] <= last:
                continue
            cell = NAMED[said["kind"]][one["status"] - 1]
            if isinstance(cell, str) or not self._may_restore(said, one):
                continue
            if said["kind"] == RESTORE and one["status"] == REVOKED and self._rival(cert, {}, said["day"]):
                continue
            self._mark(one, said, cell, said["fields"][5])
            touched.append(cert)
        if not touched:
            raise No("NOTHING_CHANGES")
        return touched

    def _may_restore(self, said: dict[str, Any], one: dict[str, Any]) -> bool:
        if said["kind"] != RESTORE or not said["single"]:
            return True
        return one["status"] == SUSPENDED and self._event_of(one)["single"]

    def _event_of(self, one: dict[str, Any]) -> dict[str, Any]:
        return next(said for said in self.said if said["index"] == one["event_index"])

    def _rival(self, cert: bytes, results: dict[bytes, int], day: int) -> str:
        """Whether another certificate of the same grade and trade stands in the track, or is restored with it; or
        whether it is a post and there are too many."""
        one = self.certs[cert]
        equal = any(
            other is not one
            and other["track"] == one["track"]
            and self._equal(other, one)
            and results.get(key, other["status"]) in (IN_FORCE, SUSPENDED)
            and not self._over(other, day)
            for key, other in self.certs.items()
        )
        full = one["kind"] == APPOINT and self._posts(one["track"], cert, results, day) >= 16
        return "DUPLICATE_GRADE" if equal else "TRACK_FULL" if full else ""
