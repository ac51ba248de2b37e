"""What every strict parser of payload maps must hold to, in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cbor2
import pytest

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.cose import body_header, combine, sign_one, sign_part
from ledger.records.statements import Statement, parse_statement
from tests.support.builders import Authority, key

ODD: tuple[Any, ...] = (b"", "", 0, -1, [], {}, b"\0" * 31, "x", 2**63, [[]], [0])


def sign_alone(fields: Mapping[int, Any], issuer: str, subject: str) -> bytes:
    """An entry of one signer over any payload map."""
    return sign_one(cbor2.dumps(dict(sorted(fields.items()))), issuer, subject, key("anybody"))


def sign_as_authority(fields: Mapping[int, Any], authority: Authority, subject: str) -> bytes:
    """An entry of several signers over any payload map."""
    protected = body_header(authority.origin, subject)
    payload = cbor2.dumps(dict(sorted(fields.items())))
    return combine(protected, payload, tuple(sign_part(protected, payload, person) for person in authority.people))


def check_strict(parse: Callable[[dict[int, Any]], Any], fields: Mapping[int, Any], optional: set[int]) -> None:
    """`parse` refuses a key more, a key fewer but the optional, and any odd value that reads as something else.

    What it does accept encodes to exactly the map that was read.
    """
    good = parse(dict(fields))
    assert good.as_map() == dict(fields)
    with pytest.raises(Malformed):
        parse({**fields, 99: 0})
    for at in fields:
        if at not in optional | {1}:
            with pytest.raises(Malformed):
                parse({key: value for key, value in fields.items() if key != at})
        for odd in (*ODD, 1.5):
            if at == 1 or (odd == fields[at] and type(odd) is type(fields[at])):
                continue
            try:
                read = parse({**fields, at: odd})
            except Malformed:
                continue
            assert type(odd) is not float
            assert canonical.encode(read.as_map()) == canonical.encode({**fields, at: odd}), at


def check_prefixes(entry: bytes) -> None:
    """Every prefix of an entry is malformed, and so is a byte behind it."""
    for at in range(len(entry)):
        with pytest.raises(Malformed):
            parse_statement(entry[:at])
    with pytest.raises(Malformed):
        parse_statement(entry + b"\0")


def check_statement(statement: Statement, body: Any) -> None:
    """The one door in gives back the body that was signed, and the same bytes again."""
    assert parse_statement(statement.entry) == statement
    assert statement.body == body and statement.kind == body.as_map()[1]
    assert canonical.decode(statement.envelope.payload) == body.as_map()
    assert statement.envelope.subject == body.subject
