"""Evidence that is a little wrong, in every way we could think of: drawn from one seed, for all verifiers to judge.

Half of them only change bytes or exchange parts. The other half are lies of the log itself: a state, a seal or a place
is changed, and then map, tree, inclusions and signatures are made anew by the true keys, so that every hash fits and
only what the parts say can give it away.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from typing import Any

import cbor2

from ledger.records.evidence import Evidence, Indexed, Placed, format_evidence
from ledger.records.state import certificate_map_key
from ledger.tlog.checkpoint import Checkpoint, format_checkpoint
from ledger.tlog.map_proof import format_map_proof, prove
from tests.support import slow_tree
from tests.support.builders import ORIGIN
from tests.support.sealed_log import AUDITOR, AUDITOR_KEY, LOG, LOG_KEY, WITNESS_KEYS, WITNESSES, SealedLog
from tests.support.slow_life import cert_value

ODD: tuple[Any, ...] = (
    0, 1, 2, 3, 6, 7, 12, 13, 19, 20, -1, 2**63, 2**64 - 1, b"", bytes(16), bytes(32), bytes(33), "", "x",
    "Y000051000001", "log.test.example/2026", [], [[], []], [[5, "", bytes(32), 3], []], {}, {1: 2},
)  # fmt: skip


def mutants(log: SealedLog, good: list[Evidence], seed: int, count: int) -> Iterator[bytes]:
    """`count` wrong answers, each made from one of `good`, which are answers of `log`."""
    draw = random.Random(seed)
    raws = [format_evidence(one) for one in good]
    known = [one for one in good if one.state]
    ways = (_flip, _cut, _exchange, _part, _note_lines, _note_text)
    for at in range(count):
        if at % 2:
            yield draw.choice(ways)(draw, raws)
        else:
            yield _lie(draw, log, draw.choice(known))


def _flip(draw: random.Random, raws: list[bytes]) -> bytes:
    changed = bytearray(draw.choice(raws))
    for _ in range(draw.choice((1, 1, 2))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(draw: random.Random, raws: list[bytes]) -> bytes:
    raw, at = draw.choice(raws), draw.randrange(500)
    return draw.choice(
        (raw[:-1], raw + b"\x00", raw[: at + 1], raw[:at] + raw[at + 1 :], raw[:at] + b"\x18" + raw[at:])
    )


def _exchange(draw: random.Random, raws: list[bytes]) -> bytes:
    """One or two parts of another answer."""
    parts, other = cbor2.loads(draw.choice(raws)), cbor2.loads(draw.choice(raws))
    for at in draw.sample(range(1, 13), draw.choice((1, 1, 2))):
        parts[at] = other[at]
    return cbor2.dumps(parts)


def _part(draw: random.Random, raws: list[bytes]) -> bytes:
    """Something inside one part: a hash dropped, added, exchanged; an odd value; a part emptied."""
    parts = cbor2.loads(draw.choice(raws))
    at = draw.randrange(13)
    part = parts[at]
    paths = [item for item in (part, *(part if isinstance(part, list) else [])) if isinstance(item, list) and item]
    match draw.randrange(4):
        case 0 if paths:
            path = draw.choice(paths)
            path.pop(draw.randrange(len(path)))
        case 1 if paths:
            path = draw.choice(paths)
            path.insert(draw.randrange(len(path) + 1), draw.choice((bytes(32), path[0], b"short", 5)))
        case 2 if isinstance(part, list):
            parts[at] = []
        case _:
            parts[at] = draw.choice(ODD)
    return cbor2.dumps(parts)


def _note_lines(draw: random.Random, raws: list[bytes]) -> bytes:
    """Signature lines left out, doubled, in another order, renamed, of somebody else."""
    parts = cbor2.loads(draw.choice(raws))
    text, _, tail = parts[2].decode().rpartition("\n\n")
    lines = tail.split("\n")[:-1]
    match draw.randrange(6):
        case 0:
            lines.pop(draw.randrange(len(lines)))
        case 1:
            lines.append(draw.choice(lines))
        case 2:
            draw.shuffle(lines)
        case 3:
            at = draw.randrange(len(lines))
            old, new = draw.choice((("witness", "Witness"), ("auditor", "audit or"), ("log", "l+g"), ("— ", "- ")))
            lines[at] = lines[at].replace(old, new)
        case 4:
            lines.append(
                "\N{EM DASH} somebody.example " + draw.choice(("AAAAAAE=", "AAAAAA==", "AAAA", "AAAAAAF=", "?"))
            )
        case _:
            at = draw.randrange(len(lines))
            lines[at] += draw.choice((" ", "=", "\r", "\n"))
    parts[2] = (text + "\n\n" + "".join(line + "\n" for line in lines)).encode()
    return cbor2.dumps(parts)


def _note_text(draw: random.Random, raws: list[bytes]) -> bytes:
    """Another text under true signatures of it: odd sizes and roots, another origin, lines too many."""
    parts = cbor2.loads(draw.choice(raws))
    origin, size, root, *_ = parts[2].decode().split("\n")
    text = draw.choice(
        (
            f"{origin}\n0{size}\n{root}\n", f"{origin}\n{size}\n{root}\nmore\n", f"{origin} \n{size}\n{root}\n",
            f"other.example\n{size}\n{root}\n", f"{origin}\n{int(size) + 1}\n{root}\n", f"{origin}\n{size}\n{root}",
            f"{origin}\n{size}\n{root[:-2]}==\n", f"{origin}\n-{size}\n{root}\n", f"{origin}\n{2**63}\n{root}\n",
        )
    )  # fmt: skip
    text = text if text.endswith("\n") else text + "\n\n"
    parts[2] = sign_note(text, 1_780_000_000 + draw.randrange(9))
    return cbor2.dumps(parts)


def sign_note(text: str, time_s: int) -> bytes:
    """The note of any text by the log, both witnesses and the auditor."""
    lines = [f"\N{EM DASH} {ORIGIN} {_line(LOG_KEY.key_id + LOG.sign(text.encode()))}\n"]
    for (name, signer), key in zip((*WITNESSES, AUDITOR), (*WITNESS_KEYS, AUDITOR_KEY), strict=True):
        signature = signer.sign(f"cosignature/v1\ntime {time_s}\n{text}".encode())
        lines.append(f"\N{EM DASH} {name} {_line(key.key_id + time_s.to_bytes(8, 'big') + signature)}\n")
    return (text + "\n" + "".join(lines)).encode()


def _line(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _lie(draw: random.Random, log: SealedLog, good: Evidence) -> bytes:
    """State, seal or named statements changed, and everything that binds them made anew."""
    array, seal = cbor2.loads(good.state), cbor2.loads(good.seal.entry)
    entries, covered = list(log.entries), seal[1]
    issued, index = entries[array[7]], array[7]
    extra: dict[str, Any] = {}
    match draw.randrange(7):
        case 0 | 1:
            array[draw.randrange(19)] = draw.choice(ODD)
        case 2:
            place = draw.choice((1, 2, 3, 7, 9, 11, 13, 14))
            array[place] += draw.choice((-1, 1, 2))
        case 3:
            seal[draw.randrange(7)] = draw.choice(ODD)
        case 4:  # another statement, as if it had issued this
            index = draw.randrange(len(entries))
            issued = entries[index]
            array[7], array[8] = index, slow_tree.leaf(issued)
        case 5:  # another statement behind what is named
            other = draw.choice(entries)
            array[draw.choice((6, 10, 12))] = slow_tree.leaf(other)
            extra = {draw.choice(("commitments", "event", "terms")): other}
        case _:  # another highest
            place = draw.randrange(len(entries))
            array[18] = [[draw.choice((4, 5)), "", draw.choice((good.cert_key, bytes(32))), place], []]
            extra = {"highest": Indexed(entries[place], place, ())}
    state = cbor2.dumps(array)
    leaves = dict(log.maps[covered][0])
    key = certificate_map_key(good.cert_key)
    leaves[key] = cert_value(array)
    if isinstance(seal[3], bytes) and len(seal[3]) == 32:
        seal[3] = slow_tree.map_root(leaves)
    entries[covered] = cbor2.dumps(seal)
    hashes = [slow_tree.leaf(entry) for entry in entries]

    def placed(at: int) -> Placed:
        return Placed(entries[at], tuple(slow_tree.inclusion(at, hashes)))

    highest = extra.get("highest", good.highest)
    if highest is not None:
        highest = Indexed(highest.entry, highest.index, placed(highest.index).inclusion)
    following = None
    if good.next is not None:
        following = placed(cbor2.loads(good.next.entry)[1])
    text = format_checkpoint(Checkpoint(ORIGIN, len(entries), slow_tree.root(hashes)))
    proof = format_map_proof(prove(key, sorted(leaves.items())))
    parts = [
        "certledger/evidence/v1", good.cert_key, sign_note(text, log.time // 1000), entries[covered],
        list(placed(covered).inclusion), [following.entry, list(following.inclusion)] if following else [], proof,
        state, [issued, list(placed(index).inclusion)], *([one] if one else [] for one in (
            extra.get("commitments", good.commitments), extra.get("event", good.event))),
        extra.get("terms", good.terms),
        [highest.entry, highest.index, list(highest.inclusion)] if highest else [],
    ]  # fmt: skip
    return cbor2.dumps(parts)
