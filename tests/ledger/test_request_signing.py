"""Request signatures: the honest one opens once, everything else is refused with one text.

`http-message-signatures` (with our Ed25519) judges both directions: it accepts what we sign, we accept what it
signs, and we accept nothing that it refuses.
"""

from __future__ import annotations

import datetime
import random
import sys
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureAlgorithm,
    HTTPSignatureKeyResolver,
)
from http_message_signatures.exceptions import HTTPMessageSignaturesException
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from ledger.errors import Malformed, Unavailable, Unverified
from ledger.request_signing import (
    NOT_ACCEPTED,
    TAG,
    WINDOW_S,
    NonceMemory,
    OpenedRequest,
    open_request,
    sign_request,
)
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer, kid, verify_ed25519

NOW = 1_800_000_000  # seconds
SIGNER = Ed25519Signer(b"r" * 32)
OTHER = Ed25519Signer(b"o" * 32)
KEYS = {kid(s.public): s.public for s in (SIGNER, OTHER)}
METHOD, URL, BODY = "POST", "https://ledger.example/v1/statements?batch=7", b'{"statements":[]}'
HEADERS = {"Content-Type": "application/json", "Idempotency-Key": '"4f1c"', "User-Agent": "test"}
DIGEST = f"sha-256=:{b64encode(sha256(BODY).digest()).decode()}:"
NONCE = bytes(range(16))


def memory(**changes: int) -> NonceMemory:
    return NonceMemory(**({"not_before_s": NOW - 10_000} | changes))


def signed(*, now_s: int = NOW, nonce: bytes = NONCE, signer: Ed25519Signer = SIGNER) -> CIMultiDict[str]:
    added = sign_request(METHOD, URL, HEADERS, BODY, signer=signer, now_s=now_s, nonce=nonce)
    return CIMultiDict(HEADERS | added)


def opened(headers: Any, *, method: str = METHOD, url: str = URL, body: bytes = BODY, **more: Any):
    more = {"key_for": KEYS.get, "now_s": NOW, "seen": memory()} | more
    found = open_request(method, url, headers, **more)
    found.accept(body, more["now_s"], more["seen"])
    return found


def refused(headers: Any, **more: Any) -> None:
    with pytest.raises(Unverified) as caught:
        opened(headers, **more)
    assert str(caught.value) == NOT_ACCEPTED and caught.value.__cause__ is not None


def signed_by_hand(
    params: str, *, label: str = "sig1", components: str | None = None, all_lines: bool = False
) -> CIMultiDict[str]:
    """A signature that holds over whatever `params` say, to test the rules behind the signature."""
    values = {
        '"@method"': METHOD,
        '"@authority"': "ledger.example",
        '"@path"': "/v1/statements",
        '"@query"': "?batch=7",
        '"content-digest"': DIGEST,
        '"content-type"': HEADERS["Content-Type"],
        '"idempotency-key"': HEADERS["Idempotency-Key"],
    }
    names = components.split() if components is not None else list(values)
    inner = f"({' '.join(names)}){params}"
    lines = values if all_lines else names
    base = "\n".join([*(f"{name}: {values[name]}" for name in lines), f'"@signature-params": {inner}'])
    signature = b64encode(SIGNER.sign(base.encode())).decode()
    return CIMultiDict(
        HEADERS
        | {
            "Content-Digest": DIGEST,
            "Signature-Input": f"{label}={inner}",
            "Signature": f"{label}=:{signature}:",
        }
    )


KID = kid(SIGNER.public).hex()


def parameters(**changes: str | None) -> str:
    values: dict[str, str | None] = {
        "created": str(NOW),
        "expires": str(NOW + 300),
        "nonce": '"0123456789abcdef"',
        "keyid": f'"{KID}"',
        "tag": f'"{TAG}"',
    } | changes
    return "".join(f";{name}={value}" for name, value in values.items() if value is not None)


# --- the judge ---------------------------------------------------------------------------------------------


class PyNaclEd25519(HTTPSignatureAlgorithm):
    algorithm_id = "ed25519"

    def __init__(self, public_key: Any = None, private_key: Any = None) -> None:
        self.public_key, self.private_key = public_key, private_key

    def sign(self, message: bytes) -> bytes:
        return self.private_key.sign(message)

    def verify(self, signature: bytes, message: bytes) -> None:
        verify_ed25519(self.public_key, message, signature)


