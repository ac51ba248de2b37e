"""Whether a verifier can answer: what services say to the pages, without the pages' templates and meters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this verifier can answer now; `detail` says why not, as JSON. It holds no identifiers of certificates."""

    ok: bool
    detail: Mapping[str, object]
