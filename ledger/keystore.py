"""Secret keys at rest: one file for a small named set of keys, under one passphrase.

A key file is JSON text, readable without the passphrase (names, public keys, how the passphrase is
stretched) except for `sealed`, which holds the secrets. Layout of version 1:

    key    = Argon2id(passphrase, salt, cost)                              RFC 9106, 32 bytes
    sealed = AES-256-GCM(key, nonce, secrets in the order of `keys`, aad)  NIST SP 800-38D, 32 n + 16 bytes
    aad    = the text of the whole file with an empty `sealed`

so unlocking authenticates every byte of the file. Salt and nonce are drawn anew at each writing, hence no
(key, nonce) pair occurs twice. Secrets lie in ordinary memory while a program runs: swap has to be off or
encrypted on machines that hold keys.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from getpass import getpass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ledger.durable import replace_file, sync_folder
from ledger.errors import Malformed, Refused, Unverified, cannot_read, cannot_write
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer

FORMAT = "certledger/keys/v1"
MAX_FILE = 64 * 1024  # bytes
MAX_KEYS = 24  # so many ML-DSA-44 keys, the largest kind, still fit MAX_FILE
MIN_PASSPHRASE, MAX_PASSPHRASE = 8, 1024  # bytes; the minimum is asked when a file is written
_ALGORITHMS = ("argon2id", "aes-256-gcm")
_NOT_OPENED = Text("口令不对，或密钥文件被改动", "wrong passphrase, or the key file was altered")

_PUBLIC_OF: Mapping[str, Callable[[bytes], bytes | None]] = {
    "ed25519": lambda seed: Ed25519Signer(seed).public,
    "ml-dsa-44": lambda seed: MlDsa44Signer(seed).public,
    "index": lambda _secret: None,  # HMAC and sealing keys of the private index are derived from it
    "claims": lambda _secret: None,  # HMAC key of the nullifiers
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess at the passphrase costs (Argon2id). The ceilings stop a hostile file at 1 GiB."""

    memory_kib: int = 256 * 1024  # 8 * lanes .. 1 GiB
    passes: int = 3  # 1..10
    lanes: int = 4  # 1..8

    def __post_init__(self) -> None:
        in_range = 1 <= self.lanes <= 8 and 1 <= self.passes <= 10
        if not (in_range and 8 * self.lanes <= self.memory_kib <= 2**20):
            raise Malformed("Argon2id cost out of range")


