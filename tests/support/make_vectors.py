"""Makes tests/vectors/{statements,fold,seal,qr,evidence}.json: `python -m tests.support.make_vectors`.

Everything follows from fixed labels, so a second run writes the same bytes; tests compare. Bytes are hex. The files
are for whoever writes a second implementation: every input is given, down to the seeds of the keys.
"""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2

from ledger.errors import Refused
from ledger.records.authority import Published
from ledger.records.bundle import format_bundle
from ledger.records.claim_state import claim_map_key, encode_nullifier, nullifier_map_key
from ledger.records.evidence import Evidence, format_evidence
from ledger.records.evidence_check import verify_stapled
from ledger.records.kinds import FilingStatus, KeyStatus, Kind, Reason
from ledger.records.life import Correct, Listed, Range, Ruling
from ledger.records.permit import PermitProof
from ledger.records.qr import Code, format_code, format_digits, format_fragment
from ledger.records.rotation import AuthorityChange, LogKey
from ledger.records.seal import CHAIN_START, Seal, extend_chain
from ledger.records.secret import format_secret, locator_of
from ledger.records.staple import format_staple
from ledger.records.state import authority_map_key, certificate_map_key, filing_map_key
from ledger.records.statements import Statement
from ledger.tlog.keys import ML_DSA_44_PUBLIC_BYTES
from ledger.tlog.merkle import leaf_hash
from ledger.tlog.policy import format_policy
from tests.support.builders import (
    DAY,
    TIME,
    TRADE,
    Authority,
    Body,
    Certificate,
    correct,
    end,
    filing_standing,
    key,
    key_standing,
    late,
    make_authority,
    make_body,
    octets,
    ruling,
    sign_together,
)
from tests.support.claims import TERMS, act, claim, make_pack, make_payer
from tests.support.life_history import life_history
from tests.support.memory_log import MemoryLog
from tests.support.sealed_log import AUDITOR_KEY, LOG_KEY, POLICY, SealedLog
from tests.support.slow_tree import map_root

VECTORS = Path(__file__).parents[1] / "vectors"
BASE = "https://cert.test.example"
LONG_NAME = "阿卜杜拉·买买提·阿不都热依木·吐尔逊·艾合麦提·依米提江·艾山"[:30]
DAY_MS = 86_400_000


def authority() -> Authority:
    return make_authority()


def body() -> Body:
    return make_body()


def catalogue() -> Published:
    return Published(Kind.CATALOGUE, "2022", octets("catalogue"), DAY)