class Resolver(HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id: str) -> bytes | None:
        return KEYS.get(bytes.fromhex(key_id))

    def resolve_private_key(self, key_id: str) -> Ed25519Signer:
        return SIGNER


class Judge(HTTPMessageVerifier):
    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        """The judge reads the wall clock; time is not what it is asked."""


COVERED = (
    "@method", "@authority", "@path", "@query", "content-digest", "content-type", "idempotency-key",
)  # fmt: skip


def judge(headers: Any, method: str = METHOD, url: str = URL, body: bytes = BODY) -> None:
    """Return when the library accepts; raise its error otherwise."""
    message = SimpleNamespace(method=method, url=url, headers=headers)
    verifier = Judge(signature_algorithm=PyNaclEd25519, key_resolver=Resolver())
    results = verifier.verify(message, expect_tag=TAG, require_components=COVERED, body=body)
    assert len(results) == 1


def test_the_library_accepts_what_we_sign() -> None:
    judge(signed())


@pytest.mark.parametrize("label", ["sig1", "pyhms", "*a.b-c_9"])
def test_we_accept_what_the_library_signs(label: str) -> None:
    message = SimpleNamespace(method=METHOD, url=URL, headers=dict(HEADERS))
    created = datetime.datetime.fromtimestamp(NOW, tz=datetime.UTC)
    HTTPMessageSigner(signature_algorithm=PyNaclEd25519, key_resolver=Resolver()).sign(
        message, key_id=KID, created=created, expires=created + datetime.timedelta(seconds=300),
        nonce="AAECAwQFBgcICQ+/==", label=label, tag=TAG, include_alg=False,
        covered_component_ids=COVERED, body=BODY,
    )  # fmt: skip
    assert opened(message.headers) == OpenedRequest(bytes.fromhex(KID), "AAECAwQFBgcICQ+/==", NOW, NOW + 300, DIGEST)


# --- the honest request ------------------------------------------------------------------------------------


def test_an_honest_request_opens() -> None:
    assert opened(signed()) == OpenedRequest(kid(SIGNER.public), "AAECAwQFBgcICQoLDA0ODw", NOW, NOW + WINDOW_S, DIGEST)
    assert opened(signed(signer=OTHER)).kid == kid(OTHER.public)
    assert opened(signed_by_hand(parameters())).created == NOW


TOKENS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=30)
URL_PARTS = st.sampled_from([*"abc/.-_~:@!$&'()*+,;=", "%2F", "%e4", "..", "//"])
PATHS = st.lists(URL_PARTS, max_size=20).map("".join)
QUERIES = st.lists(URL_PARTS | st.just("?"), min_size=1, max_size=20).map("".join)


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(["POST", "PUT", "DELETE", "GET"]),
    host=st.sampled_from(["ledger.example", "LEDGER.example", "127.0.0.1", "[::1]"]),
    port=st.sampled_from(["", ":443", ":80", ":8443"]),
    scheme=st.sampled_from(["http", "https"]),
    path=PATHS,
    query=st.none() | QUERIES,
    body=st.binary(max_size=200),
    content_type=TOKENS,
    key=TOKENS,
    nonce=st.binary(min_size=16, max_size=48),
)
def test_whatever_we_sign_opens_and_the_library_agrees(
    method: str, host: str, port: str, scheme: str, path: str, query: str | None, body: bytes,
    content_type: str, key: str, nonce: bytes,
) -> None:  # fmt: skip
    url = f"{scheme}://{host}{port}/{path}" + ("" if query is None else f"?{query}")
    headers = {"content-type": content_type, "IDEMPOTENCY-KEY": key}
    headers |= sign_request(method, url, headers, body, signer=SIGNER, now_s=NOW, nonce=nonce)
    assert opened(headers, method=method, url=url, body=body).created == NOW
    judge(headers, method, url, body)


def test_a_default_port_and_the_case_of_the_host_are_the_same_authority() -> None:
    for url in (
        "https://LEDGER.example/v1/statements?batch=7",
        "https://ledger.example:443/v1/statements?batch=7",
    ):
        opened(signed(), url=url)