PERSON_COST = Cost()  # about 0.6 s on two cores: a person types the passphrase
SERVICE_COST = Cost(memory_kib=64 * 1024)  # RFC 9106 second choice; for long random passphrases of services
LIGHT_COST = Cost(memory_kib=1024, passes=1, lanes=1)  # guessed 700 times as fast: demos and tests, never real keys


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What a key file says about one key while locked: to be shown, authenticated only by unlocking."""

    name: str  # [a-z][a-z0-9-]*, at most 40
    kind: str  # "ed25519", "ml-dsa-44", "index", "claims"
    label: str  # for people, at most 100 printable characters
    created_day: int  # days since 1970-01-01
    public: bytes | None  # None for the symmetric kinds

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", self.name) or self.kind not in _PUBLIC_OF:
            raise Malformed("key of an unknown kind or form of name")
        if not (self.label.isprintable() and len(self.label) <= 100 and 0 <= self.created_day < 2**20):
            raise Malformed("key label or day")

    @property
    def fingerprint(self) -> str | None:
        """Lower hex of SHA-256(public), to read aloud; the first 16 digits are the kid. None if symmetric."""
        return None if self.public is None else sha256(self.public).hexdigest()


@dataclass(frozen=True, slots=True)
class SecretKey:
    """One secret of 32 bytes (a seed or a symmetric key) and the public key that belongs to it."""

    kind: str
    label: str
    secret: bytes = field(repr=False)
    public: bytes | None
    created_day: int

    def __post_init__(self) -> None:
        PublicKey("key", self.kind, self.label, self.created_day, self.public)
        if len(self.secret) != 32:
            raise Malformed("a secret is 32 bytes")
        if self.public != _PUBLIC_OF[self.kind](self.secret):
            raise Unverified("the public key does not belong to the secret")


@dataclass(frozen=True, slots=True)
class KeyFile:
    """An unlocked key file: name -> key, in the order of the file."""

    keys: Mapping[str, SecretKey]

    def key(self, name: str, kind: str) -> SecretKey:
        """The named key; Refused ("key_missing") when it is absent or of another kind."""
        found = self.keys.get(name)
        if found is None or found.kind != kind:
            text = Text("密钥文件中没有名为“{name}”的 {kind} 密钥", "the key file has no {kind} key named “{name}”")
            raise Refused("key_missing", name, text.format(name=name, kind=kind))
        return found


class _File(msgspec.Struct):
    format: str
    kdf: str
    cost: Cost
    salt: bytes  # 16 bytes
    cipher: str
    nonce: bytes  # 12 bytes
    keys: list[PublicKey]
    sealed: bytes


class _Version(msgspec.Struct):
    format: str


def new_key(kind: str, label: str, *, created_day: int, random_bytes: Callable[[int], bytes]) -> SecretKey:
    """Draw a key; `random_bytes(n)` is a cryptographic source. Malformed for an unknown kind."""
    if kind not in _PUBLIC_OF:
        raise Malformed("key of an unknown kind or form of name")
    secret = random_bytes(32)
    return SecretKey(kind, label, secret, _PUBLIC_OF[kind](secret), created_day)


def check_passphrase(passphrase: bytes) -> None:
    """Raise Refused for a passphrase under which no new key file is made."""
    if len(passphrase) < MIN_PASSPHRASE:
        text = Text("口令至少需要 {n} 个字节", "a passphrase needs at least {n} bytes")
        raise Refused("passphrase_too_short", "passphrase", text.format(n=MIN_PASSPHRASE))


def seal_keys(
    keys: Mapping[str, SecretKey], passphrase: bytes, *, cost: Cost, random_bytes: Callable[[int], bytes]
) -> bytes:
    """The bytes of a key file. Refused: passphrase too short. Malformed: names, number of keys."""
    check_passphrase(passphrase)
    if not 1 <= len(keys) <= MAX_KEYS:
        raise Malformed("number of keys in a key file")
    public = [PublicKey(name, k.kind, k.label, k.created_day, k.public) for name, k in keys.items()]
    kdf, cipher = _ALGORITHMS
    file = _File(FORMAT, kdf, cost, random_bytes(16), cipher, random_bytes(12), public, b"")
    secrets = b"".join(key.secret for key in keys.values())
    file.sealed = AESGCM(_stretch(passphrase, file)).encrypt(file.nonce, secrets, _format(file))
    return _format(file)


def open_keys(text: bytes, passphrase: bytes) -> KeyFile:
    """Unlock the bytes of a key file. Malformed: not a key file. Unverified: wrong passphrase or altered."""
    file = _parse(text)
    sealed, file.sealed = file.sealed, b""
    try:
        secrets = AESGCM(_stretch(passphrase, file)).decrypt(file.nonce, sealed, _format(file))
    except InvalidTag:
        raise Unverified(_NOT_OPENED) from None
    if len(secrets) != 32 * len(file.keys):
        raise Malformed("key file with another number of secrets than keys")
    keys = {
        key.name: SecretKey(key.kind, key.label, secrets[32 * i : 32 * i + 32], key.public, key.created_day)
        for i, key in enumerate(file.keys)
    }
    return KeyFile(MappingProxyType(keys))


def create_key_file(
    path: Path,
    keys: Mapping[str, SecretKey],
    passphrase: bytes,
    *,
    cost: Cost = PERSON_COST,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> None:
    """Write a new key file, mode 0600, durable on return.

    Raises as `seal_keys`; Refused ("key_file_exists") rather than overwrite anything; Unavailable (disk).
    """
    text = seal_keys(keys, passphrase, cost=cost, random_bytes=random_bytes)
    with _written_beside(path, text, random_bytes) as fresh:
        try:
            os.link(fresh, path)  # atomic, and fails where a rename would overwrite
        except FileExistsError:
            exists = Text("{path} 已存在，不会被覆盖", "{path} exists and is not overwritten")
            raise Refused("key_file_exists", str(path), exists.format(path=path)) from None


def open_key_file(path: Path, passphrase: bytes) -> KeyFile:
    """Read and unlock. Raises as `read_private_file` and `open_keys`."""
    return open_keys(read_private_file(path, MAX_FILE), passphrase)


def public_part(path: Path) -> tuple[PublicKey, ...]:
    """Names and public keys without the passphrase, to list and to file them. Raises as `open_key_file`."""
    return tuple(_parse(read_private_file(path, MAX_FILE)).keys)


def cost_of(path: Path) -> Cost:
    """What a guess at this file's passphrase costs. Raises as `public_part`."""
    return _parse(read_private_file(path, MAX_FILE)).cost