def statement_vectors() -> dict[str, Any]:
    """Every kind of statement that exists, taken apart; and bytes that are none."""
    one, plain = body().certificate("a"), body().certificate("b", trade=TRADE, grade=2, person_unlinked=True)
    ruler, two = authority(), octets("another cert key")
    permit, (permitted, _) = late(ruler, body(), "late", "other", day=DAY - 100)
    people = tuple(sorted((*ruler.genesis.keys[:2], key("joins").public)))
    nullifiers = tuple(sorted(octets(f"nullifier {at}") for at in range(TERMS.width)))
    reserved = claim(make_payer(), one.issue.cert_key, nullifiers)
    made = {
        "genesis": ruler.sign(ruler.genesis),
        "filing": ruler.sign(body().filing),
        "catalogue": ruler.sign(catalogue(), by=(0, 1, 2)),
        "issue": one.statement,
        "issue-unlinked-with-trade": plain.statement,
        "issue-with-permit": permitted.statement,
        "reissue": body().reissue("new", one).statement,
        "appoint": body().post("post", on=one, last_day=DAY + 365, trade=TRADE).statement,
        "appoint-with-permit": body()
        .post("late post", prerequisite=b"", permit=PermitProof(permit.leaf_hash, 1, (octets("path"),)))
        .statement,
        "end-appointment": body().sign(end(body().post("post", on=one))),
        "correct": body().sign(correct(one)),
        "correct-by-the-authority": ruler.sign(correct(one, track=octets("track", 16))),
        "suspend": body().sign(ruling(Kind.SUSPEND, one)),
        "restore-a-list": ruler.sign(ruling(Kind.RESTORE, one, two)),
        "revoke-a-range": ruler.sign(ruling(Kind.REVOKE, Range(body().filing.number, 2, 99))),
        "late-permit": permit,
        "filing-change": ruler.sign(replace(body().filing, grants=(7, 8), latin_name="Sample Works", change=True)),
        "filing-status": ruler.sign(filing_standing(FilingStatus.SUSPENDED)),
        "key-status-by-the-body": body().sign(key_standing(body().record.public, KeyStatus.RETIRED)),
        "key-status": ruler.sign(key_standing(body().record.public, void_from=7)),
        "authority-change": sign_together(AuthorityChange(people, 2, DAY), [*ruler.people[:2], key("joins")]),
        "log-key": ruler.sign(LogKey(DAY, octets("log key"), (octets("ml-dsa", 64) * 21)[:ML_DSA_44_PUBLIC_BYTES])),
        "payer": ruler.sign(make_payer().filing),
        "pack": ruler.sign(make_pack(last_day=DAY + 365)),
        "pack-by-an-employer": body().sign(make_pack(pack_id="wages", terms=None)),
        "claim": reserved.statement,
        "pay": act(Kind.PAY, make_payer(), reserved),
        "release": act(Kind.RELEASE, make_payer(), reserved),
        "claw-back": act(Kind.CLAW_BACK, make_payer(), reserved, reason=Reason.FRAUD),
        "log-key-closing": ruler.sign(LogKey(DAY, successor="log.test.example/2027")),
    }
    return {
        "about": "Signed statements. Keys are Ed25519 of SHA-256(label); authority keys are listed in genesis.",
        "key_labels": {
            "authority": [f"key authority {at} " for at in range(3)],
            "record": "key record ",
            "request": "key request ",
            "joins": "key joins",
            "payer record": "key payer record ",
            "payer request": "key payer request ",
        },
        "statements": {name: _statement(statement) for name, statement in made.items()},
        "claim_openings": {
            "holder": [reserved.holder.salt.hex(), reserved.holder.cert_key.hex()],
            "decision": [reserved.decision.salt.hex(), reserved.decision.amount, reserved.decision.decision.hex()],
        },
        "certificates": {"issue": _certificate(one), "issue-unlinked-with-trade": _certificate(plain)},
        "malformed": [{"why": why, "entry": raw.hex()} for why, raw in _malformed(one.statement)],
    }


def _statement(statement: Statement) -> dict[str, Any]:
    envelope = statement.envelope
    return {
        "entry": statement.entry.hex(),
        "kind": int(statement.kind),
        "issuer": envelope.issuer,
        "subject": envelope.subject,
        "protected": envelope.protected.hex(),
        "payload": envelope.payload.hex(),
        "signatures": [
            {
                "kid": part.kid.hex(),
                "signed": envelope.to_be_signed(part.kid).hex(),
                "signature": part.signature.hex(),
            }
            for part in envelope.signatures
        ],
        "leaf_hash": statement.leaf_hash.hex(),
        "identity": statement.identity.hex(),
    }


def _certificate(certificate: Certificate) -> dict[str, Any]:
    face, leaf = certificate.face, certificate.statement.leaf_hash
    log = SealedLog()
    log.batch([authority().sign(authority().genesis), authority().sign(body().filing), certificate.statement])
    evidence = log.evidence(certificate.issue.cert_key)
    return {
        "secret": certificate.secret.hex(),
        "secret_text": format_secret(certificate.secret),
        "cert_key": certificate.issue.cert_key.hex(),
        "locator": locator_of(certificate.secret).hex(),
        "holder_code": certificate.holder_code.hex(),
        "face": {"salt": face.salt.hex(), "number": face.number, "name": face.name, "digest": face.digest().hex()},
        "rest_openings": [cbor2.dumps(opening.as_value()).hex() for opening in certificate.openings],
        "rest_digests": [digest.hex() for digest in certificate.digests],
        "rest": certificate.issue.rest.hex(),
        "leaf_hash": leaf.hex(),
        "face_envelope": certificate.face_envelope().hex(),
        "rest_envelope": certificate.rest_envelope().hex(),
        "bundle": format_bundle(certificate.bundle(evidence)).hex(),
        "staple": format_staple(certificate.staple(evidence)).hex(),
    }


