from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from issuer.batch import World
from issuer.config import LogTrust
from issuer.draft import draw_draft, person_lineage
from issuer.examine import examine, open_roster
from issuer.issue import SignedCertificate, sign_draft, submission_of
from issuer.receipt import CLOCK_S, Placed, verify_receipt
from ledger.errors import Malformed, Refused, Unverified
from ledger.printing.fonts import load_fonts
from ledger.records.seal import parse_seal
from ledger.tlog.keys import Ed25519Signer
from ledger.tlog.note import VerifierKey
from ledger.wire import Logged, Receipt
from tests.support.issuer_desk import NOW_MS, TODAY, Setting, sample, set_up, write_csv


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return set_up(tmp_path / "desk")


async def signed(setting: Setting, tmp_path: Path, rows: int) -> list[SignedCertificate]:
    roster = open_roster(write_csv(tmp_path / "r.csv", sample(rows)))
    examined = examine(roster, setting.log.filing_terms, setting.desk.settings, load_fonts(), TODAY)
    world: World = setting.world()
    tracks = await setting.log.tracks([person_lineage(order.row) for order in examined.orders])
    return [
        sign_draft(draw_draft(order.row, order.terms, track, None, world.random_bytes), world.signer)
        for order, track in zip(examined.orders, tracks, strict=True)
    ]


async def first_receipt(setting: Setting, tmp_path: Path) -> tuple[list[bytes], Receipt]:
    certificates = await signed(setting, tmp_path, 5)
    receipt = await setting.log.submit([submission_of(certificate) for certificate in certificates])
    return [certificate.entry for certificate in certificates], receipt


async def test_a_true_receipt_gives_every_place(setting: Setting, tmp_path: Path) -> None:
    entries, receipt = await first_receipt(setting, tmp_path)
    places = verify_receipt(entries, receipt, setting.desk.settings.trust, NOW_MS)
    assert [place.proof.index for place in places if isinstance(place, Placed)] == [3, 4, 5, 6, 7]
    assert all(isinstance(place, Placed) and place.time == parse_seal(receipt.seal).time for place in places)


async def test_a_retry_is_proven_under_a_later_checkpoint(setting: Setting, tmp_path: Path) -> None:
    certificates = await signed(setting, tmp_path, 6)
    await setting.log.submit([submission_of(certificate) for certificate in certificates[:2]])
    receipt = await setting.log.submit([submission_of(certificate) for certificate in certificates])
    entries = [certificate.entry for certificate in certificates]
    places = verify_receipt(entries, receipt, setting.desk.settings.trust, NOW_MS)
    assert [place.proof.index for place in places if isinstance(place, Placed)] == [3, 4, 6, 7, 8, 9]


def tampered(receipt: Receipt) -> dict[str, Receipt]:
    """One lie each."""
    first = receipt.answers[0]
    assert isinstance(first, Logged)

    def with_first(answer: Logged | Refused) -> Receipt:
        return replace(receipt, answers=(answer, *receipt.answers[1:]))

    flipped = bytes([first.inclusion[0][0] ^ 1]) + first.inclusion[0][1:]
    seal_path = receipt.seal_inclusion
    return {
        "index": with_first(replace(first, index=first.index + 1)),
        "index of the seal": with_first(replace(first, index=8)),
        "index beyond": with_first(replace(first, index=2**40)),
        "negative index": with_first(replace(first, index=-1)),
        "inclusion": with_first(replace(first, inclusion=(flipped, *first.inclusion[1:]))),
        "inclusion too short": with_first(replace(first, inclusion=first.inclusion[:-1])),
        "inclusion too long": with_first(replace(first, inclusion=(*first.inclusion, bytes(32)))),
        "inclusion of another": with_first(replace(first, inclusion=receipt.answers[1].inclusion)),  # type: ignore[union-attr]
        "later time": with_first(replace(first, time=first.time + 1)),
        "earlier time": with_first(replace(first, time=first.time - 1)),
        "another answer's place": with_first(receipt.answers[1]),
        "an answer missing": replace(receipt, answers=receipt.answers[:-1]),
        "an answer more": replace(receipt, answers=(*receipt.answers, receipt.answers[-1])),
        "answers swapped": replace(receipt, answers=(receipt.answers[1], first, *receipt.answers[2:])),
        "seal": replace(receipt, seal=receipt.seal[:-1] + bytes([receipt.seal[-1] ^ 1])),
        "no seal": replace(receipt, seal=b""),
        "seal inclusion": replace(receipt, seal_inclusion=(bytes(32), *seal_path[1:])),
        "no seal inclusion": replace(receipt, seal_inclusion=()),
        "checkpoint root": replace(receipt, checkpoint=_swap_line(receipt.checkpoint, 2)),
        "checkpoint size": replace(receipt, checkpoint=receipt.checkpoint.replace(b"\n9\n", b"\n10\n", 1)),
        "checkpoint without a signature": replace(
            receipt, checkpoint=b"\n".join(receipt.checkpoint.split(b"\n")[:-2]) + b"\n"
        ),
        "no checkpoint": replace(receipt, checkpoint=b""),
    }


