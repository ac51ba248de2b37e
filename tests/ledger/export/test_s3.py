"""An object store as the place, against a server that checks every signature by itself."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from ledger.errors import Malformed, Unavailable
from ledger.export.place import OtherBytes
from ledger.export.s3 import Bucket, S3Place, read_bucket
from ledger.export.tiles import Export
from tests.support.object_store import KEY_ID, SECRET, ObjectStore
from tests.support.tile_log import TileLog

URL = "s3://logs/2026/one"


@pytest.fixture
async def store() -> AsyncIterator[ObjectStore]:
    async with ObjectStore().served() as one:
        yield one


def place_of(store: ObjectStore, url: str = URL) -> S3Place:
    return S3Place(*read_bucket(url, store.environ), now_s=time.time, pause_s=0.0)


@pytest.mark.parametrize(("url", "root", "token"), [(URL, "logs/2026/one/", ""), ("s3://logs", "logs/", "a token")])
async def test_a_whole_log(store: ObjectStore, url: str, root: str, token: str) -> None:
    store.token = token
    log = TileLog().grow(300)
    async with place_of(store, url) as place:
        export = Export(log, place, log.origin, [log.vkeys])
        await export.once()
        assert [line for line in store.log if line.startswith("PUT")][-1] == f"PUT /{root}checkpoint"
        log.grow(300)
        await export.once()
    for key, stored in store.objects.items():
        path = key.removeprefix(root)
        assert stored.body == (log.note() if path == "checkpoint" else log.content(path))
        cache = "no-cache" if path == "checkpoint" else "public, max-age=604800, immutable"
        assert stored.headers["cache-control"] == cache
        kind = "text/plain; charset=utf-8" if path == "checkpoint" else "application/octet-stream"
        assert stored.headers["content-type"] == kind
    assert f"{root}tile/entries/001.p/44" not in store.objects, "its full one is there"
    assert store.refused == 0


async def test_never_overwrites(store: ObjectStore) -> None:
    async with place_of(store) as place:
        await place.add("tile/0/000", b"one")
        await place.add("tile/0/000", b"one")
        with pytest.raises(OtherBytes):
            await place.add("tile/0/000", b"two")
        assert await place.read("tile/0/000") == b"one"
        assert await place.read("tile/0/001") is None


async def test_the_condition_holds_in_a_race(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two exporters find nothing there; the second does not overwrite what the first has put since."""
    async with place_of(store) as place, place_of(store) as other:
        await other.add("tile/0/000", b"one")
        monkeypatch.setattr(place, "read", _nothing_at_first(place))
        with pytest.raises(OtherBytes):
            await place.add("tile/0/000", b"two")
        assert await other.read("tile/0/000") == b"one"


def _nothing_at_first(place: S3Place):  # type: ignore[no-untyped-def]
    real, asked = place.read, []

    async def read(path: str) -> bytes | None:
        asked.append(path)
        return None if len(asked) == 1 else await real(path)

    return read


@pytest.mark.parametrize("faults", [["503"], ["500", "429", "503"], ["", "lost"], ["", "lost", "503", "lost"]])
async def test_tries_again_and_an_answer_may_be_lost(store: ObjectStore, faults: list[str]) -> None:
    async with place_of(store) as place:
        store.faults = list(faults)
        await place.add("tile/0/000", b"one")
        assert await place.read("tile/0/000") == b"one"


@pytest.mark.parametrize("status", ["403", "400", "301", "503"])
async def test_a_store_that_says_no(store: ObjectStore, status: str) -> None:
    async with place_of(store) as place:
        store.faults = [status] * 10
        with pytest.raises(Unavailable) as failed:
            await place.publish(b"note")
        assert status in str(failed.value) and SECRET not in str(failed.value) and KEY_ID not in str(failed.value)
        assert len(store.log) == (5 if status == "503" else 1)


async def test_nobody_there() -> None:
    environ = ObjectStore(endpoint="http://127.0.0.1:1").environ
    async with S3Place(*read_bucket(URL, environ), pause_s=0.0) as place:
        with pytest.raises(Unavailable):
            await place.read("checkpoint")


async def test_other_keys_are_refused(store: ObjectStore) -> None:
    """The server's own check is one: a wrong secret, a clock that is a day off."""
    for changes, now_s in (({"AWS_SECRET_ACCESS_KEY": "other"}, time.time), ({"AWS_REGION": "elsewhere"}, time.time)):
        async with S3Place(*read_bucket(URL, {**store.environ, **changes}), now_s=now_s, pause_s=0.0) as place:
            with pytest.raises(Unavailable):
                await place.read("checkpoint")
    assert store.refused == 2 and store.log == []


@pytest.mark.parametrize(
    ("url", "changes"),
    [
        ("s3://", {}), ("s3://B", {}), ("s3://logs/a b", {}), ("s3://logs//a", {}), ("s3://logs/../x/", {}),
        (URL, {"AWS_ENDPOINT_URL": "http://store.example"}), (URL, {"AWS_ENDPOINT_URL": "https://store.example/x"}),
        (URL, {"AWS_ENDPOINT_URL": "ftp://store.example"}), (URL, {"AWS_REGION": "a/b"}),
        (URL, {"AWS_ENDPOINT_URL": "https://name:secret@store.example"}),
        (URL, {"AWS_ACCESS_KEY_ID": ""}), (URL, {"AWS_SECRET_ACCESS_KEY": ""}),
    ],
)  # fmt: skip
def test_what_cannot_be_used(url: str, changes: dict[str, str]) -> None:
    environ = {**ObjectStore(endpoint="https://store.example").environ, **changes}
    if url == "s3://logs/../x/":
        assert read_bucket(url, environ)[0].prefix == "../x", "a name like any other: nothing resolves it"
        return
    with pytest.raises(Malformed) as refused:
        read_bucket(url, environ)
    assert "secret" not in str(refused.value)


def test_without_an_endpoint_it_is_the_region_s() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert read_bucket("s3://logs/x/", keys)[0] == Bucket(
        "https://s3.us-east-1.amazonaws.com", "us-east-1", "logs", "x"
    )
    assert read_bucket("s3://logs", keys | {"AWS_REGION": "eu-west-1"})[0].endpoint.startswith("https://s3.eu-west-1.")
