"""A slice of scripts/enumeration: guessed numbers, secrets and tokens of shares against the real programs."""

from __future__ import annotations

from pathlib import Path

from tests.support.enumeration import Guessing


async def test_guesses_disclose_nothing_and_are_answered_alike(tmp_path: Path) -> None:
    async with Guessing.open(tmp_path, certificates=30) as guessing:
        assert await guessing.control() > 0, "what is disclosed would be noticed"
        told = await guessing.run(seed=1, count=120)
        assert told["guessed"]["another name"] > 30 and told["guessed"]["absent number"] > 30
        assert told["disclosed"] == 0
        answers = told["answers"]
        assert answers.pop("control") == 2 and set(answers) == {"number", "secret", "share"}
        assert set(answers.values()) == {1}, {kind: sorted(guessing.answers[kind])[:2] for kind in answers}
        said = (tmp_path / "verifier.stderr").read_text("utf-8") + (tmp_path / "log.stderr").read_text("utf-8")
        assert '"route":"/v1/lookup"' in said and "Traceback" not in said
        for certificate in guessing.certificates:
            assert certificate.face.number not in said and certificate.face.name not in said
