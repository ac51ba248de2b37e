"""Slices of scripts/canaries and scripts/enumeration, against the same real programs: a ledger, and a verifier with a
leak in every channel, which the search notices and tells from what the programs give away themselves."""

from __future__ import annotations

import random
from pathlib import Path

from tests.support.canaries import LEAKS, Aviary
from tests.support.enumeration import Guessing


async def test_what_is_sent_stays_there_and_guesses_disclose_nothing(tmp_path: Path) -> None:
    async with Aviary.open(tmp_path, holders=1, others=30, leaking=True) as aviary:
        guessing = Guessing(aviary.url, aviary.others)
        await guessing.share(random.Random(1))
        assert await guessing.control() > 0, "what is disclosed would be noticed"
        told = await guessing.run(seed=1, count=120)
        assert told["guessed"]["another name"] > 30 and told["guessed"]["absent number"] > 30
        assert told["disclosed"] == 0
        answers = told["answers"]
        assert answers.pop("control") == 2 and set(answers) == {"number", "secret", "share"}
        assert set(answers.values()) == {1}, {kind: sorted(guessing.answers[kind])[:2] for kind in answers}
        flown = await aviary.run(seed=1, count=200, sheets=False)
        assert flown["found"] == []
        assert flown["planted"].keys() >= LEAKS, "each leak would be noticed"
        said = (tmp_path / "verifier.stderr").read_text("utf-8") + aviary.live.stderr.read_text("utf-8")
        assert '"route":"/v1/lookup"' in said and "Traceback" not in said
        for certificate in guessing.certificates:
            assert certificate.face.number not in said and certificate.face.name not in said
