"""A second verifier of evidence, from docs/formats.md alone: hashlib, cbor2 and PyNaCl, no code of the product.

    told = check(raw, trust)        what the evidence proves, as plain values; raises Bad with the step that failed

`trust`: {"origin", "log_keys": [vkey], "policy": text, "auditors": [vkey]}. Only Ed25519 keys: types 0x01 and 0x04.
Steps as in the product's: 0 form, 1 checkpoint, 2 seal, 3 next, 4 map, 5 state, 6 issued, 7 named, 8 highest.
`tests/interop/js/verify.mjs` is the same in another language.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from hashlib import sha256
from typing import Any

import cbor2
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

_SPACE = re.compile("[\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000+\x00-\x1f]")
_TEXT = re.compile(r"[1-9][0-9]*|0")
TOP = 2**63 - 1


class Bad(Exception):
    """The evidence does not prove what it says; the text names the step."""

    def __init__(self, step: int, why: str) -> None:
        super().__init__(f"step {step}: {why}")
        self.step = step


def need(holds: object, step: int, why: str) -> None:
    if not holds:
        raise Bad(step, why)


# ---- CBOR: one spelling only -----------------------------------------------------------------------------------------


def decode(raw: bytes) -> Any:
    """Deterministic CBOR of the profile: integers, byte strings, NFC text, arrays, maps with rising keys 0..65535."""
    value, end = _item(raw, 0, 8)
    need(end == len(raw), 0, "bytes after the document")
    need(cbor2.dumps(value) == raw, 0, "cbor2 would write it otherwise")
    return value


def _item(raw: bytes, at: int, depth: int) -> tuple[Any, int]:
    need(at < len(raw), 0, "the document is cut short")
    major, low, at = raw[at] >> 5, raw[at] & 31, at + 1
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(low, 0)
    need(low < 28 and at + size <= len(raw), 0, "an argument of this profile")
    number = int.from_bytes(raw[at : at + size], "big") if size else low
    need(not size or number >= (24 if size == 1 else 1 << (4 * size)), 0, "an integer longer than needed")
    at += size
    if major in (0, 1):
        return (number if major == 0 else -1 - number), at
    if major in (2, 3):
        need(at + number <= len(raw), 0, "a string is cut short")
        piece = raw[at : at + number]
        if major == 2:
            return piece, at + number
        try:
            text = piece.decode()
        except UnicodeDecodeError:
            raise Bad(0, "text that is not UTF-8") from None
        need(unicodedata.is_normalized("NFC", text), 0, "text that NFC changes")
        return text, at + number
    need(major in (4, 5) and depth > 0, 0, "no tags, floats, simple values or deep nesting")
    need(number <= len(raw), 0, "more items than bytes")
    if major == 4:
        items = []
        for _ in range(number):
            item, at = _item(raw, at, depth - 1)
            items.append(item)
        return items, at
    found: dict[int, Any] = {}
    for _ in range(number):
        key, at = _item(raw, at, depth - 1)
        need(type(key) is int and 0 <= key < 65536 and key > max(found, default=-1), 0, "keys rise, 0..65535")
        found[key], at = _item(raw, at, depth - 1)
    return found, at


# ---- signed notes ----------------------------------------------------------------------------------------------------


def _unbase64(text: str, step: int) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raise Bad(step, "not base64") from None
    need(base64.b64encode(raw).decode() == text, step, "base64 in another spelling")
    return raw


def read_vkey(text: str) -> dict[str, Any]:
    name, rest = text.split("+", 1)
    key_id, encoded = rest.split("+", 1)
    raw = base64.b64decode(encoded)
    return {"name": name, "id": bytes.fromhex(key_id), "type": raw[0], "public": raw[1:], "vkey": text}


def _name(name: str) -> bool:
    return 0 < len(name.encode("utf-8", "surrogatepass")) <= 255 and _SPACE.search(name) is None


def _decimal(text: str, step: int) -> int:
    need(_TEXT.fullmatch(text) and len(text) <= 19 and int(text) <= TOP, step, "not a plain decimal")
    return int(text)


def holds(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(public).verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def open_note(raw: bytes, keys: list[dict[str, Any]]) -> tuple[str, dict[str, int]]:
    """The text, and when each known key signed it (0: a signature without a time)."""
    need(len(raw) <= 65536, 1, "a note of more than 64 KiB")
    try:
        whole = raw.decode()
    except UnicodeDecodeError:
        raise Bad(1, "a note that is not UTF-8") from None
    cut = whole.rfind("\n\n")
    need(cut >= 0 and whole.endswith("\n") and len(whole) > cut + 2, 1, "text, empty line, signature lines")
    text, lines = whole[: cut + 1], whole[cut + 2 : -1].split("\n")
    need(not re.search(r"[\x00-\x09\x0b-\x1f]", text) and 1 <= len(lines) <= 64, 1, "control characters or lines")
    times: dict[str, int] = {}
    for line in lines:
        parts = line.split(" ")
        need(len(parts) == 3 and parts[0] == "\N{EM DASH}" and _name(parts[1]), 1, "not a signature line")
        blob = _unbase64(parts[2], 1)
        need(len(blob) > 4, 1, "a signature line without a signature")
        for key in keys:
            if (key["name"], key["id"]) == (parts[1], blob[:4]):
                need(key["vkey"] not in times, 1, "two lines of one key")
                times[key["vkey"]] = _signed(key, text, blob[4:])
    need(times, 1, "signed by nobody known")
    return text, times


def _signed(key: dict[str, Any], text: str, blob: bytes) -> int:
    if key["type"] == 1:
        need(len(blob) == 64 and holds(key["public"], text.encode(), blob), 1, "a log signature does not hold")
        return 0
    need(key["type"] == 4, 1, "a key of a type that this verifier does not know")
    read_checkpoint(text)
    time = int.from_bytes(blob[:8], "big")
    need(len(blob) == 72 and 0 < time <= TOP, 1, "a cosignature of another length or without a time")
    message = f"cosignature/v1\ntime {time}\n{text}".encode()
    need(holds(key["public"], message, blob[8:]), 1, "a cosignature does not hold")
    return time


def read_checkpoint(text: str) -> tuple[str, int, bytes]:
    lines = text.split("\n")
    need(len(lines) == 4 and not lines[3] and len(text) <= 512 and _name(lines[0]), 1, "not a checkpoint")
    root = _unbase64(lines[2], 1)
    need(len(root) == 32, 1, "a root of 32 bytes")
    return lines[0], _decimal(lines[1], 1), root


def quorum(policy: str, times: dict[str, int]) -> int | None:
    """The newest moment at which the quorum stood behind it; 0 when the policy asks for none; None when it is short."""
    moments: dict[str, int] = {}
    wanted = ""
    for line in policy.split("\n"):
        items = line.split()
        if items[:1] == ["witness"] and items[2] in times:
            moments[items[1]] = times[items[2]]
        elif items[:1] == ["group"]:
            k = {"any": 1, "all": len(items) - 3}.get(items[2]) or int(items[2])
            newest = sorted((moments[name] for name in items[3:] if name in moments), reverse=True)
            if len(newest) >= k:
                moments[items[1]] = newest[k - 1]
        elif items[:1] == ["quorum"]:
            wanted = items[1]
    return 0 if wanted == "none" else moments.get(wanted)


# ---- trees -----------------------------------------------------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def root_of(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """RFC 9162 2.1.3 read backwards: the last hash of the path is the other half of the whole tree."""
    if not 0 <= index < size:
        return None
    if size == 1:
        return leaf if not path else None
    if not path:
        return None
    half = 1 << ((size - 1).bit_length() - 1)
    if index < half:
        inner = root_of(leaf, index, half, path[:-1])
        return None if inner is None else sha256(b"\x01" + inner + path[-1]).digest()
    inner = root_of(leaf, index - half, size - half, path[:-1])
    return None if inner is None else sha256(b"\x01" + path[-1] + inner).digest()


def _bit(key: bytes, bit: int) -> int:
    return key[bit // 8] >> (7 - bit % 8) & 1


def map_leads(root: bytes, key: bytes, value: bytes | None, proof: bytes) -> bool:
    """Whether the proof shows (key, value), or with None that there is no value, under the map root."""
    head, rest = (b"", proof) if len(proof) % 33 == 0 else (proof[:64], proof[64:])
    need(len(proof) <= 64 + 256 * 33 and len(rest) % 33 == 0 and len(head) in (0, 64), 4, "a map proof's length")
    siblings = [(rest[at], rest[at + 1 : at + 33]) for at in range(0, len(rest), 33)]
    bits = [bit for bit, _ in siblings]
    need(bits == sorted(set(bits), reverse=True), 4, "bits fall")
    if value is None:
        if not head:
            return not siblings and root == sha256(b"").digest()
        other, found = head[:32], head[32:]
        if other == key or any(_bit(key, bit) != _bit(other, bit) for bit in bits):
            return False
    else:
        if head:
            return False
        other, found = key, value
    return _climb(sha256(other + found).digest(), key, siblings) == root


def _climb(node: bytes, key: bytes, siblings: list[tuple[int, bytes]]) -> bytes:
    for bit, sibling in siblings:
        pair = sibling + node if _bit(key, bit) else node + sibling
        node = sha256(pair + bytes([bit])).digest()
    return node


# ---- statements ------------------------------------------------------------------------------------------------------


def read_statement(entry: bytes, step: int) -> dict[str, Any]:
    """What is needed of one: kind, subject's cert key, grade, issuer, fields, and the one signature to check."""
    single = entry[:1] == b"\xd2"
    need(single or entry[:2] == b"\xd8\x62", step, "neither COSE_Sign1 nor COSE_Sign")
    parts = decode(entry[1 if single else 2 :])
    need(isinstance(parts, list) and len(parts) == 4 and parts[1] == {}, step, "four parts, an empty header")
    protected, payload, last = parts[0], parts[2], parts[3]
    need(isinstance(protected, bytes) and isinstance(payload, bytes), step, "a header and a payload in bytes")
    header, fields = decode(protected), decode(payload)
    wanted = {1, 3, 4, 15} if single else {3, 15}
    need(isinstance(header, dict) and set(header) == wanted and isinstance(fields, dict), step, "a header of this form")
    claims = header[15]
    need(header[3] == 60 and header.get(1, -8) == -8, step, "algorithm and content")
    need(isinstance(claims, dict) and set(claims) == {1, 2}, step, "two claims")
    issuer, subject = claims.values()
    need(type(issuer) is type(subject) is str and not re.search("[+/]", subject), step, "issuer and subject")
    standard = subject.replace("-", "+").replace("_", "/")
    cert = _unbase64(standard + "=", step) if single and len(subject) == 43 else b""
    return {
        "kind": fields.get(1), "cert": cert, "grade": fields.get(4), "issuer": issuer, "fields": fields,
        "signature": last, "kid": header.get(4), "leaf": leaf_hash(entry),
        "signed": cbor2.dumps(["Signature1", protected, b"", payload]),
    }  # fmt: skip