def _malformed(statement: Statement) -> list[tuple[str, bytes]]:
    envelope, signature = statement.envelope, statement.envelope.signatures[0].signature
    fields = cbor2.loads(envelope.payload)

    def built(payload: bytes, protected: bytes = envelope.protected, tag: bytes = b"\xd2") -> bytes:
        return tag + cbor2.dumps([protected, {}, payload, signature])

    header = cbor2.loads(envelope.protected)
    return [
        ("empty", b""),
        ("no tag", statement.entry[1:]),
        ("tag 18 in two bytes", b"\xd8\x12" + statement.entry[1:]),
        ("a byte behind", statement.entry + b"\0"),
        ("cut off", statement.entry[:-1]),
        ("payload keys not sorted", built(cbor2.dumps(dict(reversed(fields.items()))))),
        ("payload with an unknown key", built(cbor2.dumps({**fields, 15: 0}))),
        ("payload without the track", built(cbor2.dumps({at: fields[at] for at in fields if at != 11}))),
        ("issue day as a float", built(cbor2.dumps({**fields, 6: float(fields[6])}))),
        (
            "trade given but empty",
            built(cbor2.dumps({**dict(list(fields.items())[:2]), 3: "", **fields}, canonical=True)),
        ),
        ("person unlinked = 0", built(cbor2.dumps({**fields, 14: 0}))),
        ("a payload of indefinite length", built(b"\xbf" + envelope.payload[1:] + b"\xff")),
        ("alg -19 instead of -8", built(envelope.payload, cbor2.dumps({**header, 1: -19}))),
        ("another protected key", built(envelope.payload, cbor2.dumps({**header, 33: b""}, canonical=True))),
        ("tag 98 around one signer", built(envelope.payload, tag=b"\xd8\x62")),
        ("an open header", b"\xd2" + cbor2.dumps([envelope.protected, {4: b""}, envelope.payload, signature])),
        ("grade and national level disagree", built(cbor2.dumps({**fields, 5: fields[5] + 1}))),
        ("an unknown kind", built(cbor2.dumps({**fields, 1: 99}))),
    ]


