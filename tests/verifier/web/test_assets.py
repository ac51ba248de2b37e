"""Static files: names by content, also of what a module imports."""

from __future__ import annotations

import gzip
import json
import re
from hashlib import sha256
from importlib import resources

import pytest

from verifier.web.assets import TYPES, load_assets, name_assets

PARTS = {
    "page.css": b"p{}",
    "one.js": b'import {x} from "./two.js";\nexport const y = x;\n',
    "two.js": b'const w = new URL("./three.wasm", import.meta.url);\nexport const x = await import("./four.js");\n',
    "three.wasm": b"\0asm",
    "four.js": b"export default 4;\n",
}


def test_assets_are_named_by_their_content_and_packed() -> None:
    assets = load_assets()
    assert {"page.css", "icon.svg"} <= set(assets.names) and set(assets.names.values()) == set(assets.files)
    for plain, public in assets.names.items():
        stem, _, suffix = plain.rpartition(".")
        assert re.fullmatch(rf"{re.escape(stem)}\.[0-9a-f]{{16}}\.{suffix}", public)
        asset = assets.files[public]
        assert gzip.decompress(asset.packed) == asset.body and asset.content_type == TYPES[suffix]


def test_a_module_imports_the_public_name_of_another() -> None:
    assets = name_assets(PARTS)
    one, two = (assets.files[assets.names[name]].body for name in ("one.js", "two.js"))
    assert f'from "./{assets.names["two.js"]}"'.encode() in one
    assert f'new URL("./{assets.names["three.wasm"]}"'.encode() in two
    assert f'import("./{assets.names["four.js"]}")'.encode() in two


def test_a_change_below_renames_every_module_above() -> None:
    before, after = name_assets(PARTS), name_assets(PARTS | {"four.js": b"export default 5;\n"})
    changed = {plain for plain in PARTS if before.names[plain] != after.names[plain]}
    assert changed == {"one.js", "two.js", "four.js"}


def test_missing_and_circular_modules_are_bugs() -> None:
    with pytest.raises(AssertionError, match="not there"):
        name_assets({"one.js": b'import "./gone.js";'})
    with pytest.raises(AssertionError, match="import each other"):
        name_assets({"one.js": b'import "./two.js";', "two.js": b'import "./one.js";'})


def test_vendored_files_are_those_of_their_packages_but_for_the_changes_that_are_listed() -> None:
    folder = resources.files("verifier.static")
    listed = json.loads(folder.joinpath("vendored.json").read_text("utf-8"))
    assert {name for name in listed if name.startswith("zxing")} == {
        item.name for item in folder.iterdir() if item.name.startswith("zxing")
    }
    for name, entry in listed.items():
        body = folder.joinpath(name).read_bytes()
        assert sha256(body).hexdigest() == entry["sha256"], name
        for ours, theirs in entry.get("changed", {}).items():
            assert body.count(ours.encode()) == 1, name
            body = body.replace(ours.encode(), theirs.encode())
        assert sha256(body).hexdigest() == entry.get("upstream_sha256", entry["sha256"]), name


def test_the_reader_is_told_where_its_webassembly_is() -> None:
    """By default it would load it from another site."""
    worker = resources.files("verifier.static").joinpath("scan-worker.js").read_text("utf-8")
    assert "overrides: { locateFile: () => wasm }" in worker and 'new URL("./zxing_reader.wasm"' in worker
