"""What a pack is refused for, one by one: the code, and the file, table and row that it names."""

from __future__ import annotations

from random import Random

import pytest

from ledger.reference_data import load_ladder
from tests.support.packs import FILES, PACK, TABLES, changed, mutated, small
from verifier.eligibility.cases import run_cases
from verifier.eligibility.explain import explain
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.loader import load_pack
from verifier.eligibility.reader import BadPack

# Texts that tests fill in.
ROW = '[[tables.rows]]\nid = "{id}"\nsource = "s"\nwhen = {{ n = {when} }}\n'
AMOUNT = '[amount]\nperiod = "once"\nmost = 1000\n[[amount.lines]]\nid = "a"\nzh = "一"\nen = "a"\nof = {of}\n{more}'
MONEY_ROW = TABLES.replace('hit = "unique"', 'hit = "unique"\noutputs.pay = "money"') + "then = { pay = %s }\n"
LABEL = '[labels."tables.answer.pay"]\nzh = "一"\nen = "pay"\n'
PARAM = '[params.p]\ntype = "{type}"\nvalue = {value}\nsource = "s"\nzh = "一"\nen = "p"\n'
SET = """
[inputs.tags]
type = "set"
zh = "标"
en = "tags"
values.x = { zh = "甲", en = "x" }
values.y = { zh = "乙", en = "y" }
"""


def refused(code: str, place: str, **more: str) -> BadPack:
    with pytest.raises(BadPack) as caught:
        small(**more)
    assert caught.value.code == code, caught.value
    assert caught.value.field == place
    return caught.value


def test_the_small_pack_loads() -> None:
    assert small().id == "small"


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(name: str) -> None:
    files = {key: text.encode() for key, text in FILES.items() if key != name}
    with pytest.raises(BadPack, match="MISSING") as caught:
        load_pack(files)
    assert caught.value.field == name


def test_an_unknown_file_names_the_nearest() -> None:
    with pytest.raises(BadPack) as caught:
        load_pack({key: text.encode() for key, text in FILES.items()} | {"table.toml": b""})
    assert (caught.value.code, caught.value.field) == ("UNKNOWN_FILE", "table.toml")
    assert "tables.toml" in caught.value.text.en


@pytest.mark.parametrize(
    ("code", "place", "more"),
    [
        ("NOT_TOML", "pack.toml:26", {"pack": "x = \n"}),
        ("UNKNOWN_KEY", "pack.toml: smaple", {"no_pack": PACK.replace("sample =", "smaple = 1\nsample =")}),
        ("UNKNOWN_KEY", "pack.toml: inputs.n: mni", {"no_pack": PACK.replace("min =", "mni = 1\nmin =")}),
        ("MISSING", "pack.toml: sample", {"no_pack": PACK.replace("sample = false\n", "")}),
        ("TYPE", "pack.toml: sample", {"no_pack": PACK.replace("sample = false", "sample = 0")}),
        ("CHOICE", "pack.toml: kind", {"no_pack": PACK.replace('"allowance"', '"gift"')}),
        ("FORMAT", "pack.toml: format", {"no_pack": PACK.replace("pack/v1", "pack/v2")}),
        ("TYPE", "pack.toml: valid: from", {"no_pack": PACK.replace("= 2024-01-01\nto", "= 2024-01-01T00:00:00\nto")}),
        ("TYPE", "pack.toml: valid: from", {"no_pack": PACK.replace("from = 2024-01-01", 'from = "2024-01-01"')}),
        ("CLAIM", "pack.toml: claim", {"pack": '[claim]\nscheme = "s"\ngroups = ["b", "a"]\nby_trade = false\n'
                                       "lower_grades = true\nslots = 1\n"}),
        ("EMPTY", "pack.toml: valid", {"no_pack": PACK.replace("to = 2024-12-31", "to = 2023-12-31")}),
        ("MISSING", "pack.toml: valid: last_day", {"no_pack": PACK.replace('last_day = "inclusive"\n', "")}),
        ("UNKNOWN_NAME", "pack.toml: decides", {"no_pack": PACK.replace('"answer"', '"anser"')}),
        ("TYPE", "pack.toml: inputs.n: min", {"no_pack": PACK.replace("min = 0", "min = 0.5")}),
        ("RANGE", "pack.toml: inputs.n: max", {"no_pack": PACK.replace("max = 100", "max = -1")}),
        ("MISSING", "pack.toml: inputs.n: en", {"no_pack": PACK.replace('en = "number"\n', "")}),
        ("HISTORY", "pack.toml: history", {"no_pack": PACK.replace("sample =", "history = true\nsample =")}),
        ("NAME", "pack.toml: inputs.N", {"no_pack": PACK.replace("inputs.n]", "inputs.N]")}),
        ("MISSING", "pack.toml: inputs.e: values", {"pack": '[inputs.e]\ntype = "enum"\nzh = "一"\nen = "e"\n'}),
        ("TYPE", "pack.toml: params.p: type", {"pack": PARAM.format(type="text", value='"x"')}),
        ("RANGE", "pack.toml: params.p: value", {"pack": PARAM.format(type="money", value=-1)}),
        ("RANGE", "pack.toml: params.p: value", {"pack": PARAM.format(type="money", value=10**13)}),
        ("UNKNOWN_SOURCE", "pack.toml: params.p: source",
         {"pack": PARAM.format(type="int", value=1).replace('"s"', '"z"')}),
    ],
)  # fmt: skip
def test_the_head_of_a_pack(code: str, place: str, more: dict[str, str]) -> None:
    refused(code, place, **more)


