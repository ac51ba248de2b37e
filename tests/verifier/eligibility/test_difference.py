"""What differs between two packs: one entry for each change, none for what only moved."""

from __future__ import annotations

from tests.support.packs import TABLES, changed, small
from verifier.eligibility.difference import Difference, differences, say
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.loader import load_pack

PACK = shipped_packs()["sc-2023"]


def test_the_same_pack_and_one_with_another_comment() -> None:
    assert differences(PACK, PACK) == ()
    other = load_pack(changed("sc-2023", "pack.toml", "format =", "# new\nformat ="))
    assert other.digest != PACK.digest and differences(PACK, other) == ()


def test_a_changed_amount_is_one_difference() -> None:
    new = load_pack(changed("sc-2023", "tables.toml", "amount = 150000", "amount = 160000"))
    path = "tables.subsidy.rows.L4.then.amount"
    assert differences(PACK, new) == (Difference("tables.toml", path, "150000", "160000"),)


def test_rows_that_come_go_and_move() -> None:
    row = '[[tables.rows]]\nid = "{id}"\nsource = "s"\nwhen = {{ n = {n} }}\n'
    old = small(no_tables=TABLES + row.format(id="a", n=1) + row.format(id="b", n=2))
    new = small(no_tables=TABLES + row.format(id="c", n=3) + row.format(id="a", n=1))
    found = {difference.path: difference for difference in differences(old, new)}
    assert found.keys() == {"tables.answer.rows.b", "tables.answer.rows.c"}
    assert found["tables.answer.rows.b"].after is None and found["tables.answer.rows.c"].before is None
    moved = small(no_tables=TABLES + row.format(id="b", n=2) + row.format(id="a", n=1))
    assert differences(old, moved) == ()


def test_values_on_one_line() -> None:
    assert say({"a": [1, True], "b": "x"}) == "{ a = [1, true], b = x }"
