"""Statements as they cross from one process of this program to another: flat values for marshal.

    packed = pack(read)               in the process that parsed, and checked the signature where it knew the key
    read = unpack(entry, packed)      in the other; raises nothing: the far end is this same program

Pickling a frozen dataclass with slots asks for its fields one by one on either side, which costs more than the
signature. A certificate travels as a tuple and is put together here without being checked a second time; whatever is
none is rare and is parsed again.
"""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import Any, Final

from ledger.records.cose import Envelope, Signature
from ledger.records.issue import Issue
from ledger.records.kinds import Audience, Kind, Route
from ledger.records.statements import Statement, parse_statement
from ledger.records.view import Authentic, authenticated_elsewhere

# Route and audience are enumerations, which marshal refuses.
_NAMES: Final = tuple(field.name for field in fields(Issue) if field.name not in ("route", "audience", "permit"))
_VALUES: Final = attrgetter(*_NAMES)
_SETTERS: Final = tuple(getattr(Issue, name).__set__ for name in _NAMES)
_SET_ROUTE, _SET_AUDIENCE, _SET_PERMIT = (getattr(Issue, n).__set__ for n in ("route", "audience", "permit"))
_ROUTES: Final = {int(route): route for route in Route}
_AUDIENCES: Final = {int(audience): audience for audience in Audience}
_KINDS: Final = {int(kind): kind for kind in Kind}


def pack(read: Authentic | Statement) -> Any:
    """The values of a certificate's statement, with the key its signature was checked under if it was; for any other
    statement b"".
    """
    statement = read.statement if isinstance(read, Authentic) else read
    body, envelope = statement.body, statement.envelope
    if not isinstance(body, Issue) or body.permit is not None:
        return b""
    part = envelope.signatures[0]
    return (
        read.publics[0] if isinstance(read, Authentic) else b"",
        int(statement.kind),
        (envelope.issuer, envelope.subject, envelope.protected, envelope.payload), part.kid, part.signature,
        int(body.route), int(body.audience), _VALUES(body),
    )  # fmt: skip


def unpack(entry: bytes, packed: Any) -> Authentic | Statement:
    """What `pack` was given for the statement with these bytes."""
    if packed == b"":
        return parse_statement(entry)
    public, kind, (issuer, subject, protected, payload), kid, signature, route, audience, values = packed
    issue = object.__new__(Issue)
    for put, value in zip(_SETTERS, values):  # noqa: B905  # both are as long as the class has fields
        put(issue, value)
    _SET_ROUTE(issue, _ROUTES[route])
    _SET_AUDIENCE(issue, _AUDIENCES[audience])
    _SET_PERMIT(issue, None)
    envelope = Envelope(issuer, subject, protected, payload, (Signature(kid, signature),), True)
    statement = Statement(entry, _KINDS[kind], issue, envelope)
    return authenticated_elsewhere(statement, public) if public else statement
