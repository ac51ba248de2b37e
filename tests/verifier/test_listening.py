"""The settings of whoever listens: one set of words, the same in every program's file."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from ledger.errors import Malformed
from verifier.audit.config import AuditSettings
from verifier.config import VerifierSettings
from verifier.listening import check_tls
from verifier.witness.config import WitnessSettings

NAMES = ("host", "port", "behind_proxy", "tls_cert", "tls_key")


@pytest.mark.parametrize(
    ("settings", "port"), [(AuditSettings, 8900), (VerifierSettings, 8800), (WitnessSettings, 8900)]
)
def test_everybody_who_listens_has_the_same_words(settings: type, port: int) -> None:
    found = {one.name: one for one in fields(settings) if one.name in NAMES}  # type: ignore[arg-type]
    assert [found[name].default for name in NAMES] == ["127.0.0.1", port, False, None, None]
    first = {one.name: one for one in fields(AuditSettings)}
    assert all(found[name].metadata == first[name].metadata for name in NAMES)


def test_certificate_and_key_go_together() -> None:
    check_tls(None, None)
    check_tls(Path("c"), Path("k"))
    for cert, key in ((Path("c"), None), (None, Path("k"))):
        with pytest.raises(Malformed, match="together"):
            check_tls(cert, key)
