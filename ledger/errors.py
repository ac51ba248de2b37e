"""The four ways a request can fail, told apart by whose fault it is.

    CertLedgerError
    ├── Malformed     the bytes are not of the form (never worth retrying)
    ├── Unverified    the evidence does not hold: a signature, a proof, a digest
    │   └── Damaged   and it is our own store's: never the fault of whoever asked
    ├── Refused       the rules say no, with a code that programs can act on
    └── Unavailable   the world did not answer; says nothing about the thing asked

A bug is an AssertionError and becomes a 500; nothing in the product catches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from errno import (
    EACCES,
    EADDRINUSE,
    EADDRNOTAVAIL,
    EDQUOT,
    EEXIST,
    EIO,
    EISDIR,
    ENOENT,
    ENOSPC,
    ENOTDIR,
    EPERM,
    EROFS,
)
from typing import Final

from ledger.text import Text

ERROR_CODE: Final = "Cert-Ledger-Error"  # header of an answer with a status of 500 and more: the code once more


class CertLedgerError(Exception):
    """Base of everything this product raises on purpose."""


class _Worded(CertLedgerError):
    """Made of a Text where people meet it (at a terminal, in a settings file, at a desk), and of English alone where it
    names a form or a proof for programmers. Like a Text it is read `of` a language, or in `both`.
    """

    def __init__(self, what: str | Text) -> None:
        super().__init__(what)
        self.text = what if isinstance(what, Text) else None

    def __str__(self) -> str:
        return str(self.args[0]) if self.text is None else self.text.en

    def of(self, lang: str) -> str:
        return str(self) if self.text is None else self.text.of(lang)

    def both(self) -> str:
        return str(self) if self.text is None else self.text.both()


class Malformed(_Worded):
    """The bytes are not of the form, or what somebody wrote is not. The words name the form; hostile input is never
    echoed."""


class Unverified(_Worded):
    """Well-formed evidence that does not prove what it should."""


class Damaged(Unverified):
    """What our own store holds does not prove what it was committed with; `fsck` says what is wrong. Whoever runs the
    program is told."""

    def __init__(self, what: Text) -> None:
        assert isinstance(what, Text), "people read it: it needs both languages"
        super().__init__(what)


class Refused(CertLedgerError):
    """The rules refuse. `code` is stable and typed; `field` names what to look at; `text` is for people."""

    def __init__(self, code: str, field: str, text: Text) -> None:
        super().__init__(f"{code} ({field}): {text.en}")
        self.code = code
        self.field = field
        self.text = text


class Unavailable(CertLedgerError):
    """Something outside (network, disk, other program) did not answer. `what` says what, where and what to do, to
    whoever runs this program: it may name addresses and paths. `text` is what others may read of it over the network:
    the same where it is `public`, else None. `retry_after` is in seconds.
    """

    def __init__(self, what: Text, *, retry_after: int | None = None, public: bool = False) -> None:
        assert isinstance(what, Text), "people read it: it needs both languages"
        super().__init__(what)
        self.what = what
        self.retry_after = retry_after
        self.text = what if public else None

    def __str__(self) -> str:
        return self.what.en


_SYSTEM: Final[Mapping[int, str]] = {
    EACCES: "没有权限",
    EADDRINUSE: "地址已被占用",
    EADDRNOTAVAIL: "本机没有这个地址",
    EDQUOT: "超出磁盘配额",
    EEXIST: "已经存在",
    EIO: "磁盘读写出错",
    EISDIR: "是目录，不是文件",
    ENOENT: "没有这个文件或目录",
    ENOSPC: "磁盘已满",
    ENOTDIR: "路径中有一段不是目录",
    EPERM: "不允许这样操作",
    EROFS: "文件系统只读",
}


def cannot(doing: Text, error: OSError) -> Unavailable:
    """`doing` (it names the file) is what the operating system could not do; why, in its own words where it is rare."""
    said = error.strerror or type(error).__name__
    return Unavailable(Text(f"{doing.zh}：{_SYSTEM.get(error.errno or 0, said)}", f"{doing.en}: {said}"))


def cannot_read(path: object, error: OSError) -> Unavailable:
    return cannot(Text(f"无法读取 {path}", f"cannot read {path}"), error)


def cannot_write(path: object, error: OSError) -> Unavailable:
    return cannot(Text(f"无法写入 {path}", f"cannot write {path}"), error)


def cannot_create(path: object, error: OSError) -> Unavailable:
    return cannot(Text(f"无法创建 {path}", f"cannot create {path}"), error)


def unforeseen(error: OSError) -> Unavailable:
    """A disk or terminal that fails where no message of its own was due."""
    where = str(error.filename or "")
    return cannot(Text(where or "输入或输出失败", where or "input or output failed"), error)
