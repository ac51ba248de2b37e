"""Settings of a verifier that follows a built log."""

from __future__ import annotations

from tests.support.build_log import BASE, LogBuilder
from verifier.config import LogConfig, VerifierSettings


def settings_of(log: LogBuilder) -> VerifierSettings:
    vkeys = tuple(key.format_vkey() for key in log.signer.vkeys)
    return VerifierSettings((BASE,), (LogConfig(log.origin, vkeys, log.trust().genesis.hex(), "https://ledger"),))
