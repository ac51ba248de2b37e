"""The JSON bodies of a payer's question for a certificate by what is printed on it, and of the answer."""

from __future__ import annotations

import msgspec


class HolderRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Number and name of a certificate in their normal forms, and the document of whoever shows it."""

    certificate: str
    name: str
    document_type: str
    country: str
    number: str  # of the document


class HolderAnswer(msgspec.Struct):
    """The certificate's public name, with which everything else is asked."""

    cert_key: bytes
