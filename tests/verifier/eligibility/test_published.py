"""Only a pack whose exact bytes the log knows makes a decision that counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.errors import Unverified
from ledger.records.dates import batch_day
from ledger.records.pack import Pack as Publication
from ledger.reference_data import load_ladder
from ledger.store.claims import published_pack
from tests.support.build_log import FILING, LogBuilder
from tests.support.eligibility import verified_of
from tests.support.packs import changed
from verifier.eligibility.decision import Basis
from verifier.eligibility.engine import decide
from verifier.eligibility.explain import explain
from verifier.eligibility.facts import read_facts
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.loader import load_pack
from verifier.eligibility.pack import Pack
from verifier.eligibility.published import PublishedPack, published

PACK = shipped_packs()["title-sc-2021"]
FACTS = {"in_skill_work": True, "honour": "provincial"}


def publication(pack: Pack, issuer: str = "") -> Publication:
    terms = None if issuer else pack.claim
    return Publication(pack.id, pack.version, pack.digest, pack.first_day, pack.last_day or 0, terms, issuer)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    builder = await LogBuilder.create(tmp_path / "log.db")
    yield builder
    await builder.store.close()


async def test_a_decision_counts_under_the_pack_that_the_log_has(log: LogBuilder) -> None:
    certificate = log.certificate("one")
    await log.issue(certificate)
    await log.batch([log.by_authority(publication(PACK))])
    found, facts, day = await verified_of(log, certificate), read_facts(FACTS, PACK), batch_day(log.time)
    said = await published_pack(log.integrator, PACK.digest)
    assert said is not None
    counts = decide([found], facts, published(PACK, said), day)
    assert counts.basis is Basis.VERIFIED
    other = decide([found], facts, PACK, day)
    assert other.basis is Basis.UNPUBLISHED
    assert replace(other, basis=Basis.VERIFIED) == counts
    words = [[text.en for text in explain(each, PACK, load_ladder())] for each in (counts, other)]
    assert not any("not published" in line for line in words[0]) and any("not published" in line for line in words[1])
    altered = load_pack(changed("title-sc-2021", "tables.toml", "from = 3", "from = 2"))
    assert await published_pack(log.integrator, altered.digest) is None
    with pytest.raises(Unverified):
        published(altered, said)


def test_the_statement_has_to_say_what_the_pack_says() -> None:
    pack = shipped_packs()["n-2024"]
    good = publication(pack)
    assert published(pack, good).pack is pack
    assert good.terms is not None
    for change in (
        {"digest": bytes(32)},
        {"pack_id": "n-2025"},
        {"version": "2"},
        {"first_day": good.first_day + 1},
        {"last_day": 0},
        {"terms": None},
        {"terms": replace(good.terms, slots=4)},
    ):
        with pytest.raises(Unverified):
            published(pack, replace(good, **change))  # type: ignore[arg-type]


def test_an_employer_publishes_wage_tables_only() -> None:
    wages = shipped_packs()["wage-sample"]
    assert published(wages, publication(wages, FILING)).issuer == FILING
    with pytest.raises(Unverified):
        published(PACK, publication(PACK, FILING))


def test_it_cannot_be_made_or_changed() -> None:
    with pytest.raises(AssertionError):
        PublishedPack(object(), PACK, "")
    found = published(PACK, publication(PACK))
    with pytest.raises(AssertionError):
        found.pack = shipped_packs()["n-2024"]
    with pytest.raises(AssertionError):
        type("Mine", (PublishedPack,), {})
    with pytest.raises(AssertionError):
        decide((), read_facts({}, PACK), object(), 20_000)  # type: ignore[arg-type]