def _issues(said: dict[str, Any], cert: bytes, grade: int, step: int) -> None:
    need(said["kind"] in (12, 13, 19) and (said["cert"], said["grade"]) == (cert, grade), step, "another certificate's")


# ---- the evidence ----------------------------------------------------------------------------------------------------


def _form(raw: bytes) -> list[Any]:
    need(len(raw) <= 160 * 1024, 0, "more than 160 KiB")
    parts = decode(raw)
    kinds = [str, bytes, bytes, bytes, list, list, bytes, bytes, list, list, list, bytes, list]
    need(isinstance(parts, list) and [type(part) for part in parts] == kinds, 0, "thirteen parts")
    label, cert, note, seal, path, following, _, state, issued, commitments, event, terms, highest = parts
    need(label == "certledger/evidence/v1" and len(cert) == 32 and 0 < len(note) <= 65536, 0, "label, cert key, note")
    need(0 < len(seal) <= 256 and len(state) <= 2048 and len(terms) <= 8192, 0, "sizes")
    for placed in (following, issued):
        need(not placed or (len(placed) == 2 and type(placed[0]) is bytes), 0, "[entry, [inclusion]] or nothing")
    for alone in (commitments, event):
        need(not alone or (len(alone) == 1 and type(alone[0]) is bytes and alone[0]), 0, "[entry] or nothing")
    need(not highest or (len(highest) == 3 and type(highest[0]) is bytes and type(highest[1]) is int), 0, "highest")
    need(not highest or 0 <= highest[1] <= TOP, 0, "an index of a log")
    for entry in (*following[:1], *issued[:1], *commitments, *event, *highest[:1]):
        need(0 < len(entry) <= 8192, 0, "an entry has 1 to 8192 bytes")
    need(not following or len(following[0]) <= 256, 0, "a seal has at most 256 bytes")
    for hashes in (path, *following[1:], *issued[1:], *highest[2:]):
        need(type(hashes) is list and len(hashes) <= 63, 0, "an inclusion has at most 63 hashes")
        need(all(type(item) is bytes and len(item) == 32 for item in hashes), 0, "hashes have 32 bytes")
    need(bool(state) == bool(issued), 0, "a state comes with the statement that issued it")
    need(state or not (commitments or event or terms or highest), 0, "of an absent certificate nothing is shown")
    return parts  # type: ignore[no-any-return]


