"""The files of an export, as bytes by name: what a holder gets, and what the body publishes.

    NUMBER.badge.json   Open Badges 3.0            NUMBER.vc.json   the same as VC 2.0 with three status entries
    NUMBER.badge.png    the card with the former   NUMBER.sd-jwt    SD-JWT VC, when asked for

    <path of export_url>/did.json                         the issuer's keys (without a path: .well-known/did.json)
    <path of export_url>/status/PURPOSE-N.json, .jwt      bit lists: revocation, suspension, refresh, standing
    <path of export_url>/status/token-N.jwt               status list token        } when SD-JWTs
    .well-known/jwt-vc-issuer<path of export_url>         keys for SD-JWT VC       } are exported

Published paths count from the root of the host, so that the folder can be copied there as it is.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from issuer.exports.badge import BADGE, CREDENTIAL, badge
from issuer.exports.bake import bake, unbake
from issuer.exports.did import did_document, did_of, did_path, issuer_metadata, issuer_path, split_base
from issuer.exports.facts import Facts
from issuer.exports.integrity import ExportKey, secure
from issuer.exports.jcs import Json
from issuer.exports.lists import (
    encode_bits,
    encode_tokens,
    list_credential,
    list_url,
    sign_list,
    sign_token,
    status_entry,
    token_url,
)
from issuer.exports.sdjwt import sd_jwt
from issuer.exports.standing import PURPOSES, Place, Standing
from issuer.exports.when import format_instant
from ledger.records.authority import FiledKey

JSON_SUFFIX, PNG_SUFFIX, VC_SUFFIX, SD_JWT_SUFFIX = ".badge.json", ".badge.png", ".vc.json", ".sd-jwt"
_SALT_LABEL: Final = b"certledger/export-salt/v1\n"


@dataclass(frozen=True, slots=True)
class Maker:
    """Everything that the exports of one run share. `now_s`: POSIX seconds, the time that signatures state."""

    base: str  # export_url
    verify_url: str
    key: ExportKey
    salt_key: bytes = field(repr=False)  # a salt has to be the same whenever a certificate is exported again
    now_s: int = 0

    def holder_files(
        self,
        facts: Facts,
        place: Place,
        fields: Collection[str],
        card: bytes,
        random_bytes: Callable[[int], bytes] | None = None,
    ) -> dict[str, bytes]:
        """By suffix. With `random_bytes`, an SD-JWT too."""
        inside = _compact(self.secured(facts, place, BADGE, fields))
        baked = bake(card, inside)
        assert unbake(baked) == inside, "read back before it is kept"
        files = {
            JSON_SUFFIX: inside,
            PNG_SUFFIX: baked,
            VC_SUFFIX: _compact(self.secured(facts, place, CREDENTIAL, fields)),
        }
        if random_bytes is not None:
            files[SD_JWT_SUFFIX] = sd_jwt(facts, self.base, place, self.key, self.now_s, random_bytes).encode()
        return files

    def made(self, badge_json: bytes, place: Place) -> bool:
        """Whether such a file of an earlier run is for this place and under this key."""
        entry = status_entry(self.base, BADGE[0], place)["id"]
        return all(f'"{mark}"'.encode() in badge_json for mark in (entry, self.key.method))

    def key_files(
        self, keys: Sequence[FiledKey], compromised: Mapping[bytes, int], *, tokens: bool
    ) -> dict[str, bytes]:
        """did.json, and with `tokens` what SD-JWT verifiers ask for."""
        files = {did_path(self.base): _compact(did_document(self.base, keys, compromised))}
        if tokens:
            files[issuer_path(self.base)] = _compact(issuer_metadata(self.base, keys, compromised))
        return files

    def list_files(self, standings: Mapping[int, Standing], *, tokens: bool) -> dict[str, bytes]:
        """Every list that has one of these places. `standings` by log index."""
        by_list: dict[int, dict[int, Standing]] = {}
        for index, standing in standings.items():
            place = Place(index)
            by_list.setdefault(place.list, {})[place.position] = standing
        files = {}
        for number, places in sorted(by_list.items()):
            for name in PURPOSES:
                encoded = encode_bits(position for position, standing in places.items() if standing.bit(name))
                credential = list_credential(self.base, did_of(self.base), name, number, encoded, self.now_s)
                secured, token = sign_list(credential, self.key, self.now_s)
                path = self._path(list_url(self.base, name, number))
                files[path] = _compact(secured)
                files[path.removesuffix(".json") + ".jwt"] = token.encode()
            if tokens:
                lst = encode_tokens({position: standing.token for position, standing in places.items()})
                signed = sign_token(self.base, number, lst, self.key, self.now_s)
                files[self._path(token_url(self.base, number))] = signed.encode()
        return files

    def secured(self, facts: Facts, place: Place, lists: tuple[str, ...], fields: Collection[str]) -> dict[str, Json]:
        did = did_of(self.base)
        document = badge(facts, self.base, did, self.verify_url, place, lists, fields, self.salt)
        return secure(document, self.key, format_instant(self.now_s))

    def salt(self, about: bytes) -> str:
        """16 bytes in hex, always the same for what it is about."""
        return hmac.digest(self.salt_key, _SALT_LABEL + about, sha256)[:16].hex()

    def _path(self, url: str) -> str:
        """From the root of the host."""
        return (split_base(self.base)[1] + url.removeprefix(self.base))[1:]


def _compact(value: dict[str, Json]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
