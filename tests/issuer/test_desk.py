from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from issuer.desk import KEYS, PUBLIC_KEYS, make_keys, open_desk, public_keys
from ledger.errors import Refused, Unverified
from ledger.keystore import public_part
from ledger.records.authority import FilingRow
from ledger.records.kinds import Audience
from ledger.wire import Receipt, Submission
from tests.support.issuer_desk import CHEAP, PASSPHRASE, TODAY, Setting, sample, set_up, write_csv


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return set_up(tmp_path / "desk")


def spoiled(lines: list[list[str]]) -> list[list[str]]:
    """Row 3 of the sheet gets a wrong check digit."""
    number = lines[1][2]
    lines[1][2] = number[:-1] + ("0" if number[-1] != "0" else "1")
    return lines


async def test_a_bad_roster_signs_nothing(setting: Setting, tmp_path: Path) -> None:
    outcome = await setting.issue(write_csv(tmp_path / "r.csv", spoiled(sample(6))))
    assert outcome.declined and not outcome.clean and not outcome.state.certificates
    assert not (setting.desk.folder / "journal").exists()
    assert setting.log.submits == 0 and not setting.log.issues()
    assert [(p.row, p.code) for p in outcome.problems() if p.severity == "error"] == [(3, "DOCUMENT_CHECK_DIGIT")]


