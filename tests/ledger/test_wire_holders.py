"""A payer's question for a certificate: its one form, and nothing unknown in it."""

from __future__ import annotations

import msgspec
import pytest

from ledger import wire
from ledger.errors import Malformed
from ledger.wire_holders import HolderAnswer, HolderRequest

ASKED = HolderRequest("Y000051001064253000017", "例小明", "111", "CHN", "110101199003070011")


def test_question_and_answer_come_back() -> None:
    assert wire.decode(wire.encode(ASKED), HolderRequest) == ASKED
    assert wire.decode(wire.encode(HolderAnswer(bytes(32))), HolderAnswer).cert_key == bytes(32)


@pytest.mark.parametrize("more", [{"cert_key": ""}, {"last4": "0011"}])
def test_what_nobody_asked_for_is_refused_and_not_repeated(more: dict[str, str]) -> None:
    with pytest.raises(Malformed) as caught:
        wire.decode(msgspec.json.encode(msgspec.to_builtins(ASKED) | more), HolderRequest)
    assert "例小明" not in str(caught.value) and "1101" not in str(caught.value)