def _swap_line(note: bytes, at: int) -> bytes:
    lines = note.split(b"\n")
    lines[at] = lines[at].swapcase()
    return b"\n".join(lines)


async def test_every_tampered_part_is_refused(setting: Setting, tmp_path: Path) -> None:
    entries, receipt = await first_receipt(setting, tmp_path)
    trust = setting.desk.settings.trust
    for name, bad in tampered(receipt).items():
        assert bad != receipt, name
        with pytest.raises((Unverified, Malformed)):
            verify_receipt(entries, bad, trust, NOW_MS)
            pytest.fail(f"accepted: {name}")


async def test_every_bit_of_the_checkpoint_counts(setting: Setting, tmp_path: Path) -> None:
    entries, receipt = await first_receipt(setting, tmp_path)
    note = receipt.checkpoint
    for at in range(0, len(note), 53):
        bad = replace(receipt, checkpoint=note[:at] + bytes([note[at] ^ 4]) + note[at + 1 :])
        with pytest.raises((Unverified, Malformed)):
            verify_receipt(entries, bad, setting.desk.settings.trust, NOW_MS)


async def test_only_the_pinned_log_counts(setting: Setting, tmp_path: Path) -> None:
    entries, receipt = await first_receipt(setting, tmp_path)
    trust = setting.desk.settings.trust
    stranger = VerifierKey(trust.origin, trust.keys[0].type, Ed25519Signer(bytes(32)).public)
    with pytest.raises(Unverified):
        verify_receipt(entries, receipt, LogTrust(trust.origin, (stranger, trust.keys[1]), bytes(32)), NOW_MS)
    with pytest.raises(Malformed):
        LogTrust("other.example/log", trust.keys, bytes(32))


async def test_a_statement_we_did_not_send_is_not_ours(setting: Setting, tmp_path: Path) -> None:
    entries, receipt = await first_receipt(setting, tmp_path)
    altered = [*entries[:-1], entries[-1][:-1] + bytes([entries[-1][-1] ^ 1])]
    with pytest.raises(Unverified):
        verify_receipt(altered, receipt, setting.desk.settings.trust, NOW_MS)


@pytest.mark.parametrize("shift_s", [CLOCK_S + 1, -CLOCK_S - 1])
async def test_an_old_or_future_checkpoint_is_refused(setting: Setting, tmp_path: Path, shift_s: int) -> None:
    entries, receipt = await first_receipt(setting, tmp_path)
    with pytest.raises(Unverified, match="clock"):
        verify_receipt(entries, receipt, setting.desk.settings.trust, NOW_MS + shift_s * 1000)


async def test_refusals_pass_through(setting: Setting, tmp_path: Path) -> None:
    certificates = await signed(setting, tmp_path, 3)
    setting.log.refuse_numbers = {certificates[1].number}
    receipt = await setting.log.submit([submission_of(certificate) for certificate in certificates])
    entries = [certificate.entry for certificate in certificates]
    places = verify_receipt(entries, receipt, setting.desk.settings.trust, NOW_MS)
    assert [type(place) for place in places] == [Placed, Refused, Placed]