def fold_vectors() -> dict[str, Any]:
    """One history, step by step: what is refused, with which code, and the state map after what is not."""
    one, ruler, log = body(), authority(), MemoryLog()
    other = make_body("other", number="S000151000999", cap=1)
    steps: list[tuple[str, Statement, int]] = [
        ("genesis", ruler.sign(ruler.genesis), 0),
        ("a second genesis", ruler.sign(ruler.genesis), 0),
        ("a filing", ruler.sign(one.filing), 0),
        ("the same filing number again", ruler.sign(replace(one.filing, name="另一家公司")), 0),
        ("a filing with a cap of one certificate", ruler.sign(other.filing), 0),
        ("a catalogue", ruler.sign(catalogue()), 0),
        ("that version again", ruler.sign(replace(catalogue(), digest=octets("x"))), 0),
        ("grade ordinal 3 of person p", one.certificate("p3", grade=3, person="p").statement, 0),
        ("the same certificate again", one.certificate("p3", grade=3, person="p").statement, 0),
        ("another of that grade for p", one.certificate("p3 again", grade=3, person="p").statement, 0),
        (
            "ordinal 5 of p: the first certificate's summary changes",
            one.certificate("p5", grade=5, person="p").statement,
            0,
        ),
        ("ordinal 4 of p, later than 5: nothing else changes", one.certificate("p4", grade=4, person="p").statement, 0),
        ("a certificate under the capped filing", other.certificate("q", person="q").statement, 0),
        ("one more under the capped filing", other.certificate("r", person="r").statement, 0),
        ("a person without a number", one.certificate("u", person="u", person_unlinked=True).statement, 0),
        ("the same track, but linked", one.certificate("u2", person="u", grade=5).statement, 0),
        ("issued tomorrow", one.certificate("t", day=DAY + 1).statement, 0),
        ("that one a day later", one.certificate("t", day=DAY + 1).statement, 1),
        ("issued 61 days ago", one.certificate("l", day=DAY - 60).statement, 1),
        ("issued 60 days ago", one.certificate("m", day=DAY - 59).statement, 1),
        ("assessed after issue", one.certificate("x", assessment_day=DAY + 1).statement, 1),
        ("an occupation that is not filed", one.certificate("o", occupation="6-18-01-02").statement, 1),
        ("before the filing begins", one.certificate("w", day=one.filing.first_day - 1).statement, 1),
    ]
    written = [_folded(log, what, statement, days) for what, statement, days in steps]
    life = MemoryLog()
    return {
        "about": "The fold of histories without seals: `steps` of a day, `life` through every transition, `claims`. "
        "states: map key -> CBOR of the states that changed; index: where the statement would stand; refused "
        "statements take none. Keys are those of statements.json, and of the labels 'key record other', "
        "'key second record', 'key third'.",
        "steps": written,
        "life": [_folded(life, what, statement, 0) for what, statement in life_history(life)],
        "claims": claim_history(),
    }


def claim_history() -> list[dict[str, Any]]:
    """A pack, and what becomes of claims under it. Certificates play no part: the log does not say which they are."""
    ruler, payer, other = authority(), make_payer(), make_payer("other", number="Z000051000002")
    log = MemoryLog()
    taken = tuple(sorted(octets(f"nullifier {at}") for at in range(TERMS.width)))
    shared = tuple(sorted((taken[0], *(octets(f"another nullifier {at}") for at in range(TERMS.width - 1)))))
    first, second = claim(payer, octets("cert"), taken), claim(other, octets("cert"), shared, label="other")
    third = claim(other, octets("cert"), shared, label="third", day=DAY + 31)
    steps: list[tuple[str, Statement, int]] = [
        ("genesis", ruler.sign(ruler.genesis), 0),
        ("an assessment body", ruler.sign(body().filing), 0),
        ("a payer", ruler.sign(payer.filing), 0),
        ("another payer", ruler.sign(other.filing), 0),
        ("a claim under a pack that is not published", first.statement, 0),
        ("a pack", ruler.sign(make_pack()), 0),
        ("its version again", ruler.sign(make_pack(b"other bytes")), 0),
        ("a claim", first.statement, 0),
        ("another that shares a nullifier", second.statement, 0),
        ("not the other payer's", act(Kind.PAY, other, first), 0),
        ("released", act(Kind.RELEASE, payer, first), 0),
        ("now it is free", second.statement, 0),
        ("over after its last day", act(Kind.PAY, other, second), 31),
        ("and free by itself", third.statement, 31),
        ("paid", act(Kind.PAY, other, third), 31),
        ("paid twice", act(Kind.PAY, other, third, day=DAY + 1), 31),
        ("forfeited", act(Kind.CLAW_BACK, other, third, reason=Reason.FRAUD), 31),
    ]
    return [_folded(log, what, statement, days) for what, statement, days in steps]


