"""The canonical form of a pack: the exact bytes of its files, one spelling, one digest."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from ledger.errors import Malformed, Unavailable
from ledger.records import canonical
from verifier.eligibility.folder import SHIPPED, open_pack, read_files, shipped_packs
from verifier.eligibility.loader import FILES, load_pack
from verifier.eligibility.pack import LABEL, MAX_PACK, format_pack, parse_pack_files
from verifier.eligibility.reader import BadPack

PACK = shipped_packs()["sc-2023"]


def test_the_form_is_the_files_and_the_digest_its_hash() -> None:
    raw = format_pack(PACK.files)
    assert parse_pack_files(raw) == dict(PACK.files)
    assert load_pack(parse_pack_files(raw)).digest == PACK.digest == sha256(raw).digest()
    assert canonical.decode(raw, limit=MAX_PACK)[1][0] == "cases.toml", "names rise"
    again = {name: PACK.files[name] for name in reversed(FILES)}
    assert format_pack(again) == raw


def test_a_digest_for_every_change() -> None:
    digests = {sha256(format_pack({**PACK.files, name: PACK.files[name] + b"\n"})).digest() for name in FILES}
    assert len(digests | {PACK.digest}) == 5


@pytest.mark.parametrize(
    "value",
    [
        ["certledger/pack/v2", ["a", b""]],
        [LABEL, ["b", b""], ["a", b""]],
        [LABEL, ["a", b""], ["a", b""]],
        [LABEL, ["a", "text"]],
        [LABEL, ["a"]],
        [LABEL, "a"],
        "x",
    ],
)
def test_other_forms_are_refused(value: canonical.Value) -> None:
    with pytest.raises(Malformed):
        parse_pack_files(canonical.encode(value))


def test_folders_and_files(tmp_path: Path) -> None:
    one = tmp_path / "one.pack"
    one.write_bytes(format_pack(PACK.files))
    assert open_pack(one).digest == open_pack(SHIPPED / "sc-2023").digest == PACK.digest
    with pytest.raises(Unavailable):
        open_pack(tmp_path / "none")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".hidden").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    assert read_files(folder) == {"notes.txt": b""}
    with pytest.raises(BadPack, match="UNKNOWN_FILE"):
        open_pack(folder)
    one.write_bytes(b"\xff" * 10)
    with pytest.raises(Malformed):
        open_pack(one)


def test_every_shipped_pack_says_where_it_stands() -> None:
    for pack in shipped_packs().values():
        assert pack.sources and all(s.document and s.clause for s in pack.sources.values())
        assert {row.source for table in pack.tables for row in table.rows} <= pack.sources.keys()
        assert pack.id == next(path.name for path in SHIPPED.iterdir() if path.name == pack.id)
