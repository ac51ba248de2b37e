"""Files that nobody should send, by name, for whatever takes a file.

bad_sheets(), bad_pictures()      name -> (bytes, file name)
bad_forms()                       name -> (content type, body, status)
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import openpyxl

ROWS = (["证书编号", "姓名", "链接", "工号"], ["Y000051000001263000001", "例小明", "", "1"])
_BOUNDARY = "----canary7731"


def workbook(*rows: list[object], name: str = "") -> bytes:
    book = openpyxl.Workbook()
    if name:
        book.active.title = name
    for row in rows or ROWS:
        book.active.append(list(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def repack(raw: bytes, add: dict[str, bytes], edit: Callable[[str, bytes], bytes] = lambda _, part: part) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, edit(name, old.read(name)))
        for name, part in add.items():
            new.writestr(name, part)
    return out.getvalue()


def bad_sheets() -> dict[str, tuple[bytes, str]]:
    good = workbook()
    doctype = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'
    laughs = b"".join(b'<!ENTITY l%d "%b">' % (at, b"&l%d;" % (at - 1) * 10 if at else b"ha") for at in range(9))
    billion = b'<?xml version="1.0"?><!DOCTYPE x [' + laughs + b"]><x>&l8;</x>"
    strings = lambda part: lambda name, old: part if name.endswith("sheet1.xml") else old  # noqa: E731
    text = "证书编号,姓名,链接,工号\n"
    locked = bytearray(good)
    for at in _all(good, b"PK\x01\x02"):
        locked[at + 8] |= 1
    nested = good
    for _ in range(3):
        nested = repack(good, {"xl/more.xlsx": nested})
    return {
        "bomb": (repack(good, {"xl/bomb.xml": bytes(30_000_000)}), "a.xlsx"),
        "nested": (nested, "a.xlsx"),
        "many parts": (repack(good, {f"xl/media/{at}.png": b"" for at in range(201)}), "a.xlsx"),
        "directory": (_directory(100_000), "a.zip"),
        "climbing": (repack(good, {"../../evil.xml": b"<x/>"}), "a.xlsx"),
        "encrypted": (bytes(locked), "a.xlsx"),
        "macro": (repack(good, {"xl/vbaProject.bin": b"x"}), "a.xlsx"),
        "macro named": (good, "a.xlsm"),
        "ole": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "a.xls"),
        "external": (repack(good, {"xl/externalLinks/externalLink1.xml": b"<x/>"}), "a.xlsx"),
        "embedded": (repack(good, {"xl/embeddings/oleObject1.obj": b"x"}), "a.xlsx"),
        "entity": (repack(good, {}, strings(doctype)), "a.xlsx"),
        "laughs": (repack(good, {}, strings(billion)), "a.xlsx"),
        "other encoding": (repack(good, {"xl/e.xml": "<x/>".encode("utf-16")}), "a.xlsx"),
        "not XML": (repack(good, {}, strings(b"<worksheet><sheetData><row>")), "a.xlsx"),
        "cut": (good[: len(good) // 2], "a.xlsx"),
        "far column": (repack(good, {}, lambda n, p: p.replace(b'r="D1"', b'r="XFD1"')), "a.xlsx"),
        "formulas": (workbook(list(ROWS[0]), ["=1+1", "=A1", '=HYPERLINK("http://x")', "@x"]), "a.xlsx"),
        "CSV named xlsx": (f"{text}=1+1,例,,2\n".encode(), "a.xlsx"),
        "HTML": (b"<html><table><tr><td>x</table>", "a.xls"),
        "PDF": (b"%PDF-1.7\n" + bytes(100), "a.csv"),
        "quotes": (f'{text}"Y,例\n'.encode(), "a.csv"),
        "NUL": (f"{text}Y\0,例,,\n".encode(), "a.csv"),
        "invalid bytes": (text.encode() + b"\xff\xfe\x80\x81,x,,\n", "a.csv"),
        "mixed encodings": (text.encode() + "例小明".encode("gb18030") + b",x,,\n", "a.csv"),
        "long cell": (f"{text}{'长' * 400_000},例,,\n".encode(), "a.csv"),
        "wide row": (f"{text}{',' * 20_000}\n".encode(), "a.csv"),
        "blank": (b"\xef\xbb\xbf \r\n", "a.csv"),
        "header alone": (text.encode(), "a.csv"),
        "name": (f"{text}x,例,,\n".encode(), "../../\u202e" + "x" * 300 + ".csv"),
    }


def bad_pictures() -> dict[str, tuple[bytes, str]]:
    deep = b"\x88" * 50_000
    return {
        "huge PNG": (_png(60_000, 60_000), "a.png"),
        "cut PNG": (_png(10, 10)[:40], "a.png"),
        "cut JPEG": (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(9), "a.jpg"),
        "cut PDF": (b"%PDF-1.7\n1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n%%EOF", "a.pdf"),
        "looping PDF": (
            b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 1 0 R/Kids[1 0 R]>>endobj trailer<</Root 1 0 R>>",
            "a.pdf",
        ),
        "WebP": (b"RIFF\xff\xff\xff\x7fWEBPVP8L" + bytes(40), "a.webp"),
        "deep CBOR": (deep, "a.bundle"),
        "bundle's start": (b"\x87" + deep[:5_000], "a.bundle"),
        "long text": (b"https://" + b"x" * 100_000, "a.txt"),
        "zip": (_directory(10), "a.zip"),
        "noise": (bytes(range(256)) * 40, "\0.bin"),
    }


def bad_forms() -> dict[str, tuple[str, bytes, int]]:
    """Bodies that no browser sends, whatever the form."""
    kind = f"multipart/form-data; boundary={_BOUNDARY}"
    line = f"--{_BOUNDARY}\r\n".encode()
    end = f"--{_BOUNDARY}--\r\n".encode()
    part = b'Content-Disposition: form-data; name="%b"\r\n\r\nx\r\n'
    return {
        "no boundary": ("multipart/form-data", line + part % b"text" + end, 400),
        "long boundary": ("multipart/form-data; boundary=" + "x" * 200, end, 400),
        "no end": (kind, line + part % b"text", 400),
        "twice": (kind, (line + part % b"text") * 2 + end, 400),
        "many parts": (kind, b"".join(line + part % b"a%d" % at for at in range(40)) + end, 400),
        "long header": (kind, line + b"X: " + b"y" * 5_000 + b"\r\n" + part % b"text" + end, 400),
        "no name": (kind, line + b"Content-Disposition: form-data\r\n\r\nx\r\n" + end, 400),
        "name in Latin-1": (kind, line + part % b"\xe9" + end, 400),
        "nothing": (kind, b"", 400),
        "another type": ("text/html", b"<p>", 415),
    }


def _all(raw: bytes, mark: bytes) -> list[int]:
    found, at = [], raw.find(mark)
    while at >= 0:
        found.append(at)
        at = raw.find(mark, at + 1)
    return found


def _directory(count: int) -> bytes:
    """An archive that is nothing but entries of its directory."""
    entries = (b"PK\x01\x02" + bytes(24) + b"\x01\0" + bytes(16) + b"a") * count
    return b"PK\x03\x04" + entries + b"PK\x05\x06" + bytes(8) + struct.pack("<II", len(entries), 4) + bytes(2)


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
