"""What the authority states, read from TOML, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.console.bodies import READERS, read_body
from ledger.console.describe import describe
from ledger.errors import Malformed
from ledger.records.authority import Filing
from ledger.records.kinds import FilingStatus, KeyStatus, Kind, Reason
from ledger.records.life import Listed, Range, Ruling
from ledger.records.pack import ClaimTerms, Pack
from ledger.records.permit import LatePermit, permit_root
from ledger.records.rotation import AuthorityChange, LogKey
from ledger.records.supervision import FilingStanding, KeyStanding
from tests.support.builders import DAY, NUMBER, octets
from tests.support.filing_form import FILING

TODAY = DAY
A, B = sorted((octets("a"), octets("b")))
FORMS: dict[str, tuple[str, Any]] = {
    "filing-status": (
        f'filing = "{NUMBER}"\nstatus = "suspended"\nreason = "under_review"\neffective_day = "2026-05-20"',
        FilingStanding(NUMBER, FilingStatus.SUSPENDED, Reason.UNDER_REVIEW, DAY - 7),
    ),
    "key-status": (
        f'filing = "{NUMBER}"\npublic = "{A.hex()}"\nstatus = "compromised"\nvoid_from = 17',
        KeyStanding(NUMBER, A, KeyStatus.COMPROMISED, TODAY, 17),
    ),
    "late-permit": (
        f'filing = "{NUMBER}"\nreason = "other"\nfirst_day = "2026-01-01"\nlast_day = "2026-01-31"\n'
        f'permitted = ["{A.hex()}", "{B.hex()}"]',
        LatePermit(NUMBER, Reason.OTHER, 20_454, 20_484, permit_root([A, B]), 2),
    ),
    "pack": (
        f'pack = "sc-skill"\nversion = "1"\ndigest = "{A.hex()}"\nfirst_day = "2026-01-01"\nlast_day = "2026-12-31"\n'
        '[claim]\nscheme = "SC"\ngroups = ["SKILL", "A"]\nlower_grades = true\nslots = 3',
        Pack("sc-skill", "1", A, 20_454, 20_818, ClaimTerms("SC", ("A", "SKILL"), False, True, 3)),
    ),
    "authority-change": (
        f'keys = ["{B.hex()}", "{A.hex()}"]\nthreshold = 2',
        AuthorityChange((A, B), 2, TODAY),
    ),
    "log-key": ('successor = "log.test.example/2027"', LogKey(TODAY, successor="log.test.example/2027")),
    "suspend": (
        f'cert_keys = ["{A.hex()}"]\nreason = "under_review"',
        Ruling(Kind.SUSPEND, Listed((A,)), Reason.UNDER_REVIEW, TODAY),
    ),
    "restore": (
        f'cert_keys = ["{B.hex()}", "{A.hex()}"]\nreason = "cleared"\neffective_day = 2026-05-26',
        Ruling(Kind.RESTORE, Listed((A, B)), Reason.CLEARED, DAY - 1),
    ),
    "revoke": (
        f'reason = "fraud"\nrange = {{ filing = "{NUMBER}", first = 3, last = 90 }}',
        Ruling(Kind.REVOKE, Range(NUMBER, 3, 90), Reason.FRAUD, TODAY),
    ),
}


def test_a_payer_has_schemes_and_a_pack_may_have_no_terms() -> None:
    text = (
        f'number = "Z000051000001"\nname = "示例经办机构"\nkind = "payer"\nfirst_day = "2026-01-01"\n'
        f'last_day = "2026-12-31"\nrecord_keys = ["{A.hex()}"]\nrequest_keys = ["{B.hex()}"]\nschemes = ["B", "A"]'
    )
    payer = read_body("filing", text, TODAY)
    assert isinstance(payer, Filing) and payer.schemes == ("A", "B") and payer.rows == ()
    assert "可支付 may pay: A、B" in describe(payer)
    for wrong in (text.replace('"payer"', '"employer"'), text.replace('schemes = ["B", "A"]', "")):
        with pytest.raises(Malformed):
            read_body("filing", wrong, TODAY)
    plain = f'pack = "wages"\nversion = "1"\ndigest = "{A.hex()}"\nfirst_day = "2026-01-01"'
    assert "no terms" in describe(read_body("pack", plain, TODAY))
    with pytest.raises(Malformed):
        read_body("pack", plain + '\n[claim]\nscheme = "SC"\nslot = 3', TODAY)


@pytest.mark.parametrize("what", FORMS)
def test_every_kind_is_read_and_shown_before_it_is_signed(what: str) -> None:
    text, body = FORMS[what]
    assert read_body(what, text, TODAY) == body
    shown = describe(body)
    assert shown
    wanted = [value for value in (NUMBER, A.hex(), "2027", "fraud", "under review") if value in text.replace("_", " ")]
    if isinstance(body, LatePermit):
        wanted = [NUMBER, body.root.hex(), "2 "]  # the hashes are under the root
    assert wanted and all(value in shown for value in wanted), "nothing is left out"


def test_a_filing_change_is_a_filing_that_says_so() -> None:
    filing, change = read_body("filing", FILING, TODAY), read_body("filing-change", FILING, TODAY)
    assert isinstance(filing, Filing) and isinstance(change, Filing)
    assert (filing.change, change.change) == (False, True)
    assert "filing change" in describe(change) and "filing change" not in describe(filing)
    granted = read_body("filing", FILING.replace("[[rows]]", 'grants = ["特级技师"]\n[[rows]]', 1), TODAY)
    assert isinstance(granted, Filing) and granted.grants == (7,)


def test_every_kind_of_the_command_line_is_tested_here() -> None:
    assert set(READERS) == set(FORMS) | {"filing", "filing-change"}


@pytest.mark.parametrize("what", FORMS)
def test_another_key_a_missing_one_or_no_toml_is_malformed(what: str) -> None:
    text, _ = FORMS[what]
    for bad in (text + '\nreasons = "x"', text.partition("\n")[2], "= 3", "", "x = " + "[" * 5000):
        with pytest.raises(Malformed):
            read_body(what, bad, TODAY)


@pytest.mark.parametrize(
    ("what", "old", "new"),
    [
        ("filing-status", "suspended", "paused"),
        ("filing-status", NUMBER, "Y1"),
        ("key-status", "compromised", "live"),
        ("key-status", A.hex(), A.hex()[2:]),
        ("key-status", "17", "-1"),
        ("late-permit", f'"{A.hex()}", "{B.hex()}"', ""),
        ("authority-change", "threshold = 2", "threshold = 3"),
        ("revoke", "first = 3", "first = 91"),
        ("suspend", "under_review", "because"),
        ("restore", A.hex(), B.hex()),
    ],
)
def test_what_no_reader_would_accept_is_not_proposed(what: str, old: str, new: str) -> None:
    text, _ = FORMS[what]
    assert old in text
    with pytest.raises(Malformed):
        read_body(what, text.replace(old, new), TODAY)
