from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from issuer.exports import vocabulary
from issuer.exports.vocabulary import CREDENTIALS_V2, OPEN_BADGES, check_terms, document_loader, load_context
from ledger.errors import Malformed, Unavailable


def test_nothing_is_loaded_but_what_is_pinned() -> None:
    assert document_loader(CREDENTIALS_V2)["document"]["@context"]
    for url in ("https://www.w3.org/ns/credentials/v1", OPEN_BADGES + "#", CREDENTIALS_V2 + "/", "file:///etc/passwd"):
        with pytest.raises(Malformed):
            document_loader(url)


def test_a_damaged_context_is_not_signed_under(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "contexts"
    shutil.copytree(Path(vocabulary.__file__).with_name("contexts"), folder)
    monkeypatch.setattr(vocabulary, "_FOLDER", folder)
    load_context.cache_clear()
    try:
        assert load_context(OPEN_BADGES)
        load_context.cache_clear()
        file = folder / "ob-v3p0-context-3.0.3.json"
        file.write_bytes(file.read_bytes().replace(b"licenseNumber", b"licenceNumber"))
        with pytest.raises(Unavailable):
            load_context(OPEN_BADGES)
    finally:
        load_context.cache_clear()


def test_terms_that_no_context_defines_are_found() -> None:
    document = {
        "@context": [CREDENTIALS_V2, OPEN_BADGES],
        "type": ["VerifiableCredential", "OpenBadgeCredential"],
        "credentialSubject": {"type": ["AchievementSubject"], "licenseNumber": "1"},
    }
    check_terms(document)
    with pytest.raises(Malformed, match="skillGrade"):
        check_terms(document | {"skillGrade": "3"})
    with pytest.raises(Malformed, match="SkillGrade"):
        check_terms(document | {"type": ["VerifiableCredential", "SkillGrade"]})
    with pytest.raises(Malformed, match="licenseNumber"):  # a term of AchievementSubject, and of nothing else
        check_terms(document | {"licenseNumber": "1"})
    with pytest.raises(Malformed, match="@graph"):
        check_terms(document | {"credentialSubject": {"@graph": []}})
    with pytest.raises(Malformed, match="not ours"):
        check_terms(document | {"@context": ["https://example.org/context"]})
