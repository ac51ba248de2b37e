"""Key files: what is sealed comes back, all else is a typed error, nothing is overwritten or left open."""

from __future__ import annotations

import base64
import json
import os
import stat
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from ledger import keystore
from ledger.errors import CertLedgerError, Malformed, Refused, Unavailable, Unverified
from ledger.keystore import (
    Cost,
    SecretKey,
    change_passphrase,
    create_key_file,
    new_key,
    open_key_file,
    open_keys,
    public_part,
    read_passphrase,
    seal_keys,
)
from ledger.text import Text

CHEAP = Cost(memory_kib=8, passes=1, lanes=1)
PASSPHRASE = "正确的口令 correct horse".encode()
PROMPT = Text("记录密钥口令", "record key passphrase")


def drawing(label: str = "test"):
    """A repeatable source: no two draws are equal."""
    serial = count()
    return lambda n: (sha256(f"{label}{next(serial)}".encode()).digest() * (n // 32 + 1))[:n]


DRAW = drawing()
KEYS = {
    "record": new_key("ed25519", "签发密钥 2026", created_day=20_000, random_bytes=DRAW),
    "log-pq": new_key("ml-dsa-44", "log key", created_day=20_001, random_bytes=DRAW),
    "index-1": new_key("index", "", created_day=20_002, random_bytes=DRAW),
}
SEALED = seal_keys(KEYS, PASSPHRASE, cost=CHEAP, random_bytes=DRAW)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "issuer.keys"
    create_key_file(path, KEYS, PASSPHRASE, cost=CHEAP, random_bytes=drawing())
    return path


def test_what_was_sealed_comes_back(key_file: Path) -> None:
    opened = open_key_file(key_file, PASSPHRASE)
    assert dict(opened.keys) == KEYS and list(opened.keys) == list(KEYS)
    assert opened.key("record", "ed25519") == KEYS["record"]


def test_public_keys_belong_to_their_seeds() -> None:
    record, quantum, index = KEYS.values()
    assert record.public == bytes(SigningKey(record.secret).verify_key)
    seed = MLDSA44PrivateKey.from_seed_bytes(quantum.secret)
    assert quantum.public == seed.public_key().public_bytes_raw()
    assert index.public is None


def test_people_pay_256_mib_by_default() -> None:
    assert keystore.PERSON_COST.memory_kib == 256 * 1024
    assert create_key_file.__kwdefaults__["cost"] is keystore.PERSON_COST
    assert change_passphrase.__kwdefaults__["cost"] is keystore.PERSON_COST


def test_the_public_part_needs_no_passphrase_and_holds_no_secret(key_file: Path) -> None:
    listed = public_part(key_file)
    assert [(k.name, k.kind, k.label, k.created_day, k.public) for k in listed] == [
        (name, k.kind, k.label, k.created_day, k.public) for name, k in KEYS.items()
    ]
    assert listed[0].fingerprint == sha256(KEYS["record"].public or b"").hexdigest()
    assert listed[2].fingerprint is None
    text = key_file.read_bytes()
    for key in KEYS.values():
        assert key.secret not in text and key.secret.hex() not in repr(key)
        assert repr(key.secret) not in repr(key)


def test_the_file_is_private_durable_and_alone(key_file: Path) -> None:
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert list(key_file.parent.iterdir()) == [key_file]


def test_file_and_folder_are_synced_before_the_name_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen, real = tmp_path / "k", [], os.fsync

    def fsync(descriptor: int) -> None:
        seen.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    create_key_file(path, KEYS, PASSPHRASE, cost=CHEAP, random_bytes=drawing())
    assert seen == [(False, False), (True, True)]
    seen.clear()
    change_passphrase(path, PASSPHRASE, b"another one", cost=CHEAP, random_bytes=drawing("b"))
    assert seen == [(False, True), (True, True)]


def test_nothing_is_overwritten(key_file: Path) -> None:
    before = key_file.read_bytes()
    with pytest.raises(Refused, match="key_file_exists"):
        create_key_file(key_file, KEYS, PASSPHRASE, cost=CHEAP, random_bytes=drawing("b"))
    assert key_file.read_bytes() == before
    assert list(key_file.parent.iterdir()) == [key_file]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666])
