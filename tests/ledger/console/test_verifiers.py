"""The command that makes a verifier's token."""

from __future__ import annotations

import re

import pytest

from ledger.__main__ import main
from ledger.service.enquirers import Enquirers, parse_verifiers


def test_the_token_and_the_line_belong_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verifier-token", "province"]) == 0
    said = capsys.readouterr().out
    token, line = re.search(r"^[0-9a-f]{64}$", said, re.M), re.search(r'^"(.*)"$', said, re.M)
    assert token is not None and line is not None
    assert Enquirers(parse_verifiers([line[1]]), 100).named(f"Bearer {token[0]}") == "province"


def test_a_name_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verifier-token", "two words"]) == 2
    assert "verifiers" in capsys.readouterr().err
