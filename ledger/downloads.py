"""How proofs of a place in the log are called when a browser keeps them as files. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Download:
    """One kind of file."""

    content_type: str
    ending: str

    def headers(self, cert_key: bytes) -> dict[str, str]:
        """For the file of one certificate; its cert key (32 bytes) is public."""
        return {"Content-Disposition": f'attachment; filename="{cert_key[:8].hex()}.{self.ending}"'}


TLOG_PROOF: Final = Download("text/plain", "tlog-proof")  # C2SP tlog-proof v1
RECEIPT: Final = Download("application/cose", "receipt.cose")  # RFC 9942