async def test_the_journal_s_name_is_durable_before_anything_is_sent(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power loss must not take the folder of a journal whose certificates were sent."""
    synced: list[str] = []
    fsync, submit = os.fsync, setting.log.submit

    def noting(file: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{file}"))
        fsync(file)

    async def sending(submissions: Sequence[Submission]) -> Receipt:
        synced.append("sent")
        return await submit(submissions)

    monkeypatch.setattr(os, "fsync", noting)
    monkeypatch.setattr(setting.log, "submit", sending)
    folder = setting.desk.folder
    for rows in (2, 3):  # also when the folder was there: whoever made it may have died before it was synced
        await setting.issue(write_csv(tmp_path / "r.csv", sample(rows, seed=rows)))
        before = synced[: synced.index("sent")]
        assert {str(folder), str(folder / "journal")} <= set(before)
        synced.clear()


async def test_skip_bad_issues_the_clean_rows(setting: Setting, tmp_path: Path) -> None:
    outcome = await setting.issue(write_csv(tmp_path / "r.csv", spoiled(sample(6))), skip_bad=True)
    assert not outcome.clean and not outcome.declined
    assert [certificate.row for certificate, _ in outcome.state.logged()] == [2, 4, 5, 6, 7]


async def test_a_preview_that_is_not_confirmed_signs_nothing(setting: Setting, tmp_path: Path) -> None:
    outcome = await setting.issue(
        write_csv(tmp_path / "r.csv", sample(3)), confirm=lambda examined, filing, unfinished: False
    )
    assert outcome.declined and not setting.log.issues()


async def test_the_same_people_in_another_file(setting: Setting, tmp_path: Path) -> None:
    """Taken numbers are caught by the check; the same person and grade under a new number by the ledger."""
    lines = sample(4)
    await setting.issue(write_csv(tmp_path / "a.csv", lines))
    again = await setting.issue(write_csv(tmp_path / "b.csv", lines[:2]))
    assert {p.code for p in again.problems() if p.severity == "error"} == {"NUMBER_ON_LOG"}
    renumbered = [[*line[:7], line[7][:-6] + f"9{at:05d}", *line[8:]] for at, line in enumerate(lines, 1)]
    refused = await setting.issue(write_csv(tmp_path / "c.csv", renumbered))
    assert {refusal.code for refusal in refused.state.refused().values()} == {"DUPLICATE_GRADE"}
    assert len(setting.log.issues()) == 4


async def test_personal_data_stays_off_the_log_and_encrypted_here(setting: Setting, tmp_path: Path) -> None:
    lines = sample(3)
    await setting.issue(write_csv(tmp_path / "r.csv", lines))
    journal = b"".join(path.read_bytes() for path in (setting.desk.folder / "journal").iterdir())
    public = b"".join(setting.log.entries)
    for line in lines:
        for private in (line[0], line[2], line[7]):
            assert private.encode() not in journal and private.encode() not in public


async def test_a_record_key_that_is_not_filed(setting: Setting, tmp_path: Path) -> None:
    other = set_up(tmp_path / "other")
    other.desk.folder.joinpath(KEYS).unlink()
    (tmp_path / "new").mkdir()
    make_keys(
        tmp_path / "new" / "k",
        PASSPHRASE,
        label="",
        today_day=TODAY,
        random_bytes=random.Random(9).randbytes,
        cost=CHEAP,
    )
    (tmp_path / "new" / "k" / KEYS).rename(other.desk.folder / KEYS)
    other.desk = open_desk(other.desk.folder, lambda: PASSPHRASE)
    with pytest.raises(Refused) as refused:
        await other.issue(write_csv(tmp_path / "r.csv", sample(1)))
    assert refused.value.code == "KEY_UNKNOWN"


async def test_the_audience_that_is_set_must_be_filed(tmp_path: Path) -> None:
    rows = (
        FilingRow("6-18-01-01", "", (2, 3, 4, 5), Audience.PUBLIC, TODAY - 400),
        FilingRow("6-18-01-01", "", (2, 3, 4), Audience.OWN_STAFF, TODAY - 400),
    )
    setting = set_up(tmp_path / "desk", rows=rows)
    path = setting.desk.folder / "issuer.toml"
    path.write_text(path.read_text().replace('audience = "filed"', 'audience = "own_staff"'))
    setting.desk = open_desk(setting.desk.folder, lambda: PASSPHRASE)
    turners = [line for line in sample(40) if line[4] == "车工"]
    for at, line in enumerate(turners):
        line[6], line[7] = ("二级", line[7][:15] + "2" + line[7][16:]) if at == 0 else (line[6], line[7])
    outcome = await setting.issue(write_csv(tmp_path / "r.csv", turners[:3]), skip_bad=True)
    assert [p.code for p in outcome.problems() if p.row == 2 and p.severity == "error"] == ["AUDIENCE_NOT_FILED"]
    assert {issue.audience for issue in setting.log.issues()} == {Audience.OWN_STAFF}


def test_keys_are_made_once(tmp_path: Path) -> None:
    def make() -> dict[str, str]:
        return make_keys(
            tmp_path / "d", PASSPHRASE, label="x", today_day=TODAY, random_bytes=random.Random(3).randbytes, cost=CHEAP
        )

    public = make()
    files = {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()}
    assert set(files) == {KEYS, "public.json"}
    listed = {key.name: key.public for key in public_part(tmp_path / "d" / KEYS)}
    assert listed == {name: bytes.fromhex(public[f"{name}_key"]) for name in ("record", "request")}
    assert public["record_key"] != public["request_key"]
    for gone in (None, KEYS):
        if gone:
            (tmp_path / "d" / gone).unlink()
        with pytest.raises(Refused) as refused:
            make()
        assert refused.value.code == "key_file_exists"
        if gone:
            assert not (tmp_path / "d" / gone).exists()
            (tmp_path / "d" / gone).write_bytes(files[gone])
    assert {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()} == files


def test_a_wrong_passphrase_opens_nothing(setting: Setting) -> None:
    with pytest.raises(Unverified):
        open_desk(setting.desk.folder, lambda: b"wrong horse battery")


def test_keys_without_public_json_get_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a crash between the two files leaves: keys that are filed nowhere yet, and must not be lost for that."""
    random_bytes = random.Random(1).randbytes

    def make() -> dict[str, str]:
        return make_keys(tmp_path, PASSPHRASE, label="x", today_day=TODAY, random_bytes=random_bytes, cost=CHEAP)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    assert public_keys(tmp_path) is None
    with monkeypatch.context() as patch:
        patch.setattr("issuer.desk.replace_file", killed)
        with pytest.raises(KeyboardInterrupt):
            make()
    with pytest.raises(Refused, match="key_file_exists"):
        make()
    made = public_keys(tmp_path)
    assert made == json.loads((tmp_path / PUBLIC_KEYS).read_bytes())
    assert made == {f"{key.name}_key": (key.public or b"").hex() for key in public_part(tmp_path / KEYS)}
    assert public_keys(tmp_path) is None
