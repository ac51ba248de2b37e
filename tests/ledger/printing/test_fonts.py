from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ledger.errors import Refused, Unavailable
from ledger.printing import fonts


def test_the_vendored_files_are_the_listed_ones() -> None:
    folder = Path(fonts.__file__).with_name("fonts")
    lines = (folder / "checksums.txt").read_text("ascii").splitlines()
    listed = {name: digest for digest, name in (line.split() for line in lines)}
    present = {path.name for path in folder.iterdir()} - {"checksums.txt"}
    assert set(listed) == present
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert "SIL OPEN FONT LICENSE Version 1.1" in (folder / "OFL.txt").read_text("utf-8")


def test_coverage_reaches_rare_names_and_says_what_it_lacks() -> None:
    loaded = fonts.load_fonts()
    assert loaded.missing_glyphs("张䶮𬱖·Müller 三级/高级工—《》") == ""
    assert loaded.missing_glyphs("a\n𠮷b𠮷") == "\n𠮷"


def test_a_refusal_names_each_character() -> None:
    with pytest.raises(Refused) as refused:
        fonts.load_fonts().check("name", "张\n𠮷")
    assert refused.value.code == "GLYPH_MISSING"
    assert refused.value.field == "name"
    assert "? U+000A, 𠮷 U+20BB7" in refused.value.text.en


@pytest.mark.parametrize("damage", ["absent", "changed"])
def test_a_missing_or_changed_font_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    real = Path(fonts.__file__).with_name("fonts")
    (tmp_path / "checksums.txt").write_bytes((real / "checksums.txt").read_bytes())
    if damage == "changed":
        (tmp_path / "NotoSerifSC_400Regular.ttf").write_bytes(b"\x00\x01\x00\x00")
    monkeypatch.setattr(fonts, "_FOLDER", tmp_path)
    with pytest.raises(Unavailable):
        fonts.load_fonts.__wrapped__()