@pytest.mark.parametrize(
    ("method", "url", "headers", "nonce"),
    [
        ("post", URL, HEADERS, NONCE),
        ("", URL, HEADERS, NONCE),
        ("POST\n", URL, HEADERS, NONCE),
        (METHOD, "/v1/statements", HEADERS, NONCE),
        (METHOD, "ftp://ledger.example/", HEADERS, NONCE),
        (METHOD, "https://user@ledger.example/", HEADERS, NONCE),
        (METHOD, "https://ledger.example/#part", HEADERS, NONCE),
        (METHOD, "https://ledger.example/a b", HEADERS, NONCE),
        (METHOD, "https://ledger.example/证书", HEADERS, NONCE),
        (METHOD, "https://ledger.example/a\n", HEADERS, NONCE),
        (METHOD, "https://ledger.example/a?", HEADERS, NONCE),
        (METHOD, "https://ledger.example/%2", HEADERS, NONCE),
        (METHOD, "https://ledger.example/?%zz", HEADERS, NONCE),
        (METHOD, "https://ledger.example/a|b", HEADERS, NONCE),
        (METHOD, "https://ledger.example:0443/", HEADERS, NONCE),
        (METHOD, URL, {"Content-Type": "a/b"}, NONCE),
        (METHOD, URL, {"Idempotency-Key": "x"}, NONCE),
        (METHOD, URL, HEADERS | {"content-type": "a/b"}, NONCE),
        (METHOD, URL, HEADERS | {"Idempotency-Key": "a\nb"}, NONCE),
        (METHOD, URL, HEADERS | {"Idempotency-Key": "证"}, NONCE),
        (METHOD, URL, HEADERS | {"Idempotency-Key": " a"}, NONCE),
        (METHOD, URL, HEADERS | {"Idempotency-Key": ""}, NONCE),
        (METHOD, URL, HEADERS | {"Idempotency-Key": "k" * 1025}, NONCE),
        (METHOD, URL, HEADERS, b"short"),
        (METHOD, URL, HEADERS, b"n" * 49),
    ],
)
def test_what_could_not_be_opened_is_not_signed(method: str, url: str, headers: dict[str, str], nonce: bytes) -> None:
    with pytest.raises(Malformed):
        sign_request(method, url, headers, BODY, signer=SIGNER, now_s=NOW, nonce=nonce)


# --- changed requests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"method": "post"},
        {"body": BODY + b" "},
        {"body": b""},
        {"url": "https://ledger.example/v1/statements?batch=8"},
        {"url": "https://ledger.example/v1/statements"},
        {"url": "https://ledger.example/v1/tracks?batch=7"},
        {"url": "https://ledger.example/v1/statements/?batch=7"},
        {"url": "https://ledger.example/v1/./statements?batch=7"},
        {"url": "https://ledger.example:8443/v1/statements?batch=7"},
        {"url": "https://ledger.example.evil/v1/statements?batch=7"},
        {"url": "https://other.example/v1/statements?batch=7"},
        {"url": "http://ledger.example:443/v1/statements?batch=7"},
        {"url": "https://user@ledger.example/v1/statements?batch=7"},
        {"url": URL + "#x"},
        {"url": ""},
    ],
)
def test_a_changed_request_is_refused(change: dict[str, Any]) -> None:
    refused(signed(), **change)


@pytest.mark.parametrize("name", ["Content-Digest", "Content-Type", "Idempotency-Key", "Signature", "Signature-Input"])
def test_a_missing_changed_or_repeated_field_is_refused(name: str) -> None:
    without = signed()
    value = without.pop(name)
    refused(without)
    for other in (value + "x", value[:-1], value.upper(), " " + value, value + "\n", "", "证", "k" * 1025):
        changed = signed()
        changed[name] = other
        refused(changed)
    for extra in (value, value + "x"):
        repeated = signed()
        repeated.add(name.lower(), extra)
        refused(repeated)
    joined = signed()
    joined[name] = f"{value}, {value}"
    refused(joined)


def test_a_digest_has_one_spelling() -> None:
    for digest in (
        f"sha-512=:{b64encode(BODY).decode()}:",
        f"SHA-256=:{b64encode(sha256(BODY).digest()).decode()}:",
        f"sha-256=:{b64encode(sha256(BODY).digest()).decode()}:;x",
    ):
        changed = signed()
        changed["Content-Digest"] = digest
        refused(changed)


def test_the_trailing_bits_of_the_signature_have_one_spelling() -> None:
    headers = signed()
    text = headers["Signature"]
    last = text[-4]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    headers["Signature"] = text[:-4] + alphabet[alphabet.index(last) ^ 1] + text[-3:]
    refused(headers)


