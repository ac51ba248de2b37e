"""Evidence and staples as a log of millions gives them, without its entries: all siblings are made up.

    staple_of(certificate, evidence, size, index, depth)   under a tree of `size` entries and a map that deep

The certificate's entry stands at `index` and the seal at size - 1; every other subtree's hash is drawn from its place,
so that both inclusion proofs and the map proof lead to roots that a log, a witness and a map auditor have signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256

from msgspec.structs import replace as renewed

from ledger.records.evidence import Evidence, Placed
from ledger.records.seal import Seal
from ledger.records.staple import Staple, compact
from ledger.records.state import certificate_map_key, parse_certificate_state
from ledger.tlog.checkpoint import Checkpoint, format_checkpoint
from ledger.tlog.cosignature import cosign_ed25519
from ledger.tlog.map_proof import MapProof, format_map_proof
from ledger.tlog.note import Note, NoteSignature, format_note
from tests.support import slow_tree
from tests.support.builders import ORIGIN, TIME, Certificate, octets
from tests.support.sealed_log import AUDITOR, AUDITOR_KEY, LOG, LOG_KEY, WITNESS_KEYS, WITNESSES


def staple_of(certificate: Certificate, evidence: Evidence, size: int, index: int, depth: int) -> Staple:
    """What `evidence` of a small log says, in a large one; its checkpoint bears the Ed25519 lines of the log, of one
    witness and of the map auditor, and one of ML-DSA-44 until it is made small. `depth`: siblings of the map proof."""
    assert evidence.issued is not None
    state = renewed(parse_certificate_state(evidence.state), issue_index=index, event_index=index)
    key = certificate_map_key(evidence.cert_key)
    siblings = tuple((bit, octets(f"map {bit}")) for bit in reversed(range(depth)))
    seal = Seal(
        size - 1, TIME, _map_root(key, state.value(), siblings), size // 2, octets("chain"), size - 1000
    ).encode()
    known = {index: slow_tree.leaf(evidence.issued.entry), size - 1: slow_tree.leaf(seal)}
    large = replace(
        evidence,
        checkpoint=_checkpoint(size, _node(0, size, known)),
        seal=Placed(seal, _inclusion(size - 1, size, known)),
        next=None,
        map_proof=format_map_proof(MapProof(siblings, None)),
        state=state.encode(),
        issued=Placed(evidence.issued.entry, _inclusion(index, size, known)),
    )
    return certificate.staple(compact(large))


def _checkpoint(size: int, root: bytes) -> bytes:
    text, time_s = format_checkpoint(Checkpoint(ORIGIN, size, root)), TIME // 1000 + 1
    (witness, signer), by_auditor = WITNESSES[0], cosign_ed25519(AUDITOR[1], text, time_s)
    lines = (
        NoteSignature(ORIGIN, LOG_KEY.key_id, LOG.sign(text.encode())),
        NoteSignature(witness, WITNESS_KEYS[0].key_id, cosign_ed25519(signer, text, time_s)),
        NoteSignature(AUDITOR[0], AUDITOR_KEY.key_id, by_auditor),
        NoteSignature(ORIGIN, octets("key id", 4), bytes(8 + 2420)),  # of the length of ML-DSA-44; nobody reads it
    )
    return format_note(Note(text, lines))


def _node(first: int, count: int, known: Mapping[int, bytes]) -> bytes:
    """The hash over `count` entries from `first` on."""
    if not any(first <= at < first + count for at in known):
        return octets(f"entries {first} + {count}")
    if count == 1:
        return known[first]
    left = 1 << (count - 1).bit_length() - 1
    return sha256(b"\x01" + _node(first, left, known) + _node(first + left, count - left, known)).digest()


def _inclusion(index: int, count: int, known: Mapping[int, bytes]) -> tuple[bytes, ...]:
    first, path = 0, []
    while count > 1:
        left = 1 << (count - 1).bit_length() - 1
        if index < first + left:
            path.append(_node(first + left, count - left, known))
            count = left
        else:
            path.append(_node(first, left, known))
            first, count = first + left, count - left
    return tuple(reversed(path))


def _map_root(key: bytes, value: bytes, siblings: tuple[tuple[int, bytes], ...]) -> bytes:
    node = sha256(key + value).digest()
    for bit, sibling in siblings:
        right = key[bit // 8] >> 7 - bit % 8 & 1
        node = sha256((sibling + node if right else node + sibling) + bytes([bit])).digest()
    return node
