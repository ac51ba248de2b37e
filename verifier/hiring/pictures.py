"""An archive of photographs and PDFs, one certificate each: judged by its directory before anything is unpacked.

Nothing is ever written to a file, so names cannot climb anywhere; a member is unpacked when its turn comes, into memory
of known size. The same limits as for workbooks (ledger/sheets/container.py): bombs, encryption, overlapping members.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from typing import Final

from ledger.errors import Malformed, Refused
from ledger.sheets.container import check_overlap, open_archive, refused
from ledger.text import Text

MAX_PICTURES: Final = 300
MAX_PICTURE: Final = 10 * 1024 * 1024  # bytes of one, unpacked
MAX_UNPACKED: Final = 200 * 1024 * 1024
MAX_RATIO: Final = 100
_RATIO_FLOOR: Final = 1024 * 1024
_MEMBERS: Final = 1_000  # folders and what operating systems add included
_UTF8_NAME: Final = 0x800


@dataclass(frozen=True, slots=True)
class Pictures:
    """The members worth looking at. `names` are safe to show, in the order of the archive."""

    archive: zipfile.ZipFile
    members: tuple[zipfile.ZipInfo, ...]

    @property
    def names(self) -> list[str]:
        return [_shown_name(member) for member in self.members]

    def read(self, at: int) -> bytes:
        """One member, unpacked. Raises Malformed when it is damaged or larger than it says."""
        member = self.members[at]
        try:
            with self.archive.open(member) as file:
                content = file.read(MAX_PICTURE + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError):
            raise Malformed(Text("压缩包中有损坏的文件", "a damaged file in the archive")) from None
        if len(content) > MAX_PICTURE:
            raise Malformed(Text("压缩包中有超过 10 MB 的文件", "a file in the archive is over 10 MB"))
        return content


def is_pictures(raw: bytes) -> bool:
    """Whether these bytes are an archive and no workbook."""
    if not raw.startswith(b"PK"):
        return False
    try:
        names = open_archive(raw).namelist()
    except Refused:
        return False  # the reader of workbooks says what is wrong with it
    return not any(name in ("[Content_Types].xml", "xl/workbook.xml") for name in names)


def open_pictures(raw: bytes) -> Pictures:
    """Look at the archive's directory. Raises Refused FILE_*."""
    archive = open_archive(raw)
    members = archive.infolist()
    if len(members) > _MEMBERS:
        raise refused("FILE_MEMBERS", "压缩包内文件过多", "too many files in the archive")
    if any(member.flag_bits & 0x1 for member in members):
        raise refused("FILE_ENCRYPTED", "压缩包有密码，请去掉密码再上传", "the archive has a password; remove it")
    if any(m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for m in members):
        raise _damaged()
    bombs = [m for m in members if m.file_size > max(_RATIO_FLOOR, m.compress_size * MAX_RATIO)]
    if bombs or sum(member.file_size for member in members) > MAX_UNPACKED:
        raise refused("FILE_BOMB", "压缩包解压后过大", "the archive unpacks to far more than it should")
    check_overlap(members)
    kept = tuple(member for member in members if not _ignored(member))
    if len(kept) > MAX_PICTURES:
        raise refused(
            "LIST_TOO_LONG", f"最多 {MAX_PICTURES} 个文件，请拆分", f"at most {MAX_PICTURES} files: split the archive"
        )
    return Pictures(archive, kept)


def _damaged() -> Refused:
    return refused("FILE_DAMAGED", "压缩包已损坏", "the archive is damaged")


def _ignored(member: zipfile.ZipInfo) -> bool:
    parts = member.filename.replace("\\", "/").split("/")
    return member.is_dir() or "__MACOSX" in parts or parts[-1].startswith(".") or parts[-1].lower() == "thumbs.db"


def _shown_name(member: zipfile.ZipInfo) -> str:
    """Archives made under Chinese Windows name their files in GBK and do not say so."""
    name = member.filename
    if not member.flag_bits & _UTF8_NAME:
        try:
            name = name.encode("cp437").decode("gb18030")
        except UnicodeError:
            name = member.filename
    return "".join(c if c.isprintable() else "\ufffd" for c in name)[-200:]