@pytest.mark.parametrize(
    ("input_change", "signature_change"),
    [
        (lambda i: i, lambda s: s.replace("sig1", "sig2")),
        (lambda i: i.replace("sig1", "sig2"), lambda s: s),
        (lambda i: f"{i}, {i.replace('sig1', 'sig2')}", lambda s: f"{s}, {s.replace('sig1', 'sig2')}"),
        (lambda i: f"{i}, {i}", lambda s: f"{s}, {s}"),
        (lambda i: i.replace("sig1", "SIG1"), lambda s: s.replace("sig1", "SIG1")),
        (lambda i: i.replace("sig1", "1sig"), lambda s: s.replace("sig1", "1sig")),
        (lambda i: i.replace("sig1", "s" * 33), lambda s: s.replace("sig1", "s" * 33)),
        (lambda i: i.replace("sig1", ""), lambda s: s.replace("sig1", "")),
        (lambda i: i.replace("sig1=", "sig1 ="), lambda s: s),
        (lambda i: i.removeprefix("sig1="), lambda s: s.removeprefix("sig1=")),
        (lambda i: i, lambda s: s + ";x"),
        (lambda i: i, lambda s: s.replace("==:", ":")),
        (lambda i: i, lambda s: s.replace("==:", "==")),
        (lambda i: i, lambda s: s[:20] + s[24:]),
        (lambda i: i, lambda s: "sig1=::"),
        (lambda i: i, lambda s: 'sig1="' + s[6:-1] + '"'),
    ],
)
def test_label_and_encoding_tricks_are_refused(input_change: Any, signature_change: Any) -> None:
    headers = signed()
    headers["Signature-Input"] = input_change(headers["Signature-Input"])
    headers["Signature"] = signature_change(headers["Signature"])
    refused(headers)


def test_another_label_alone_changes_nothing() -> None:
    opened(signed_by_hand(parameters(), label="mine"))


@pytest.mark.parametrize("missing", range(7))
def test_every_component_must_be_covered(missing: int) -> None:
    names = [f'"{name}"' for name in COVERED]
    del names[missing]
    refused(signed_by_hand(parameters(), components=" ".join(names)))
    refused(signed_by_hand(parameters(), components=" ".join(names), all_lines=True))


def test_components_in_another_order_are_refused() -> None:
    names = [f'"{name}"' for name in reversed(COVERED)]
    refused(signed_by_hand(parameters(), components=" ".join(names)))


@pytest.mark.parametrize(
    "changes",
    [
        {"tag": '"other"'},
        {"tag": "cert-ledger"},
        {"tag": None},
        {"alg": '"hmac-sha256"'},
        {"alg": '"ed25519"'},
        {"alg": '"rsa-pss-sha512"'},
        {"keyid": None},
        {"keyid": f'"{KID.upper()}"'},
        {"keyid": f'"{KID}00"'},
        {"keyid": f'"{kid(OTHER.public).hex()}"'},
        {"keyid": '"0000000000000000"'},
        {"nonce": None},
        {"nonce": '"short"'},
        {"nonce": f'"{"n" * 65}"'},
        {"nonce": '"has;separator-here"'},
        {"nonce": '"has,separator-here"'},
        {"created": None},
        {"created": f"0{NOW}"},
        {"created": f"{NOW}.0"},
        {"created": f"-{NOW}"},
        {"created": f'"{NOW}"'},
        {"created": "9" * 5000},
        {"created": "9" * 12},
        {"created": "1"},
        {"expires": None},
        {"expires": str(NOW)},
        {"expires": str(NOW - 1)},
        {"expires": str(NOW + 301)},
        {"expires": "9" * 12},
        {"more": "1"},
        {"created": f"{NOW};created={NOW}"},
    ],
)
def test_other_parameters_are_refused_though_the_signature_holds(changes: dict[str, str | None]) -> None:
    refused(signed_by_hand(parameters(**changes)))


def test_parameters_may_come_in_any_order_because_they_are_signed_as_they_come() -> None:
    parts = parameters().split(";")[1:]
    generator = random.Random(1)
    for _ in range(20):
        generator.shuffle(parts)
        opened(signed_by_hand("".join(f";{part}" for part in parts)))
    refused(signed_by_hand("; " + "; ".join(parts)))