@pytest.mark.parametrize(
    ("code", "place", "tables"),
    [
        ("OVERLAP", "tables.toml: tables/answer", TABLES + ROW.format(id="q", when="[9, 10]")),
        ("OVERLAP", "tables.toml: tables/answer", TABLES + '[[tables.rows]]\nid = "q"\nsource = "s"\n'),
        ("GAP", "tables.toml: tables/answer", TABLES.replace("[tables.columns]", "complete = true\n[tables.columns]")),
        ("REPEATED", "tables.toml: tables/answer: rows/r: id", TABLES + ROW.format(id="r", when="1")),
        ("REPEATED", "tables.toml: tables/answer: id", TABLES + TABLES),
        ("UNKNOWN_KEY", "tables.toml: tables/answer: rows/r: wehn", TABLES.replace("when =", "wehn =")),
        ("UNKNOWN_KEY", "tables.toml: tables/answer: rows/r: when: m", TABLES.replace("{ n = {", "{ m = 1, n = {")),
        ("UNKNOWN_NAME", "tables.toml: tables/answer: columns.nn", TABLES.replace('n = "N"', 'nn = "N"')),
        ("COLUMN", "tables.toml: tables/answer: columns.n", TABLES.replace('n = "N"', "n = true")),
        ("UNKNOWN_KEY", "tables.toml: tables/answer: every.m", TABLES + "[tables.every]\nm = 1\n"),
        ("CELL", "tables.toml: tables/answer: rows/r: n", TABLES.replace("from = 10", "from = 10, in = [1]")),
        ("CELL", "tables.toml: tables/answer: rows/r: n", TABLES.replace("from = 10", "")),
        ("CELL", "tables.toml: tables/answer: rows/r: n", TABLES.replace("from = 10", "absent = true")),
        ("EMPTY", "tables.toml: tables/answer: rows/r: n", TABLES.replace("from = 10", "from = 10, to = 9")),
        ("RANGE", "tables.toml: tables/answer: rows/r: n", TABLES.replace("from = 10", "from = 101")),
        ("TYPE", "tables.toml: tables/answer: rows/r: n", TABLES.replace("from = 10", "from = 1.5")),
        ("UNKNOWN_KEY", "tables.toml: tables/answer: rows/r: n: above", TABLES.replace("from = 10", "above = 10")),
        ("REPEATED", "tables.toml: tables/answer: rows/r: n", TABLES.replace("from = 10", "in = [1, 1]")),
        ("UNKNOWN_SOURCE", "tables.toml: tables/answer: rows/r: source", TABLES.replace('"s"', '"t"')),
        ("MISSING", "tables.toml: tables/answer: rows/r: source", TABLES.replace('source = "s"\n', "")),
        ("MISSING", "tables.toml: tables/answer: rows/r: reason", TABLES + 'result = "review"\n'),
        ("EMPTY", "tables.toml: tables/answer: rows/r", TABLES + "valid_from = 2024-02-01\nvalid_to = 2024-01-31\n"),
        ("MISSING", "tables.toml: tables/answer: rows", TABLES.partition("[[tables.rows]]")[0]),
    ],
)  # fmt: skip
def test_tables(code: str, place: str, tables: str) -> None:
    refused(code, place, no_tables=tables)


def test_an_overlap_names_both_rows_and_a_gap_a_point() -> None:
    error = refused("OVERLAP", "tables.toml: tables/answer", no_tables=TABLES + ROW.format(id="q", when="10"))
    assert "r" in error.text.en and "q" in error.text.en
    gap = TABLES.replace("[tables.columns]", "complete = true\n[tables.columns]")
    assert "n 0" in refused("GAP", "tables.toml: tables/answer", no_tables=gap).text.en
    whole = gap.replace("when = { n = { from = 10 } }", "") + ""
    assert small(no_tables=whole).table.complete


