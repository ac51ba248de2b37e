"""The TOML form of one filing, as a body hands it in."""

from __future__ import annotations

from ledger.console.bodies import read_body
from ledger.records.authority import Filing
from tests.support.builders import key

FILING = f"""
number = "Y000051000001"
name = "示例机械有限公司"
latin_name = "Example Machines"
kind = "employer"
first_day = 2026-01-01
last_day = 2028-12-31
cap = 500
record_keys = ["{key("record").public.hex()}"]
request_keys = [{{ public = "{key("request").public.hex()}", first_day = 2026-02-01, last_day = 2027-01-31 }}]

[[rows]]
occupation = "6-18-01-01"
trade = "数控车工"
grades = ["三级/高级工", 4, "5级"]
audience = "own_staff"
"""


def read_filing(text: str) -> Filing:
    body = read_body("filing", text, 0)
    assert isinstance(body, Filing)
    return body