def _seal(entry: bytes, step: int) -> dict[str, Any]:
    parts = decode(entry)
    kinds = [str, int, int, bytes, int, bytes, int]
    need(isinstance(parts, list) and [type(part) for part in parts] == kinds, step, "a seal has seven parts")
    label, covered, time, root, count, chain, previous = parts
    need(label == "certledger/seal/v1" and len(root) == len(chain) == 32, step, "a seal of this version")
    need(-1 <= previous < covered and time >= 0 and count >= 0, step, "a seal's numbers")
    return {"covered": covered, "time": time, "root": root, "previous": previous}


def _state(raw: bytes) -> list[Any]:
    array = decode(raw)
    kinds = [
        int,
        int,
        int,
        int,
        str,
        bytes,
        bytes,
        int,
        bytes,
        int,
        bytes,
        int,
        bytes,
        int,
        int,
        bytes,
        bytes,
        bytes,
        list,
    ]
    need(isinstance(array, list) and [type(part) for part in array] == kinds, 5, "a state has nineteen parts")
    need(array[0] == 1 and 1 <= array[1] <= 6 and array[2] in (12, 13, 19), 5, "version, status and kind")
    need(all(len(array[at]) == 32 for at in (5, 6, 8, 10, 12)) and len(array[17]) == 16, 5, "lengths")
    need(len(array[15]) in (0, 32) and len(array[16]) in (0, 32) and 0 <= array[7] <= array[11], 5, "its events")
    shapes = [[type(item) for item in part] if isinstance(part, list) else None for part in array[18]]
    need(len(shapes) == 2 and shapes[0] in ([], [int, str, bytes, int]), 5, "the highest grade")
    need(len(shapes[1]) % 5 == 0, 5, "the posts")
    need(shapes[1] == [int, bytes, int, int, int] * (len(shapes[1]) // 5), 5, "the posts")
    return array  # type: ignore[no-any-return]


def check(raw: bytes, trust: dict[str, Any]) -> dict[str, Any]:
    """Judge evidence under `trust`. Raises Bad."""
    _, cert, note, seal, path, following, proof, state, issued, commitments, event, terms, highest = _form(raw)
    log = [read_vkey(text) for text in trust["log_keys"]]
    witnesses = [read_vkey(line.split()[2]) for line in trust["policy"].split("\n") if line.startswith("witness ")]
    auditors = [read_vkey(text) for text in trust["auditors"]]
    text, times = open_note(note, [*log, *witnesses, *auditors])  # 1
    origin, size, root = read_checkpoint(text)
    need(all(key["vkey"] in times for key in log) and origin == trust["origin"], 1, "not all log keys, or another log")
    time = quorum(trust["policy"], times)
    need(time is not None, 1, "short of the quorum")
    audited = [times[key["vkey"]] for key in auditors if key["vkey"] in times]

    def included(entry: bytes, index: int, hashes: list[bytes], step: int) -> None:
        need(root_of(leaf_hash(entry), index, size, hashes) == root, step, "the inclusion leads to another root")

    this = _seal(seal, 2)  # 2
    included(seal, this["covered"], path, 2)
    need((this["covered"] == size - 1) == (not following), 2, "an older seal comes with the next, the newest without")
    after = None
    if following:  # 3
        after = _seal(following[0], 3)
        included(following[0], after["covered"], following[1], 3)
        need(after["previous"] == this["covered"] and after["time"] > this["time"], 3, "it does not follow")
    told = {
        "cert_key": cert.hex(), "size": size, "root": root.hex(), "time": time or this["time"] // 1000,
        "auditor_time": max(audited, default=None), "seal": this["covered"],
        "next_seal": after["covered"] if after else -1, "map_root": this["root"].hex(), "status": 0,
        "highest_grade": 0, "map_value": "",
    }  # fmt: skip
    place = sha256(b"certledger/map/cert/v1\n" + cert).digest()  # 4
    value = sha256(b"certledger/cert-state/v1\n" + state).digest() if state else None
    need(map_leads(this["root"], place, value, proof), 4, "the map proof leads elsewhere")
    told["map_key"] = place.hex()
    if value is None:
        return told
    array = _state(state)  # 5
    _, status, kind, grade, issuer, record, filing_leaf, index, leaf = array[:9]
    commitment_leaf, event_leaf, summary = array[10], array[12], array[18]
    said = read_statement(issued[0], 6)  # 6
    need(said["leaf"] == leaf and index < this["covered"], 6, "not the statement that the state names")
    included(issued[0], index, issued[1], 6)
    _issues(said, cert, grade, 6)
    need(said["kind"] == kind and holds(record, said["signed"], said["signature"]), 6, "kind or signature")
    known = [said["leaf"]]  # 7
    for entry, named in ((commitments, commitment_leaf), (event, event_leaf)):
        if named in known:
            need(not entry, 7, "a statement given twice")
        else:
            need(leaf_hash(entry[0] if entry else b"") == named, 7, "not the statement that the state names")
            read_statement(entry[0], 7)
            known.append(named)
    if terms:
        filing = read_statement(terms, 7)
        need(filing["leaf"] == filing_leaf and filing["kind"] in (4, 5), 7, "not a filing, or not the one named")
        need(filing["fields"][2] == issuer, 7, "not the filing that the state names")
        need(
            kind == 19 or record in [key[1] for key in filing["fields"][8]],
            7,
            "the filing does not list the record key",
        )
    best = summary[0]
    if highest:  # 8
        need(best and best[2] != cert and highest[1] < this["covered"], 8, "a highest that the state does not name")
        included(highest[0], highest[1], highest[2], 8)
        _issues(read_statement(highest[0], 8), best[2], best[0], 8)
    told |= {"status": status, "map_value": value.hex(), "highest_grade": best[0] if best else 0}
    return told