def change_passphrase(
    path: Path,
    old: bytes,
    new: bytes,
    *,
    cost: Cost = PERSON_COST,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> None:
    """Seal the same keys anew, in place and durably (`replace_file`). Raises as `open_key_file` and `seal_keys`."""
    replace_file(path, seal_keys(open_key_file(path, old).keys, new, cost=cost, random_bytes=random_bytes))


def read_passphrase(
    env_name: str,
    prompt: Text,
    file: Path | None = None,
    *,
    confirm: bool = False,
    environ: Mapping[str, str] = os.environ,
    ask: Callable[[str], str] | None = None,
) -> bytes:
    """The passphrase from the variable `env_name`, else from `file` (first line), else typed on a terminal.

    `confirm` asks twice when typed, for new files. `ask(prompt)` defaults to getpass when standard input is a
    terminal. Refused ("passphrase_missing", "passphrase_mismatch"); raises as `read_private_file` for `file`.
    """
    if env_name in environ:
        passphrase = os.fsencode(environ[env_name])
    elif file is not None:
        passphrase = read_private_file(file, MAX_PASSPHRASE + 2).partition(b"\n")[0].removesuffix(b"\r")
    else:
        if ask is None and sys.stdin is not None and sys.stdin.isatty():
            ask = getpass
        try:
            typed = ask(f"{prompt.both()}: ") if ask else ""
            again = ask(f"再输入一次 / again: {prompt.both()}: ") if ask and confirm else typed
        except EOFError:
            typed = again = ""
        if typed != again:
            raise Refused(
                "passphrase_mismatch",
                env_name,
                Text("两次输入的口令不一致", "the two passphrases differ"),
            )
        passphrase = typed.encode("utf-8", "surrogateescape")
    if not passphrase:
        text = Text(
            "没有口令：请设置环境变量 {name}、指定口令文件，或在终端中运行",
            "no passphrase: set the variable {name}, name a passphrase file, or run in a terminal",
        )
        raise Refused("passphrase_missing", env_name, text.format(name=env_name))
    return passphrase


def read_private_file(path: Path, limit: int) -> bytes:
    """The bytes of a regular file that nobody but its owner may touch, at most `limit` bytes.

    Refused ("file_open_to_others") when group or others have any right on it; Malformed when it is larger or
    no regular file; Unavailable when it cannot be read.
    """
    try:
        # NONBLOCK: a FIFO must not hang us. The rights are asked of the opened file, not of its name.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise Malformed(Text("不是普通文件", "not a regular file"))
            if mode & 0o077:
                text = Text(
                    "其他用户可以访问 {path}，请先执行：chmod 600 {path}",
                    "other users can access {path}; first run: chmod 600 {path}",
                )
                raise Refused("file_open_to_others", str(path), text.format(path=path))
            content = file.read(limit + 1)
    except OSError as error:
        raise cannot_read(path, error) from error
    if len(content) > limit:
        raise Malformed(Text("文件超出其格式允许的大小", "file larger than its form allows"))
    return content


def _stretch(passphrase: bytes, file: _File) -> bytes:
    if not 1 <= len(passphrase) <= MAX_PASSPHRASE:
        raise Malformed(Text("口令为空或过长", "passphrase empty or too long"))
    cost = file.cost
    kdf = Argon2id(salt=file.salt, length=32, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory_kib)
    return kdf.derive(passphrase)


def _format(file: _File) -> bytes:
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"


def _parse(text: bytes) -> _File:
    if len(text) > MAX_FILE:
        raise Malformed(Text("密钥文件过大", "key file too large"))
    try:
        if msgspec.json.decode(text, type=_Version).format != FORMAT:
            raise Malformed(Text("密钥文件的版本未知", "key file of an unknown version"))
        file = msgspec.json.decode(text, type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Malformed(Text("不是密钥文件", "not a key file")) from None
    if _format(file) != text or (file.kdf, file.cipher) != _ALGORITHMS:
        raise Malformed(Text("不是密钥文件", "not a key file"))
    names = {key.name for key in file.keys}
    if not (len(file.salt) == 16 and len(file.nonce) == 12 and 1 <= len(names) == len(file.keys) <= MAX_KEYS):
        raise Malformed(Text("不是密钥文件", "not a key file"))
    return file


@contextmanager
def _written_beside(path: Path, text: bytes, random_bytes: Callable[[int], bytes]) -> Iterator[Path]:
    """A durable private file in the folder of `path`, to be linked there by the caller.

    The folder is synced afterwards. A crash in between leaves a hidden `.new` file: sealed, safe to delete.
    """
    fresh = path.with_name(f".{path.name}.{random_bytes(8).hex()}.new")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(fresh, flags, 0o600), "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield fresh
        fresh.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        fresh.unlink(missing_ok=True)
