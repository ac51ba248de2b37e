"""Passkeys (WebAuthn level 2) of this site: what the browser is asked for, and whether its answer holds.

A passkey is discoverable and verified by its device (fingerprint, face or PIN). Its user handle is the account's own:
it comes back with each sign-in and opens what is kept (`verifier.holders.sealing`). Attestation is neither asked for
nor looked at: which make of device somebody has is not our business.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import parse_authentication_credential_json, parse_client_data_json
from webauthn.helpers.base64url_to_bytes import base64url_to_bytes
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from ledger.errors import Malformed, Unverified
from ledger.text import Text
from verifier.holders.sealing import HANDLE_BYTES

CHALLENGE_BYTES: Final = 32
MAX_ANSWER: Final = 16 * 1024  # bytes of what a browser sends
_TIMEOUT_MS: Final = 5 * 60_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Made:
    """A credential that a device has made."""

    id: bytes
    public_key: bytes  # COSE
    sign_count: int


@dataclass(frozen=True, slots=True)
class Asserted:
    """Who says to be signing in: nothing is verified yet."""

    credential: dict[str, Any]
    challenge: bytes
    id: bytes
    handle: bytes


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """This site as devices know it. `id` is its host name; there are no passkeys for a numeric address."""

    id: str
    origin: str
    name: str

    def creation(self, handle: bytes, user: str, challenge: bytes, known: Sequence[bytes]) -> str:
        """JSON for `navigator.credentials.create`; `user` is what the device will show beside the passkey."""
        options = generate_registration_options(
            rp_id=self.id,
            rp_name=self.name,
            user_id=handle,
            user_name=user,
            user_display_name=user,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=id_) for id_ in known],
        )
        return options_to_json(options)

    def request(self, challenge: bytes) -> str:
        """JSON for `navigator.credentials.get`: any passkey of this site."""
        options = generate_authentication_options(
            rp_id=self.id,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json(options)

    def made(self, body: bytes, challenge: bytes) -> Made:
        """Raises Malformed, Unverified."""
        verified = _checked(
            lambda: verify_registration_response(
                credential=_object(body),
                expected_challenge=challenge,
                expected_rp_id=self.id,
                expected_origin=self.origin,
                require_user_verification=True,
            )
        )
        return Made(verified.credential_id, verified.credential_public_key, verified.sign_count)

    def verify(self, asserted: Asserted, public_key: bytes, sign_count: int) -> int:
        """The device's new count. Raises Unverified."""
        return _checked(
            lambda: verify_authentication_response(
                credential=asserted.credential,
                expected_challenge=asserted.challenge,
                expected_rp_id=self.id,
                expected_origin=self.origin,
                credential_public_key=public_key,
                credential_current_sign_count=sign_count,
                require_user_verification=True,
            )
        ).new_sign_count


def relying_party(base: str, name: str) -> RelyingParty | None:
    """The site at its official address; None where there can be no passkeys."""
    host = urlsplit(base).hostname or ""
    if ":" in host or host.replace(".", "").isdigit():
        return None
    return RelyingParty(host, base, name)


def challenge_of(body: bytes) -> bytes:
    """The challenge that a browser's answer names. Raises Malformed."""
    try:
        raw = base64url_to_bytes(_object(body)["response"]["clientDataJSON"])
        return parse_client_data_json(raw).challenge
    except Malformed:
        raise
    except Exception as error:  # a stranger's JSON fails in as many ways as there are
        raise Malformed(Text("不是通行密钥的答复", "not the answer of a passkey")) from error


def parse_assertion(body: bytes) -> Asserted:
    """What a sign-in claims. Raises Malformed."""
    credential = _object(body)
    try:
        parsed = parse_authentication_credential_json(credential)
    except Exception as error:  # as above
        raise Malformed(Text("不是通行密钥的答复", "not the answer of a passkey")) from error
    handle = parsed.response.user_handle
    if handle is None or len(handle) != HANDLE_BYTES:
        raise Malformed(Text("该通行密钥没有给出本站的用户标识", "the passkey gave no user handle of ours"))
    return Asserted(credential, challenge_of(body), parsed.raw_id, handle)


def _checked(verify: Callable[[], T]) -> T:
    try:
        return verify()
    except Malformed:
        raise
    except Exception as error:  # whatever the library finds wrong, the answer does not hold
        raise Unverified(Text("通行密钥的答复不成立", "the passkey's answer does not hold")) from error


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed(Text("不是通行密钥的答复（JSON）", "JSON of a passkey's answer")) from error
    if not isinstance(found, dict):
        raise Malformed(Text("不是通行密钥的答复（JSON）", "JSON of a passkey's answer"))
    return found