def test_rows_of_different_days_do_not_overlap() -> None:
    later = TABLES + "valid_to = 2024-05-31\n" + ROW.format(id="q", when="{ from = 10 }") + "valid_from = 2024-06-01\n"
    assert len(small(no_tables=later).table.rows) == 2
    refused("OVERLAP", "tables.toml: tables/answer", no_tables=later.replace("2024-06-01", "2024-05-31"))
    complete = later.replace("[tables.columns]", "complete = true\n[tables.columns]").replace("{ from = 10 }", '"any"')
    assert small(no_tables=complete).table.complete
    gap = refused("GAP", "tables.toml: tables/answer", no_tables=complete.replace("2024-06-01", "2024-06-02"))
    assert "2024-06-01" in gap.text.en


def test_sets_are_apart_only_by_what_one_has_and_the_other_lacks() -> None:
    tables = TABLES.replace('n = "N"', 'tags = "N"').replace("n = { from = 10 }", 'tags = { has = ["x"] }')
    row = '[[tables.rows]]\nid = "q"\nsource = "s"\nwhen = {{ tags = {{ {when} }} }}\n'
    assert len(small(pack=SET, no_tables=tables + row.format(when='lacks = ["x"]')).table.rows) == 2
    place = "tables.toml: tables/answer"
    refused("OVERLAP", place, pack=SET, no_tables=tables + row.format(when='has = ["y"]'))
    refused(
        "EMPTY", f"{place}: rows/q: tags", pack=SET, no_tables=tables + row.format(when='has = ["y"], lacks = ["y"]')
    )
    refused("TYPE", f"{place}: rows/q: tags", pack=SET, no_tables=tables + row.format(when='has = ["z"]'))


def test_tables_that_read_each_other() -> None:
    other = (
        '[[tables]]\nid = "{id}"\nhit = "unique"\nreason = "N"\noutputs.v = "int"\n[tables.columns]\n'
        '"tables.{of}.v" = true\n[[tables.rows]]\nid = "r"\nsource = "s"\nthen = {{ v = 1 }}\n'
    )
    refused("CYCLE", "tables.toml: tables", tables=other.format(id="a", of="b") + other.format(id="b", of="a"))


@pytest.mark.parametrize(
    ("code", "place", "pack"),
    [
        ("CYCLE", "pack.toml: capped.a",
         '[capped.a]\nof = "capped.b"\nmost = "n"\n[capped.b]\nof = "capped.a"\nmost = "n"\n'),
        ("CYCLE", "pack.toml: capped.a", '[capped.a]\nof = "capped.a"\nmost = "n"\n'),
        ("UNKNOWN_NAME", "pack.toml: capped.a: of", '[capped.a]\nof = "m"\nmost = "n"\n'),
        ("TYPE", "pack.toml: parts.a: of", '[parts.a]\nof = "n"\npart = "year"\n'),
        ("CELL", "pack.toml: windows.w: days | months | years",
         '[windows.w]\nfrom = "as_of"\nmonths = 1\ndays = 1\nlast_day = "inclusive"\n'),
        ("MISSING", "pack.toml: windows.w: month_end",
         '[windows.w]\nfrom = "as_of"\nmonths = 1\nlast_day = "inclusive"\nsource = "s"\n'),
        ("MISSING", "pack.toml: windows.w: last_day", '[windows.w]\nfrom = "as_of"\ndays = 1\nsource = "s"\n'),
        ("TYPE", "pack.toml: compare.c: right", '[compare.c]\nleft = "as_of"\nright = "n"\nis = "<"\n'),
        ("UNKNOWN_NAME", "pack.toml: recovery: when", '[recovery]\nwhen = "n"\nreason = "N"\n'),
    ],
)  # fmt: skip
def test_derived_values(code: str, place: str, pack: str) -> None:
    refused(code, place, pack=pack)


@pytest.mark.parametrize(
    ("code", "place", "of", "more"),
    [
        ("NEGATIVE", "pack.toml: amount: lines", '["n"]', 'sign = "-"\n'),
        ("ABSURD", "pack.toml: amount: lines/a", '["n", 1000000000000, 1000000000000]', ""),
        ("UNKNOWN_NAME", "pack.toml: amount: lines/a: of", '["m"]', ""),
        ("TYPE", "pack.toml: amount: lines/a: of", '["as_of"]', ""),
        ("TYPE", "pack.toml: amount: lines/a: of", "[1.5]", ""),
        ("TYPE", "pack.toml: amount: lines/a: of", "[0]", ""),
        ("RANGE", "pack.toml: amount: lines/a: divide", '["n"]', 'divide = ["n"]\n'),
        ("CHOICE", "pack.toml: amount: lines/a: round", '["n"]', 'round = "up"\n'),
    ],
)
def test_amounts(code: str, place: str, of: str, more: str) -> None:
    refused(code, place, pack=AMOUNT.format(of=of, more=more))