def test_a_file_open_to_others_is_refused_with_the_remedy(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    for use in (lambda: open_key_file(key_file, PASSPHRASE), lambda: public_part(key_file)):
        with pytest.raises(Refused) as caught:
            use()
        assert caught.value.code == "file_open_to_others"
        assert "chmod 600" in caught.value.text.zh and "chmod 600" in caught.value.text.en


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file_opens(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    assert open_key_file(key_file, PASSPHRASE).keys == KEYS


def test_no_file_no_folder_and_no_regular_file(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        open_key_file(tmp_path / "absent", PASSPHRASE)
    with pytest.raises(Unavailable):
        open_key_file(tmp_path, PASSPHRASE)
    with pytest.raises(Unavailable):
        create_key_file(tmp_path / "no" / "k", KEYS, PASSPHRASE, cost=CHEAP, random_bytes=drawing())
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(Malformed):
        open_key_file(tmp_path / "fifo", PASSPHRASE)


@pytest.mark.parametrize("wrong", [b"x", PASSPHRASE + b" ", PASSPHRASE[:-1], PASSPHRASE.upper()])
def test_a_wrong_passphrase_is_unverified(wrong: bytes) -> None:
    with pytest.raises(Unverified) as caught:
        open_keys(SEALED, wrong)
    assert caught.value.text is not None
    assert "口令不对" in caught.value.text.zh and "wrong passphrase" in caught.value.text.en


@pytest.mark.parametrize("form", [b"", b"x" * 1025])
def test_a_passphrase_has_a_form(form: bytes) -> None:
    with pytest.raises(Malformed):
        open_keys(SEALED, form)
    with pytest.raises(CertLedgerError):
        seal_keys(KEYS, form, cost=CHEAP, random_bytes=drawing())
    with pytest.raises(Refused, match="passphrase_too_short"):
        seal_keys(KEYS, b"short", cost=CHEAP, random_bytes=drawing())


def test_every_changed_byte_is_noticed() -> None:
    for position in range(len(SEALED)):
        for bit in (0x01, 0x20, 0x80):
            changed = bytearray(SEALED)
            changed[position] ^= bit
            with pytest.raises((Unverified, Malformed)):
                open_keys(bytes(changed), PASSPHRASE)


def test_every_prefix_and_every_extension_is_malformed() -> None:
    for end in range(0, len(SEALED), 7):
        with pytest.raises(Malformed):
            open_keys(SEALED[:end], PASSPHRASE)
    for extra in (b"\n", b" ", b"\0", b"{}", SEALED):
        with pytest.raises(Malformed):
            open_keys(SEALED + extra, PASSPHRASE)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.sampled_from([b"[" * 60_000, b'{"format":' * 6_000, b"9" * 60_000]))
def test_foreign_bytes_are_malformed(junk: bytes) -> None:
    with pytest.raises(Malformed):
        open_keys(junk, PASSPHRASE)


def rewritten(**changes: object) -> bytes:
    return json.dumps(json.loads(SEALED) | changes, indent=2, ensure_ascii=False).encode() + b"\n"


def test_the_rewriting_below_keeps_the_form() -> None:
    assert rewritten() == SEALED


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "certledger/keys/v2"},
        {"kdf": "scrypt"},
        {"cipher": "none"},
        {"salt": ""},
        {"nonce": "AAAA"},
        {"sealed": None},
        {"keys": []},
        {"keys": json.loads(SEALED)["keys"] * 2},
        {"keys": [json.loads(SEALED)["keys"][0] | {"label": "\x1b[2J"}]},
        {"keys": [json.loads(SEALED)["keys"][0] | {"kind": "rsa"}]},
        {"keys": [json.loads(SEALED)["keys"][0] | {"name": "Record"}]},
        {"cost": {"memory_kib": 2**20 + 1, "passes": 1, "lanes": 1}},
        {"cost": {"memory_kib": 8, "passes": 11, "lanes": 1}},
        {"cost": {"memory_kib": 64, "passes": 1, "lanes": 9}},
        {"cost": {"memory_kib": 7, "passes": 1, "lanes": 1}},
        {"cost": {"memory_kib": 8, "passes": 0, "lanes": 1}},
        {"cost": {"memory_kib": True, "passes": 1, "lanes": 1}},
        {"more": 1},
    ],
)
def test_other_versions_algorithms_costs_and_fields_are_malformed(changes: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        open_keys(rewritten(**changes), PASSPHRASE)
    path = tmp_path / "k"
    path.touch(0o600)
    path.write_bytes(rewritten(**changes))
    with pytest.raises(Malformed):
        public_part(path)


def test_an_unknown_version_is_named() -> None:
    with pytest.raises(Malformed, match="unknown version"):
        open_keys(rewritten(format="certledger/keys/v2"), PASSPHRASE)


def test_header_fields_are_authenticated() -> None:
    entries = json.loads(SEALED)["keys"]
    other = new_key("ed25519", "x", created_day=1, random_bytes=drawing("other"))
    swapped = [entries[0] | {"public": base64.b64encode(other.public or b"").decode()}, *entries[1:]]
    renamed = [entries[0] | {"label": "签发密钥 2027"}, *entries[1:]]
    for keys in (swapped, renamed, entries[:2], list(reversed(entries))):
        with pytest.raises(Unverified):
            open_keys(rewritten(keys=keys), PASSPHRASE)


def test_another_spelling_of_the_same_json_is_malformed() -> None:
    with pytest.raises(Malformed):
        open_keys(json.dumps(json.loads(SEALED)).encode(), PASSPHRASE)
    with pytest.raises(Malformed):
        open_keys(SEALED.replace(b'"kdf":', b'"kdf": "x",\n  "kdf":'), PASSPHRASE)
    with pytest.raises(Malformed):
        open_keys(SEALED.replace(b"\n", b"\r\n"), PASSPHRASE)


def test_an_oversized_file_is_malformed_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.touch(0o600)
    os.truncate(path, 2**40)  # sparse: reading it whole would not end well
    with pytest.raises(Malformed):
        open_key_file(path, PASSPHRASE)
    with pytest.raises(Malformed):
        open_keys(SEALED + b" " * 2**16, PASSPHRASE)


def test_the_largest_set_fits_its_own_ceiling() -> None:
    draw = drawing()
    keys = {
        f"{'k' * 38}{i:02}": new_key("ml-dsa-44", "标" * 100, created_day=1, random_bytes=draw)
        for i in range(keystore.MAX_KEYS)
    }
    assert open_keys(seal_keys(keys, PASSPHRASE, cost=CHEAP, random_bytes=draw), PASSPHRASE).keys == keys
    keys["one-more"] = KEYS["record"]
    for bad in (keys, {}, {"Upper": KEYS["record"]}, {"": KEYS["record"]}, {"a\n": KEYS["record"]}):
        with pytest.raises(Malformed):
            seal_keys(bad, PASSPHRASE, cost=CHEAP, random_bytes=draw)


def test_a_half_valid_key_cannot_exist() -> None:
    good = KEYS["record"]
    with pytest.raises(Unverified):
        SecretKey("ed25519", "x", good.secret, KEYS["log-pq"].public, 1)
    with pytest.raises(Unverified):
        SecretKey("index", "x", good.secret, good.public, 1)
    for kind, label, secret, day in [
        ("sm2", "x", good.secret, 1),
        ("ed25519", "x\n", good.secret, 1),
        ("ed25519", "x" * 101, good.secret, 1),
        ("ed25519", "x", good.secret[:31], 1),
        ("ed25519", "x", good.secret, -1),
    ]:
        with pytest.raises(Malformed):
            SecretKey(kind, label, secret, good.public, day)
    with pytest.raises(Malformed):
        new_key("sm2", "x", created_day=1, random_bytes=drawing())


def test_a_missing_key_is_named(key_file: Path) -> None:
    opened = open_key_file(key_file, PASSPHRASE)
    for name, kind in [("absent", "ed25519"), ("record", "ml-dsa-44")]:
        with pytest.raises(Refused, match="key_missing") as caught:
            opened.key(name, kind)
        assert caught.value.field == name


def test_changing_the_passphrase_keeps_the_keys_and_nothing_else(key_file: Path) -> None:
    before = json.loads(key_file.read_bytes())
    change_passphrase(key_file, PASSPHRASE, b"a new passphrase", cost=CHEAP, random_bytes=drawing("b"))
    after = json.loads(key_file.read_bytes())
    assert open_key_file(key_file, b"a new passphrase").keys == KEYS
    with pytest.raises(Unverified):
        open_key_file(key_file, PASSPHRASE)
    assert before["salt"] != after["salt"] and before["nonce"] != after["nonce"]
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert list(key_file.parent.iterdir()) == [key_file]


def test_a_failed_change_leaves_the_old_file(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_file.read_bytes()
    with pytest.raises(Unverified):
        change_passphrase(key_file, b"wrong passphrase", b"a new passphrase", cost=CHEAP)
    with pytest.raises(Refused):
        change_passphrase(key_file, PASSPHRASE, b"short", cost=CHEAP)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space"):
        change_passphrase(key_file, PASSPHRASE, b"a new passphrase", cost=CHEAP)
    assert key_file.read_bytes() == before
    assert list(key_file.parent.iterdir()) == [key_file]


def test_a_passphrase_comes_from_the_environment_then_the_file_then_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "pass"
    path.touch(0o600)
    path.write_bytes("来自文件\nsecond line\n".encode())
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return "来自终端"

    env = {"P": "来自环境"}
    assert read_passphrase("P", PROMPT, path, environ=env, ask=ask) == "来自环境".encode()
    assert read_passphrase("P", PROMPT, path, environ={}, ask=ask) == "来自文件".encode()
    assert asked == []
    assert read_passphrase("P", PROMPT, environ={}, ask=ask) == "来自终端".encode()
    assert len(asked) == 1 and PROMPT.zh in asked[0] and PROMPT.en in asked[0]
    assert read_passphrase("P", PROMPT, environ={}, ask=ask, confirm=True) == "来自终端".encode()
    assert len(asked) == 3


def test_a_passphrase_file_may_end_as_windows_ends_lines_but_not_be_open_or_long(tmp_path: Path) -> None:
    path = tmp_path / "pass"
    path.touch(0o600)
    path.write_bytes(b"from a file\r\n")
    assert read_passphrase("P", PROMPT, path, environ={}) == b"from a file"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(Malformed):
        read_passphrase("P", PROMPT, path, environ={})
    path.chmod(0o644)
    with pytest.raises(Refused, match="file_open_to_others"):
        read_passphrase("P", PROMPT, path, environ={})


def test_two_typed_passphrases_must_agree() -> None:
    answers = iter(["one passphrase", "another passphrase"])
    with pytest.raises(Refused, match="passphrase_mismatch"):
        read_passphrase("P", PROMPT, environ={}, ask=lambda _: next(answers), confirm=True)


def test_no_source_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def end_of_input(_: str) -> str:
        raise EOFError

    class Pipe:
        def isatty(self) -> bool:
            return False

    for stdin in (Pipe(), None):
        monkeypatch.setattr("sys.stdin", stdin)
        for environ, ask in [({}, None), ({"P": ""}, None), ({}, lambda _: ""), ({}, end_of_input)]:
            with pytest.raises(Refused, match="passphrase_missing") as caught:
                read_passphrase("P", PROMPT, environ=environ, ask=ask)
            assert "P" in caught.value.text.zh and "P" in caught.value.text.en
