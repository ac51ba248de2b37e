"""The form of what scripts/bench says, never its figures."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.filling import fill_file
from benchmarks.workload import make_log
from ledger.store.fsck import fsck
from ledger.store.integrate import Integrator
from ledger.store.sqlite import create_sqlite, open_sqlite

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "performance.md"
LIMITS = {
    "limits.ed25519_verify_1",
    "limits.ed25519_verify_2",
    "limits.ml_dsa_44_sign",
    "limits.fsync",
    "limits.aiohttp_hello",
}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "bench", *arguments], capture_output=True, text=True, timeout=600, check=False
    )


def test_limits_as_json_and_nothing_written(tmp_path: Path) -> None:
    before = DOCUMENT.read_bytes()
    done = bench("--quick", "--only", "limits", "--json", "--dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["format"] == "certledger/bench/v1"
    assert said["quick"] is True and said["failed"] == {}
    assert set(said["machine"]) == {
        "commit", "date", "cpu", "cores", "memory", "kernel", "disk", "python", "load_before",
    }  # fmt: skip
    assert set(said["figures"]) == LIMITS
    for figure in said["figures"].values():
        assert 0 < figure["low"] <= figure["median"] <= figure["high"]
        assert figure["unit"] == "/s" and figure["runs"] == 3 and figure["text"]
    assert list(tmp_path.iterdir()) == [], "the scratch folder is emptied"
    assert DOCUMENT.read_bytes() == before


async def test_a_file_that_is_filled_is_a_log(tmp_path: Path) -> None:
    """The measurements of large logs begin with it."""
    make_log(tmp_path, ["--map-depth", "8"])
    path = tmp_path / "log" / "log.db"
    await fill_file(path, 2_100)
    store = open_sqlite(path, private=True)
    try:
        log = await Integrator.open(store)
        assert log.head is not None and log.head.map_count >= 2_100
        with ThreadPoolExecutor(1) as workers:
            scratch = create_sqlite(tmp_path / "scratch.db", private=False)
            assert await fsck(store, scratch, workers) == []
            await scratch.close()
    finally:
        await store.close()


def test_an_unknown_part_is_a_usage_error() -> None:
    done = bench("--only", "everything")
    assert done.returncode == 2 and "--only" in done.stderr