def test_amounts_of_rows() -> None:
    place = "tables.toml: tables/answer: rows/r: then: pay"
    assert small(no_tables=MONEY_ROW % 5, sentences=LABEL).table.outputs["pay"].high == 5
    refused("RANGE", place, no_tables=MONEY_ROW % -5, sentences=LABEL)
    refused("RANGE", place, no_tables=MONEY_ROW % 10**13, sentences=LABEL)
    refused("TYPE", place, no_tables=MONEY_ROW % "5.0", sentences=LABEL)
    refused("TYPE", place, no_tables=MONEY_ROW % "true", sentences=LABEL)


def test_a_collecting_table_gives_no_amount() -> None:
    tables = TABLES.replace('hit = "unique"', 'hit = "collect"')
    refused("COLLECT", "pack.toml: amount", no_tables=tables, pack=AMOUNT.format(of='["n"]', more=""))


def test_a_declared_constraint_that_is_broken() -> None:
    tables = (MONEY_ROW % 5).replace("{ from = 10 }", "1")
    tables += ROW.format(id="q", when="2") + "then = { pay = 4 }\n"
    tables += '[[constraints]]\nid = "c"\ntable = "answer"\nby = "n"\nlines = ["a"]\n'
    pack = AMOUNT.format(of='["tables.answer.pay"]', more="")
    error = refused("CONSTRAINT", "tables.toml: constraints/c", no_tables=tables, pack=pack, sentences=LABEL)
    assert "q" in error.text.en and "4" in error.text.en
    assert small(no_tables=tables.replace("pay = 4", "pay = 6"), pack=pack, sentences=LABEL).amount is not None


@pytest.mark.parametrize(
    ("code", "place", "sentences"),
    [
        ("NO_SENTENCE", "sentences.toml: reasons.N", ""),
        ("UNUSED", "sentences.toml: reasons.M", '[reasons.N]\nzh = "一"\nen = "n"\n[reasons.M]\nzh = "一"\nen = "n"\n'),
        ("PLACEHOLDER", "sentences.toml: reasons.N", '[reasons.N]\nzh = "一"\nen = "{name}"\n'),
        ("PLACEHOLDER", "sentences.toml: reasons.N", '[reasons.N]\nzh = "一"\nen = "{value:>999999}"\n'),
        ("PLACEHOLDER", "sentences.toml: reasons.N", '[reasons.N]\nzh = "一"\nen = "{value"\n'),
        ("MISSING", "sentences.toml: reasons.N: zh", '[reasons.N]\nen = "n"\n'),
        ("TYPE", "sentences.toml: reasons.N: zh", '[reasons.N]\nzh = ""\nen = "n"\n'),
        ("UNUSED", "sentences.toml: labels.m", '[reasons.N]\nzh = "一"\nen = "n"\n[labels.m]\nzh = "一"\nen = "n"\n'),
    ],
)
def test_sentences(code: str, place: str, sentences: str) -> None:
    refused(code, place, no_sentences=sentences)


def test_a_derived_value_that_is_shown_has_a_label() -> None:
    pack = '[parts.y]\nof = "as_of"\npart = "year"\n'
    tables = TABLES.replace('n = "N"', 'n = "N"\n"parts.y" = "N"')
    refused("NO_LABEL", "sentences.toml: labels.parts.y", pack=pack, no_tables=tables)


def test_a_key_misspelt_in_a_shipped_pack_names_the_nearest() -> None:
    with pytest.raises(BadPack) as caught:
        load_pack(changed("sc-2023", "pack.toml", "month_end", "months_end"))
    assert (caught.value.code, caught.value.field) == ("MISSING", "pack.toml: windows.apply: month_end")
    with pytest.raises(BadPack) as caught:
        load_pack(changed("sc-2023", "tables.toml", "in_national_query = true\n\n", "in_national_qery = true\n\n"))
    assert (caught.value.code, caught.value.field) == (
        "UNKNOWN_KEY",
        "tables.toml: tables/subsidy: every.in_national_qery",
    )
    assert "in_national_query" in caught.value.text.en


def test_a_spoiled_pack_is_refused_with_a_code_or_decides_as_any_other() -> None:
    """Whatever is typed into a file: no crash, and a pack that loads can be decided and explained."""
    packs, refusals = list(shipped_packs().values()), 0
    for seed in range(150):
        random = Random(seed)
        try:
            pack = load_pack(mutated(random.choice(packs), random))
            for result in run_cases(pack):
                assert explain(result.decision, pack, load_ladder()), seed
        except BadPack as error:
            assert error.code and error.field and error.text.zh and error.text.en
            refusals += 1
    assert 50 < refusals < 150
