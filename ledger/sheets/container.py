"""Is this zip file a workbook that may be parsed at all? Checked before any parser sees it.

Runs inside the worker process. A workbook is refused whole: bombs, macros, encryption, links to other files,
embedded objects, names that climb out, parts that overlap, and XML with a document type (entities).
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib

from ledger.errors import Refused
from ledger.text import Text

MAX_MEMBERS = 200
MAX_UNPACKED = 200 * 1024 * 1024
MAX_RATIO = 100
MAX_DIRECTORY = 512 * 1024  # bytes; 1,000 members with long names
_END, _END_64, _LOCATOR_64 = 22, 56, 20  # bytes of the records at a zip file's end (APPNOTE 4.3.14 to 4.3.16)
_RATIO_FLOOR = 1024 * 1024  # small parts compress well and harm nobody

_MACROS = re.compile(r"vbaproject|vbadata|macrosheets/|\.bin$", re.IGNORECASE)
_PRINTER = re.compile(r"xl/(printerSettings/|styles\.bin|calcChain\.bin)", re.IGNORECASE)
_EXTERNAL = re.compile(r"xl/(externalLinks/|connections\.xml|queryTables/|model/)", re.IGNORECASE)
_EMBEDDED = re.compile(r"xl/(embeddings|activeX|ctrlProps)/", re.IGNORECASE)
_DOCTYPE = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
_DECLARATION = 1024  # bytes in which the XML declaration ends
_ENCODING = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([^"']*)["']""")


def open_archive(raw: bytes) -> zipfile.ZipFile:
    """The archive, once its directory is known to be small: `zipfile` reads all of it, whatever it says of its size.
    Refused FILE_MEMBERS, FILE_DAMAGED."""
    end = raw.rfind(b"PK\x05\x06", max(0, len(raw) - _END - 0xFFFF))
    if end < 0 or len(raw) - end < _END:
        raise refused("FILE_DAMAGED", "文件已损坏", "the file is damaged")
    size = int.from_bytes(raw[end + 12 : end + 16], "little")
    said = place = end - _LOCATOR_64 - _END_64
    if raw[max(0, end - _LOCATOR_64) : end].startswith(b"PK\x06\x07"):
        wide = raw[max(0, end - _LOCATOR_64 - _END_64) : end - _LOCATOR_64]
        if not wide.startswith(b"PK\x06\x06"):
            raise refused("FILE_DAMAGED", "文件已损坏", "the file is damaged")
        size, said = int.from_bytes(wide[40:48], "little"), int.from_bytes(raw[end - 12 : end - 4], "little")
    if size > MAX_DIRECTORY:
        raise refused("FILE_MEMBERS", "压缩包内文件过多", "too many files inside the archive")
    if said != place:  # where later versions of `zipfile` would read another record
        raise refused("FILE_DAMAGED", "文件已损坏", "the file is damaged")
    try:
        return zipfile.ZipFile(io.BytesIO(raw))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        raise refused("FILE_DAMAGED", "文件已损坏", "the file is damaged") from None


def check_container(archive: zipfile.ZipFile) -> None:
    """Refused FILE_* when the archive is not a plain workbook; reads nothing but its directory."""
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise refused("FILE_MEMBERS", "压缩包内文件过多", "too many parts inside the file")
    unpacked = sum(member.file_size for member in members)
    bombs = [m for m in members if m.file_size > max(_RATIO_FLOOR, m.compress_size * MAX_RATIO)]
    if unpacked > MAX_UNPACKED or bombs:
        raise refused("FILE_BOMB", "文件解压后过大", "the file unpacks to far more than it should")
    names = [member.filename for member in members]
    if len({name.lower() for name in names}) != len(names) or any(map(_climbs, names)):
        raise refused("FILE_PATHS", "压缩包内的文件名不正常", "part names that repeat or climb out of the file")
    if any(member.flag_bits & 0x1 for member in members):
        raise refused("FILE_ENCRYPTED", "文件有密码，请去掉密码再导入", "the file has a password; remove it")
    if any(m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for m in members):
        raise refused("FILE_DAMAGED", "不是正常的工作簿", "not an ordinary workbook")
    check_overlap(members)
    plain = [name for name in names if not _PRINTER.match(name)]
    if any(_MACROS.search(name) for name in plain):
        raise refused("FILE_MACRO", "文件含有宏，请另存为不含宏的 xlsx", "the file has macros; save it as plain xlsx")
    if any(_EXTERNAL.match(name) for name in plain):
        raise refused("FILE_EXTERNAL", "文件链接到其他文件或数据源", "the file links to other files or sources")
    if any(_EMBEDDED.match(name) for name in plain):
        raise refused("FILE_EMBEDDED", "文件嵌有对象或控件", "the file embeds objects or controls")
    if "xl/workbook.xml" not in names:
        raise refused("FILE_NOT_WORKBOOK", "不是 xlsx 工作簿", "not an xlsx workbook")


def read_part(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of one XML part, UTF-8 and without a document type; Refused FILE_XML or FILE_DAMAGED."""
    try:
        raw = archive.read(name)
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError):
        raise refused("FILE_DAMAGED", "文件已损坏", "the file is damaged")
    start = raw[:_DECLARATION].removeprefix(b"\xef\xbb\xbf")
    if start.startswith(b"<?xml") and b"?>" not in start:
        raise refused("FILE_XML", "文件内部编码不正常", "parts of the file are not UTF-8")
    declared = _ENCODING.match(start)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00")) or (
        declared and declared.group(1).lower() not in (b"utf-8", b"us-ascii")
    ):
        raise refused("FILE_XML", "文件内部编码不正常", "parts of the file are not UTF-8")
    if _DOCTYPE.search(raw):
        raise refused("FILE_XML", "文件内含有文档类型声明", "parts of the file declare a document type")
    return raw


def refused(code: str, zh: str, en: str) -> Refused:
    """A refusal of the file as a whole."""
    return Refused(code, "file", Text(zh, en))


def _climbs(name: str) -> bool:
    return name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or ":" in name or "\x00" in name


def check_overlap(members: list[zipfile.ZipInfo]) -> None:
    end = 0
    for member in sorted(members, key=lambda m: m.header_offset):
        if member.header_offset < end:
            raise refused("FILE_BOMB", "压缩包内的文件互相重叠", "parts of the file overlap")
        end = member.header_offset + 30 + len(member.orig_filename.encode("utf-8", "replace")) + member.compress_size
