"""What the authority's people type: propose, show, sign, combine; each step refuses what does not belong to it."""

from __future__ import annotations

import base64
import json
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.__main__ import main
from ledger.client import LedgerClient, Pending
from ledger.console import authority as module
from ledger.console.authority import PASSPHRASE
from ledger.console.describe import describe
from ledger.errors import Malformed
from ledger.records.authority import FiledKey, Filing, Genesis
from ledger.records.dates import format_day
from ledger.records.kinds import Audience, IssuerKind, Kind
from ledger.records.statements import parse_statement
from ledger.records.status import authenticate_authority
from ledger.reference_data import load_catalogue, load_ladder
from ledger.wire import Logged, Receipt
from tests.support.builders import key, octets
from tests.support.filing_form import FILING, read_filing
from tests.support.live_ledger import ROOT, live_body

ORIGIN = "log.test.example/console"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PASSPHRASE, "a passphrase of the tests")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(["authority", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def people(run: Run) -> list[str]:
    """Three key files; their public keys."""
    return [run("keygen", "--light", "--out", f"person{at}.json")[1].strip() for at in range(3)]


def propose_genesis(run: Run) -> list[str]:
    publics = people(run)
    keys = [part for public in publics for part in ("--key", public)]
    code, out, _ = run("propose", "genesis", "--origin", ORIGIN, *keys, "--out", "genesis.json")
    assert code == 0
    assert all(public in out for public in publics), "one sees what one signs"
    return publics


def sign(run: Run, proposal: str, *who: int) -> list[str]:
    made = []
    for at in who:
        name = f"{proposal}.{at}.sig"
        code, out, _ = run("sign", proposal, "--key", f"person{at}.json", "--out", name)
        assert code == 0 and json.loads(Path(proposal).read_text())["sha256"] in out, "shown before it is signed"
        made.append(name)
    return made


def test_two_of_three_make_a_genesis(run: Run) -> None:
    publics = propose_genesis(run)
    parts = sign(run, "genesis.json", 2, 0)
    code, _, err = run("combine", "genesis.json", parts[0], "--out", "genesis.cose")
    assert code == 1 and "TOO_FEW" in err and not Path("genesis.cose").exists(), "a second try is not in its way"
    code, out, _ = run("combine", "genesis.json", *parts, "--out", "genesis.cose")
    assert code == 0 and "signed by 2 keys" in out
    statement = parse_statement(Path("genesis.cose").read_bytes())
    genesis = statement.body
    assert isinstance(genesis, Genesis)
    assert (genesis.origin, genesis.threshold, list(genesis.keys)) == (ORIGIN, 2, sorted(map(bytes.fromhex, publics)))
    authenticate_authority(statement, genesis)


def test_a_filing_is_proposed_shown_and_signed(run: Run) -> None:
    publics = propose_genesis(run)
    Path("filing.toml").write_text(FILING, "utf-8")
    code, out, _ = run("propose", "filing", "--origin", ORIGIN, "--from", "filing.toml", "--out", "filing.json")
    assert code == 0
    for said in ("Y000051000001", "示例机械有限公司", "2026-01-01", "2028-12-31", "数控车工", "高级工", "500"):
        assert said in out
    for public in (key("record").public.hex(), key("request").public.hex()):
        assert public in out
    parts = sign(run, "filing.json", 0, 1)
    assert run("combine", "filing.json", *parts, "--out", "filing.cose")[0] == 0
    statement = parse_statement(Path("filing.cose").read_bytes())
    assert statement.envelope.issuer == ORIGIN
    assert statement.body == read_filing(FILING)
    authenticate_authority(statement, Genesis(ORIGIN, tuple(sorted(map(bytes.fromhex, publics))), 2, 1))


@pytest.mark.parametrize(("what", "kind"), [("catalogue", Kind.CATALOGUE), ("ladder", Kind.LADDER)])
def test_digests_are_those_of_what_is_installed(run: Run, what: str, kind: Kind) -> None:
    people(run)
    code, out, _ = run("propose", what, "--origin", ORIGIN, "--out", "p.json")
    digest = (load_catalogue() if kind is Kind.CATALOGUE else load_ladder()).digest.hex()
    assert code == 0 and digest in out
    parts = sign(run, "p.json", 0, 1)
    assert run("combine", "p.json", *parts, "--out", "p.cose")[0] == 0
    assert parse_statement(Path("p.cose").read_bytes()).kind is kind


def test_who_joins_has_to_sign_too(run: Run) -> None:
    publics = people(run)
    lines = ", ".join(f'"{public}"' for public in publics)
    Path("change.toml").write_text(f"keys = [{lines}]\nthreshold = 2\n", "utf-8")
    assert run("propose", "authority-change", "--origin", ORIGIN, "--from", "change.toml", "--out", "c.json")[0] == 0
    some, last = sign(run, "c.json", 0, 1), sign(run, "c.json", 2)
    code, _, err = run("combine", "c.json", *some, "--out", "some.cose")
    assert code == 0 and publics[2] in err and publics[0] not in err and "没有签名" in err
    assert run("combine", "c.json", *some, *last, "--out", "all.cose")[2] == ""


def test_nothing_is_overwritten(run: Run) -> None:
    propose_genesis(run)
    part, other = sign(run, "genesis.json", 0, 2)
    assert run("combine", "genesis.json", part, other, "--out", "genesis.cose")[0] == 0
    before = {path: path.read_bytes() for path in Path.cwd().iterdir()}
    again = [
        ("keygen", "--light", "--out", "person0.json"),
        ("propose", "ladder", "--origin", ORIGIN, "--out", "genesis.json"),
        ("sign", "genesis.json", "--key", "person1.json", "--out", part),
        ("combine", "genesis.json", part, other, "--out", "genesis.cose"),
    ]
    for arguments in again:
        code, _, err = run(*arguments)
        assert code == 1 and "exist" in err
    assert {path: path.read_bytes() for path in Path.cwd().iterdir()} == before


def test_a_full_disk_leaves_no_half_of_a_file(run: Run) -> None:
    """It would stand in the way of the same words when there is room again, as EXISTS."""
    people(run)
    words = ["propose", "ladder", "--origin", ORIGIN, "--out", "ladder.json"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        code, _, err = run(*words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 3 and "cannot write" in err
    assert run(*words)[0] == 0


@pytest.mark.parametrize("what", ["genesis", "ladder", "catalogue"])
def test_a_file_that_nobody_would_read_is_refused(run: Run, what: str) -> None:
    code, _, err = run("propose", what, "--origin", ORIGIN, "--from", "mine.toml", "--out", "p")
    assert code == 1 and "--from" in err and not Path("p").exists()


def test_a_signature_belongs_to_one_proposal(run: Run) -> None:
    propose_genesis(run)
    run("propose", "ladder", "--origin", ORIGIN, "--out", "ladder.json")
    (part,) = sign(run, "ladder.json", 0)
    code, _, err = run("combine", "genesis.json", part, "--out", "x.cose")
    assert code == 1 and "other_proposal" in err
    assert not Path("x.cose").exists()
    code, _, err = run("combine", "ladder.json", part, part, "--out", "x.cose")
    assert code == 2, "one person counts once"


def test_proposals_that_were_changed_are_refused(run: Run) -> None:
    propose_genesis(run)
    whole = json.loads(Path("genesis.json").read_text())
    payload = base64.b64decode(whole["payload"])
    spoilt = [
        whole | {"payload": base64.b64encode(payload[:-1] + bytes([payload[-1] ^ 1])).decode()},
        whole | {"payload": "***"},
        whole | {"sha256": "00" * 32},
        whole | {"format": "certledger/proposal/v2"},
        {key: value for key, value in whole.items() if key != "protected"},
        [whole],
        "text",
    ]
    for at, document in enumerate(spoilt):
        Path(f"spoilt{at}.json").write_text(json.dumps(document))
        for command in (
            ("show", f"spoilt{at}.json"),
            ("sign", f"spoilt{at}.json", "--key", "person0.json", "--out", "s"),
        ):
            code, _, err = run(*command)
            assert code == 2 and "Traceback" not in err, document
    Path("deep.json").write_bytes(b"[" * 60_000)
    for words in (["show", "deep.json"], ["combine", "genesis.json", "deep.json", "--out", "s"]):
        assert run(*words)[0] == 2
    Path("noise.json").write_bytes(b"\xff{")
    assert run("show", "noise.json")[0] == 2
    Path("large.json").write_bytes(b" " * 70_000)
    assert run("show", "large.json")[0] == 2
    assert run("show", "none.json")[0] == 3
    assert not Path("s").exists()


def test_a_wrong_passphrase_signs_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    propose_genesis(run)
    monkeypatch.setenv(PASSPHRASE, "another passphrase")
    code, _, err = run("sign", "genesis.json", "--key", "person0.json", "--out", "s")
    assert code == 1 and err and not Path("s").exists()


def test_submitting_to_nobody_is_could_not_tell(run: Run) -> None:
    propose_genesis(run)
    run("combine", "genesis.json", *sign(run, "genesis.json", 0, 1), "--out", "genesis.cose")
    code, _, err = run("submit", "genesis.cose", "--ledger", "http://127.0.0.1:1")
    assert code == 3 and err


def test_a_filing_says_what_it_says() -> None:
    filing = read_filing(FILING)
    assert isinstance(filing, Filing)
    assert filing.kind is IssuerKind.EMPLOYER and filing.cap == 500
    (row,) = filing.rows
    assert (row.grades, row.audience, row.first_day) == ((2, 3, 4), Audience.OWN_STAFF, filing.first_day)
    assert filing.record_keys[0].last_day == 0
    assert filing.request_keys[0].last_day > filing.request_keys[0].first_day > filing.first_day


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('number = "Y000051000001"', ""),
        ('"Y000051000001"', '"Y00"'),
        ('"employer"', '"bank"'),
        ("2028-12-31", "2020-12-31"),
        ("2026-01-01", '"someday"'),
        ("2026-01-01", "5"),
        ("cap = 500", "cap = 0"),
        ("cap = 500", 'cap = "many"'),
        ("cap = 500", "cap = 500\ncaps = 3"),
        ('"own_staff"', '"everybody"'),
        ('trade = "数控车工"', 'trades = "数控车工"'),
        ("first_day = 2026-02-01", "first_days = 2026-02-01"),
        ("[[rows]]", "[rows]"),
        ("record_keys = [", 'record_keys = ["00", '),
        ("record_keys = [", "record_keys = [5, "),
        ("record_keys = [", f'record_keys = ["{key("record").public.hex()}", '),
        ("[[rows]]", "[[rows"),
        ('occupation = "6-18-01-01"', "occupation = 6"),
    ],
)
def test_a_filing_that_is_wrong_is_malformed(run: Run, old: str, new: str) -> None:
    assert old in FILING
    text = FILING.replace(old, new, 1)
    try:
        with pytest.raises(Malformed):
            read_filing(text)
    finally:
        Path("filing.toml").write_text(text, "utf-8")
    code, _, err = run("propose", "filing", "--origin", ORIGIN, "--from", "filing.toml", "--out", "f.json")
    assert code == 2 and "Traceback" not in err and not Path("f.json").exists()


@pytest.mark.parametrize("grade", ["9级", "", "三级/技师", "3.5"])
def test_a_grade_that_is_none_is_refused_with_a_reason(run: Run, grade: str) -> None:
    Path("filing.toml").write_text(FILING.replace("5级", grade), "utf-8")
    code, _, err = run("propose", "filing", "--origin", ORIGIN, "--from", "filing.toml", "--out", "f.json")
    assert code == 1 and "GRADE_" in err and not Path("f.json").exists()


def test_the_example_in_the_documents_is_a_filing() -> None:
    example = Path(__file__).resolve().parents[3] / "docs" / "filing.example.toml"
    assert len(read_filing(example.read_text("utf-8")).rows) == 5


@pytest.mark.parametrize(
    "arguments",
    [
        ("propose", "filing", "--origin", ORIGIN, "--out", "x"),
        ("propose", "genesis", "--origin", ORIGIN, "--out", "x"),
        ("propose", "genesis", "--origin", ORIGIN, "--key", "zz", "--out", "x"),
        ("propose", "genesis", "--origin", ORIGIN, "--key", "00" * 32, "--threshold", "2", "--out", "x"),
        ("propose", "genesis", "--origin", "", "--key", "00" * 32, "--threshold", "1", "--out", "x"),
        ("propose", "genesis", "--origin", "日志", "--key", "00" * 32, "--threshold", "1", "--out", "x"),
    ],
)
def test_proposals_that_cannot_be(run: Run, arguments: tuple[str, ...]) -> None:
    code, _, err = run(*arguments)
    assert code in (1, 2) and err and not Path("x").exists()


def test_nothing_of_a_filing_is_left_out_when_it_is_shown() -> None:
    """A signer sees grants, key windows, caps and audiences; control characters cannot hide a line."""
    filing = live_body(grants=(7, 8), cap=77).filing
    shown = describe(replace(filing, record_keys=(FiledKey(octets("k"), 20_000, 20_100),)))
    for said in ("特级技师", "首席技师", "77", format_day(20_000), format_day(20_100), octets("k").hex()):
        assert said in shown
    with pytest.raises(Malformed):
        replace(filing, name="示例\x1b[1A学院")


def test_a_filing_in_another_encoding_is_refused(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "gbk.toml"
    source.write_bytes((ROOT / "docs/filing.example.toml").read_text("utf-8").encode("gb18030"))
    arguments = ["authority", "propose", "filing", "--origin", "x.example", "--from", str(source), "--out"]
    assert main([*arguments, str(tmp_path / "p")]) == 2
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("times", [1, 100])
def test_a_submitted_statement_waits_for_the_witnesses(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Logged and not published yet: it asks again, and after a minute says what is so."""
    answers = iter([*[Pending((bytes(32),), 7, 2)] * times, Receipt((Logged(7, 1, ()),), b"note", b"seal", ())])
    slept: list[float] = []

    async def submit(self: LedgerClient, entry: bytes) -> Receipt:
        answer = next(answers)
        if isinstance(answer, Pending):
            raise answer
        return answer

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(LedgerClient, "submit_authority", submit)
    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    statement = tmp_path / "statement"
    statement.write_bytes(b"entry")
    code, out, err = run("submit", str(statement), "--ledger", "http://127.0.0.1:1")
    assert "waiting for the witnesses" in err
    if times == 1:
        assert code == 0 and "index 7" in out and slept == [2]
    else:
        assert code == 3 and "not published yet" in err and 50 <= sum(slept) <= 70