def _folded(log: MemoryLog, what: str, statement: Statement, days: int) -> dict[str, Any]:
    time = TIME + days * DAY_MS
    step: dict[str, Any] = {"what": what, "time": time, "index": log.size, "entry": statement.entry.hex()}
    try:
        change = log.add(statement, time)
    except Refused as refusal:
        return {**step, "refused": refusal.code}
    states: dict[bytes, bytes] = {certificate_map_key(at): state.encode() for at, state in change.certificates.items()}
    states |= {filing_map_key(at): state.encode() for at, state in change.filings.items()}
    states |= {claim_map_key(at): state.encode() for at, state in change.claims.items()}
    states |= {nullifier_map_key(at): encode_nullifier(leaf) for at, leaf in change.nullifiers.items()}
    if change.authority is not None and change.authority.in_map:
        states[authority_map_key(change.authority.origin)] = change.authority.encode()
    step["states"] = {at.hex(): state.hex() for at, state in sorted(states.items())}
    step["map_root"] = map_root(log.leaves()).hex()
    return step


def _seals() -> list[Seal]:
    leaves = [leaf_hash(octets(f"entry {at}")) for at in range(5)]
    chain = extend_chain(CHAIN_START, leaves)
    return [
        Seal(2, TIME, octets("map root"), 1, chain[1], -1),
        Seal(5, TIME + 1, octets("other map root"), 3, chain[4], 2),
    ]


def seal_vectors() -> dict[str, Any]:
    """The chain over five leaf hashes, and two seals."""
    leaves = [leaf_hash(octets(f"entry {at}")) for at in range(5)]
    return {
        "about": "chain[i] = SHA-256('certledger/chain/v1\\n' || chain[i-1] || leaf_hashes[i]); seals are entries.",
        "leaf_hashes": [leaf.hex() for leaf in leaves],
        "chain": [value.hex() for value in extend_chain(CHAIN_START, leaves)],
        "seals": [
            {
                "entry": seal.encode().hex(),
                "covered": seal.covered,
                "time": seal.time,
                "map_root": seal.map_root.hex(),
                "map_count": seal.map_count,
                "chain": seal.chain.hex(),
                "previous": seal.previous,
                "leaf_hash": leaf_hash(seal.encode()).hex(),
            }
            for seal in _seals()
        ],
    }


def qr_vectors() -> dict[str, Any]:
    """Codes with their statements, the digits of some bytes, and texts that are no codes of ours."""
    cases = {
        "two-character name": (body().certificate("a", name="李四"), 70_000),
        "thirty-character name": (body().certificate("b", name=LONG_NAME), 10_000_000),
        "trade, unlinked": (body().certificate("c", trade=TRADE, person_unlinked=True), 0),
        "a reissue": (body().reissue("d", body().certificate("a")), 70_001),
        "a post": (body().post("e", on=body().certificate("a"), last_day=DAY + 365), 70_002),
    }
    codes = []
    for what, (certificate, index) in cases.items():
        fragment = format_fragment(certificate.statement, certificate.face, index)
        code = Code(BASE, certificate.secret, fragment)
        codes.append(
            {
                "what": what,
                "text": format_code(code),
                "pasted": format_code(code, form="u"),
                "link": code.link,
                "secret": certificate.secret.hex(),
                "fragment": fragment.hex(),
                "index": index,
                "entry": certificate.statement.entry.hex(),
                "number": certificate.face.number,
                "name": certificate.face.name,
            }
        )
    link, text = codes[0]["link"], codes[0]["text"]
    raw = bytes(range(7)) + b"\xff" * 7
    return {
        "about": "Official base: " + BASE,
        "codes": codes,
        "digits": [{"bytes": raw[:count].hex(), "digits": format_digits(raw[:count])} for count in range(1, 15)],
        "malformed": [
            link[:-1],
            link + "/",
            link + "?a",
            link.replace("/c/", "/s/"),
            text + "1",
            text + "#",
            link + "#q",
            link + "#x000",
        ],
        "foreign": [
            text.replace("cert.", "certs."),
            text.replace("https", "http"),
            text.replace("example", "example@evil.example"),
        ],
    }