def test_2000_mutants_are_refused_and_the_library_never_accepts_less() -> None:
    generator = random.Random(9421)
    base = {"method": METHOD, "url": URL, "body": BODY.decode()} | dict(signed())
    accepted = 0
    for _ in range(2_000):
        mutant = dict(base)
        name = generator.choice([n for n in mutant if n != "User-Agent"])
        text = mutant[name]
        at = generator.randrange(len(text))
        match generator.randrange(4):
            case 0:
                text = text[:at] + chr(generator.randrange(0x20, 0x7F)) + text[at + 1 :]
            case 1:
                text = text[:at] + text[at + 1 :]
            case 2:
                text = text[:at] + generator.choice(['"', ";", ",", ":", "=", " ", "\t", "é", "\0"]) + text[at:]
            case 3:
                other = generator.randrange(len(text))
                text = text[: min(at, other)] + text[max(at, other) :]
        mutant[name] = text
        method, url, body = mutant.pop("method"), mutant.pop("url"), mutant.pop("body").encode()
        try:
            opened(mutant, method=method, url=url, body=body)
        except Unverified as error:
            assert str(error) == NOT_ACCEPTED
            continue
        accepted += 1
        judge(mutant, method, url, body)
        # only what RFC 9421 does not cover may differ: scheme, case of the host, label
        assert (method, body) == (METHOD, BODY)
        assert url.partition("://")[2].lower() == URL.partition("://")[2].lower()
        assert mutant["Signature"].split("=", 1)[1] == base["Signature"].split("=", 1)[1]
    assert accepted < 60


def test_the_judge_would_notice() -> None:
    headers = signed()
    headers["Idempotency-Key"] = "x"
    with pytest.raises(HTTPMessageSignaturesException):
        judge(headers)


# --- keys --------------------------------------------------------------------------------------------------


def test_an_unknown_or_unfit_key_is_refused() -> None:
    refused(signed(), key_for=lambda _: None)
    refused(signed(signer=Ed25519Signer(b"x" * 32)))


def test_a_store_that_does_not_answer_is_not_a_bad_signature() -> None:
    def down(_: bytes) -> bytes:
        raise Unavailable(Text("没有应答", "store"))

    with pytest.raises(Unavailable):
        opened(signed(), key_for=down)


def test_a_look_up_that_gives_another_key_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        opened(signed(), key_for=lambda _: OTHER.public)


# --- time and replay ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offset", "good"), [(-301, False), (-300, True), (0, True), (1, False), (9**9, False)])
def test_the_window_has_two_ends(offset: int, good: bool) -> None:
    headers = signed(now_s=NOW + offset)
    if good:
        opened(headers)
    else:
        refused(headers)


def test_a_clock_ahead_is_forgiven_as_far_as_agreed() -> None:
    opened(signed(now_s=NOW + 5), seen=memory(ahead_s=5))
    refused(signed(now_s=NOW + 6), seen=memory(ahead_s=5))


def test_expiry_is_honoured_within_the_window() -> None:
    headers = signed_by_hand(parameters(expires=str(NOW + 10)))
    opened(headers, now_s=NOW + 10)
    refused(headers, now_s=NOW + 11)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=8))
def test_a_request_is_accepted_at_most_once_whatever_the_delays(delays: list[int]) -> None:
    seen, headers, accepted, now_s = memory(), signed(), 0, NOW
    for delay in delays:
        now_s += delay
        try:
            opened(headers, now_s=now_s, seen=seen)
            accepted += 1
        except Unverified:
            pass
    assert accepted == (1 if delays[0] <= WINDOW_S else 0)


def test_a_nonce_belongs_to_its_key() -> None:
    seen = memory()
    opened(signed(), seen=seen)
    opened(signed(signer=OTHER), seen=seen)
    refused(signed(), seen=seen)


def test_a_forged_request_burns_no_nonce() -> None:
    seen = memory()
    forged = signed()
    forged["Signature"] = signed(nonce=b"m" * 16)["Signature"]
    refused(forged, seen=seen)
    opened(signed(), seen=seen)


def test_a_restart_cannot_be_used_for_a_replay() -> None:
    ahead_s = 5
    before = memory(ahead_s=ahead_s)
    for made in range(NOW - WINDOW_S, NOW + ahead_s):  # everything the old process may have accepted
        headers = signed(now_s=made, nonce=made.to_bytes(16, "big"))
        opened(headers, seen=before, now_s=NOW - 1 if made >= NOW else made)
        after = memory(not_before_s=NOW, ahead_s=ahead_s)
        for later in (NOW, made, made + 1, made + WINDOW_S):
            if later >= NOW:
                refused(headers, seen=after, now_s=later)
    opened(signed(now_s=NOW + ahead_s), seen=memory(not_before_s=NOW, ahead_s=ahead_s), now_s=NOW + ahead_s)
    opened(signed(), seen=memory(not_before_s=NOW))


