"""Names of files say whose they are and what they are, and nothing that has to be escaped."""

from __future__ import annotations

import re

from ledger.downloads import RECEIPT, TLOG_PROOF


def test_a_file_is_named_after_its_certificate() -> None:
    names = {kind.headers(bytes(range(32)))["Content-Disposition"] for kind in (TLOG_PROOF, RECEIPT)}
    assert names == {
        'attachment; filename="0001020304050607.tlog-proof"',
        'attachment; filename="0001020304050607.receipt.cose"',
    }
    assert all(re.fullmatch(r'attachment; filename="[0-9a-z.-]+"', name) for name in names)
