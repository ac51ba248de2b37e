from __future__ import annotations

from issuer.exports.facts import listed_fields


def test_lists_of_fields() -> None:
    assert listed_fields("name,photo,name") == ("name", "photo")
    assert listed_fields("none") == () and listed_fields("name,address") is None