def test_an_upload_that_broke_off_may_be_sent_again_and_of_two_at_once_one_counts() -> None:
    """The nonce is used up with the body, not by whoever only shows the head."""
    seen = memory()
    more: Any = {"key_for": KEYS.get, "now_s": NOW, "seen": seen}
    open_request(METHOD, URL, signed(), **more)
    first, second = open_request(METHOD, URL, signed(), **more), open_request(METHOD, URL, signed(), **more)
    with pytest.raises(Unverified, match=NOT_ACCEPTED):
        first.accept(BODY + b" ", NOW, seen)
    second.accept(BODY, NOW, seen)
    with pytest.raises(Unverified, match=NOT_ACCEPTED):
        first.accept(BODY, NOW, seen)
    refused(signed(), seen=seen)
    with pytest.raises(Unverified):
        open_request(METHOD, URL, signed(), **more)


def test_a_body_that_takes_longer_than_its_signature_holds_is_refused() -> None:
    seen = memory()
    found = open_request(METHOD, URL, signed(), key_for=KEYS.get, now_s=NOW + WINDOW_S, seen=seen)
    with pytest.raises(Unverified):
        found.accept(BODY, NOW + WINDOW_S + 1, seen)
    found.accept(BODY, NOW + WINDOW_S, memory())
    short = open_request(
        METHOD, URL, signed_by_hand(parameters(expires=str(NOW + 5))), key_for=KEYS.get, now_s=NOW + 5, seen=memory()
    )
    with pytest.raises(Unverified, match=NOT_ACCEPTED):
        short.accept(BODY, NOW + 6, memory())
    short.accept(BODY, NOW + 5, memory())


def test_a_clock_that_goes_back_reopens_nothing() -> None:
    seen = memory()
    opened(signed(), seen=seen)
    opened(signed(now_s=NOW + 1000, nonce=b"n" * 16), seen=seen, now_s=NOW + 1000)
    refused(signed(), seen=seen, now_s=NOW)


def admitted(seen: NonceMemory, serial: int, created: int, now_s: int) -> bool:
    try:
        seen.admit(OpenedRequest(b"k" * 8, f"{serial:016}", created, created + WINDOW_S, DIGEST), now_s)
    except Unverified:
        return False
    return True


def test_a_clock_that_leapt_and_is_right_again_shuts_nobody_out() -> None:
    """What was forgotten meanwhile cannot be played again, and what is signed now is taken."""
    seen = NonceMemory(300, 100, not_before_s=NOW)
    assert admitted(seen, 1, NOW + 1, NOW + 1)
    assert admitted(seen, 2, NOW + 3601, NOW + 3601), "the clock is an hour ahead"
    assert admitted(seen, 3, NOW + 2, NOW + 3), "and right again"
    for serial, created in ((1, NOW + 1), (2, NOW + 3601), (3, NOW + 2), (4, NOW + 1)):
        assert not admitted(seen, serial, created, NOW + 3)
    assert not admitted(seen, 2, NOW + 3601, NOW + 3602), "nor when that hour has come"


def test_a_flood_shortens_the_window_but_lets_no_replay_in() -> None:
    seen = NonceMemory(300, 100, not_before_s=NOW)
    first = [(serial, NOW + serial // 10) for serial in range(1_000)]
    for serial, created in first:
        assert admitted(seen, serial, created, created)
        assert sum(map(len, seen._seen.values())) == seen._count <= 100
    assert not any(admitted(seen, serial, created, NOW + 100) for serial, created in first)
    assert admitted(seen, 5_000, NOW + 100, NOW + 100)
    burst = NonceMemory(300, 10, not_before_s=NOW)
    took = [admitted(burst, serial, NOW, NOW) for serial in range(50)]
    assert took == [True] * 11 + [False] * 39
    assert not any(admitted(burst, serial, NOW, NOW) for serial in range(50))
    assert admitted(burst, 99, NOW + 1, NOW + 1)


def test_two_threads_cannot_both_be_first() -> None:
    seen, before = NonceMemory(not_before_s=NOW), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            for serial in range(300):
                tries = list(pool.map(lambda _, s=serial: admitted(seen, s, NOW, NOW), range(4)))
                assert tries.count(True) == 1
    finally:
        sys.setswitchinterval(before)
