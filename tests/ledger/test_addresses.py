"""Which addresses may be asked in the clear."""

from __future__ import annotations

import pytest

from ledger.addresses import check_ledger_url, is_loopback
from ledger.errors import Malformed


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "verify.example", "localhost.example", "10.0.0.1", ""])
def test_any_other(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "url",
    ["https://log.example", "https://log.example:8443/", "http://127.0.0.1:1", "http://[::1]:80", "http://localhost"],
)
def test_where_a_ledger_may_be(url: str) -> None:
    check_ledger_url(url, "ledger_url")


@pytest.mark.parametrize(
    "url",
    ["http://log.example", "http://10.0.0.1:8080", "http://127.0.0.1@log.example", "HTTP://log.example", "ftp://x", "https://",
     "http://[::1", "https://例.example", "log.example", ""],
)  # fmt: skip
def test_where_names_and_numbers_would_pass_in_the_clear_or_nobody_is(url: str) -> None:
    with pytest.raises(Malformed, match="ledger_url"):
        check_ledger_url(url, "ledger_url")


@pytest.mark.parametrize(
    "url", ["https://user:geheim@log.example", "https://geheim@log.example/", "https://log.example/?word=geheim",
            "https://log.example#geheim", "http://user:geheim@127.0.0.1:1"],
)  # fmt: skip
def test_an_address_that_holds_a_secret_is_refused_and_not_repeated(url: str) -> None:
    """It would stand in the message of everything that the ledger does not answer."""
    with pytest.raises(Malformed, match="ledger_url: no user") as refused:
        check_ledger_url(url, "ledger_url")
    assert "geheim" not in str(refused.value)