def evidence_log() -> SealedLog:
    """The bodies and a certificate; a higher one of the same person, and another person's; nine more; then what happens
    to some of them; then a reissue; then two posts of one person."""
    one, ruler, log = make_body(grants=(7, 8)), authority(), SealedLog()
    log.batch([ruler.sign(ruler.genesis), ruler.sign(one.filing), one.certificate("p3", grade=3, person="p").statement])
    log.batch([one.certificate("p5", grade=5, person="p").statement, one.certificate("q", person="q").statement])
    log.batch([one.certificate(f"r{at}", person=f"r{at}").statement for at in range(9)], log.time + DAY_MS)
    q, r0, r1 = (one.certificate(label, person=label).issue for label in ("q", "r0", "r1"))
    new_name = Correct(q.cert_key, Reason.NAME_CHANGED, DAY + 1, octets("new face"), q.rest, b"", q.filing_number)
    log.batch(
        [
            one.sign(new_name),
            one.sign(Ruling(Kind.SUSPEND, Listed((q.cert_key,)), Reason.UNDER_REVIEW, DAY + 1, q.filing_number)),
            ruler.sign(Ruling(Kind.REVOKE, Listed((r0.cert_key,)), Reason.FRAUD, DAY + 1)),
        ],
        log.time + DAY_MS,
    )
    again = one.certificate("r1 again", person="r1", replaces=r1.cert_key)
    log.batch([again.statement], log.time + DAY_MS)
    top = one.certificate("t", grade=6, person="t")
    log.batch([top.statement], log.time + DAY_MS)
    later = one.post("chief", grade=8, on=top, first_day=DAY + 90, last_day=DAY + 455)
    log.batch([one.post("technician", on=top).statement, later.statement], log.time + DAY_MS)
    return log


def evidence_vectors() -> dict[str, Any]:
    """Evidence that holds, and evidence that does not, with the step that must notice."""
    one, log = body(), evidence_log()
    first, second = log.seals[:2]
    p3, p5, q, r0, r1, top, none = (
        one.certificate(label, grade=grade, person=label[0] if label[0] == "p" else label).issue.cert_key
        for label, grade in (("p3", 3), ("p5", 5), ("q", 4), ("r0", 4), ("r1", 4), ("t", 6), ("none", 4))
    )
    again = one.certificate("r1 again", person="r1", replaces=r1).issue.cert_key
    made = {
        "current, a higher certificate exists": log.evidence(p3),
        "current, itself the highest": log.evidence(p5),
        "never issued": log.evidence(none),
        "as of the first seal, before the higher one": log.evidence(p3, covered=first),
        "as of the second seal": log.evidence(p3, covered=second),
        "as of the first seal: not issued then": log.evidence(q, covered=first),
        "without the filing's terms and the highest certificate": replace(log.evidence(p3), terms=b"", highest=None),
        "corrected, then suspended": log.evidence(q),
        "that one before both": log.evidence(q, covered=second),
        "revoked by the authority": log.evidence(r0),
        "replaced": log.evidence(r1),
        "what replaced it": log.evidence(again),
        "a post that runs beside it, and a higher one to come": log.evidence(top),
    }
    return {
        "about": "Evidence under one log key and a policy of two witnesses; both must have cosigned. ML-DSA-44 lines "
        "are left out because they differ from run to run. time: of the quorum, POSIX seconds; seal: its index.",
        "origin": authority().origin,
        "log_keys": [LOG_KEY.format_vkey()],
        "policy": format_policy(POLICY),
        "auditor": AUDITOR_KEY.format_vkey(),
        "entries": [entry.hex() for entry in log.entries],
        "holds": [_evidence(what, evidence) for what, evidence in made.items()],
        "fails": [
            {"what": what, "step": step, "evidence": format_evidence(evidence).hex()}
            for what, step, evidence in _bad_evidence(log, p3, p5, q, none)
        ],
    }


