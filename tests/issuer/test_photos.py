from __future__ import annotations

import io
import random
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from issuer.papers import certificate_face
from issuer.photos import find_photo, make_thumbnail, read_photo
from issuer.results import all_issued
from ledger.errors import Malformed, Unavailable
from ledger.records.commitments import Field
from ledger.records.envelope import MAX_THUMBNAIL
from tests.support.issuer_desk import sample, set_up, write_csv


def picture(width: int = 600, height: int = 800, form: str = "JPEG", mode: str = "RGB") -> bytes:
    """Noise: the hardest thing to make small."""
    size = width * height * (3 if mode == "RGB" else 4)
    out = io.BytesIO()
    Image.frombytes(mode, (width, height), random.Random(1).randbytes(size)).save(out, form)
    return out.getvalue()


@pytest.mark.parametrize(("form", "mode"), [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "RGBA")])
def test_even_noise_fits(form: str, mode: str) -> None:
    small = make_thumbnail(picture(form=form, mode=mode))
    assert len(small) <= MAX_THUMBNAIL
    with Image.open(io.BytesIO(small)) as image:
        assert image.format == "JPEG" and image.width <= 240 and image.height <= 336


def test_metadata_does_not_travel() -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "where it was taken"
    Image.new("RGB", (300, 400)).save(out, "JPEG", exif=exif)
    assert b"taken" in out.getvalue() and b"taken" not in make_thumbnail(out.getvalue())


@pytest.mark.parametrize("bad", [b"", b"GIF89a", b"%PDF-1.7", picture()[:200], picture()[:-2000], b"\xff\xd8\xff" * 9])
def test_what_is_no_picture(bad: bytes) -> None:
    with pytest.raises(Malformed):
        make_thumbnail(bad)


def test_a_bomb_is_not_decoded() -> None:
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    with pytest.raises(Malformed):
        make_thumbnail(out.getvalue())


def test_names_stay_inside_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (tmp_path / "outside.jpg").write_bytes(b"x")
    (folder / "a.jpg").write_bytes(b"x")
    (folder / ".hidden.jpg").write_bytes(b"x")
    for name in ("../outside.jpg", str(tmp_path / "outside.jpg"), ".hidden.jpg", "..", ".", "\0", "photos/../a.jpg"):
        assert find_photo(folder, name) is None
    assert find_photo(folder, "a.jpg") == find_photo(folder, "", "none", "a") == folder / "a.jpg"
    with pytest.raises(Unavailable):
        read_photo(folder / "gone.jpg")


async def test_a_photo_is_committed_to_and_shown(tmp_path: Path) -> None:
    setting = set_up(tmp_path / "desk")
    lines = sample(3)
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / f"{lines[0][2]}.jpg").write_bytes(picture())
    (photos / f"{lines[1][7]}.jpg").write_bytes(b"no picture")
    roster = write_csv(tmp_path / "r.csv", lines)
    outcome = await setting.issue(roster, skip_bad=True, photos=photos)
    found = {(p.row, p.code, p.severity) for p in outcome.problems() if p.code.startswith("PHOTO")}
    assert found == {(3, "PHOTO_UNREADABLE", "error"), (4, "PHOTO_MISSING", "warning")}
    first, second = outcome.state.logged()
    openings = {opening.field: opening.value for opening in first[0].openings}
    assert openings[Field.PHOTO] == sha256(make_thumbnail(picture())).digest()
    assert Field.PHOTO not in {opening.field for opening in second[0].openings}
    issued = all_issued(outcome.state, setting.desk.settings, outcome.changes)
    faces = [certificate_face(item, outcome.filing, setting.desk.settings) for item in issued]
    assert faces[0].photo == make_thumbnail(picture()) and faces[1].photo is None