def _evidence(what: str, evidence: Evidence) -> dict[str, Any]:
    proven = verify_stapled(evidence, authority().origin, (LOG_KEY,), POLICY, (AUDITOR_KEY,))
    state = proven.state
    return {
        "what": what,
        "evidence": format_evidence(evidence).hex(),
        "cert_key": evidence.cert_key.hex(),
        "size": proven.opened.checkpoint.size,
        "root": proven.opened.checkpoint.root.hex(),
        "time": proven.opened.quorum_time_s,
        "auditor_time": proven.opened.auditor_time_s,
        "seal": proven.seal.covered,
        "next_seal": proven.next.covered if proven.next else -1,
        "map_root": proven.seal.map_root.hex(),
        "map_key": certificate_map_key(evidence.cert_key).hex(),
        "map_value": state.value().hex() if state else "",
        "status": int(state.status) if state else 0,
        "highest_grade": state.summary.highest.grade if state and state.summary.highest else 0,
    }


def _bad_evidence(log: SealedLog, p3: bytes, p5: bytes, q: bytes, none: bytes) -> list[tuple[str, int, Evidence]]:
    good, other, absent, old = (
        log.evidence(p3), log.evidence(p5), log.evidence(none), log.evidence(p3, covered=log.seals[0])
    )  # fmt: skip
    assert old.next is not None and good.issued is not None and good.highest is not None
    skipped, suspended = log.evidence(p3, covered=log.seals[1]), log.evidence(q)
    return [
        ("one witness of two", 1, replace(good, checkpoint=log.checkpoint(witnesses=1))),
        ("the checkpoint of an earlier size", 2, replace(good, checkpoint=log.checkpoint(log.seals[1] + 1))),
        ("an older seal shown as the newest", 2, replace(old, next=None)),
        ("another entry as the seal", 2, replace(good, seal=old.seal, next=None)),
        ("a seal left out between the two", 3, replace(old, next=skipped.next)),
        ("the newest seal with one after it", 2, replace(good, next=old.next)),
        ("an old state under the newest seal", 4, replace(good, state=old.state)),
        ("the state of another certificate", 4, replace(good, state=other.state, map_proof=other.map_proof)),
        ("absence shown for a certificate that exists", 4, replace(absent, cert_key=p3)),
        ("absence with the map proof of a presence", 4, replace(absent, cert_key=p3, map_proof=good.map_proof)),
        ("another certificate's statement", 6, replace(good, issued=other.issued)),
        ("the statement's inclusion cut short", 6, replace(good, issued=replace(
            good.issued, inclusion=good.issued.inclusion[:-1]))),
        ("the filing of nobody", 7, replace(good, terms=good.issued.entry)),
        ("the correction left out", 7, replace(suspended, commitments=b"")),
        ("the correction and the suspension exchanged", 7, replace(
            suspended, commitments=suspended.event, event=suspended.commitments)),
        ("the suspension left out", 7, replace(suspended, event=b"")),
        ("a statement given twice", 7, replace(good, event=good.issued.entry)),
        ("a highest certificate that is not the one named", 8, replace(
            good, highest=replace(good.highest, entry=good.issued.entry))),
        ("the highest certificate at another place", 8, replace(good, highest=replace(good.highest, index=1))),
    ]  # fmt: skip


MAKERS = {
    "statements": statement_vectors,
    "fold": fold_vectors,
    "seal": seal_vectors,
    "qr": qr_vectors,
    "evidence": evidence_vectors,
}


def vector_text(name: str) -> str:
    """The file's exact text."""
    return json.dumps(MAKERS[name](), ensure_ascii=False, indent=1) + "\n"


def main() -> None:
    for name in MAKERS:
        text = vector_text(name)
        (VECTORS / f"{name}.json").write_text(text, encoding="utf-8")
        print(f"{name}.json  {len(text)} characters  sha256 {sha256(text.encode()).hexdigest()[:16]}")


if __name__ == "__main__":
    main()
