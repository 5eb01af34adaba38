import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.s3_server import S3Server, credentials_file

from hakoiri.host.adapters import object_store, obstore_objects
from hakoiri.host.adapters.object_store import FileObjectStore, open_object_store
from hakoiri.host.files.collection import Listed
from hakoiri.host.files.collection_ports import CollectableStore
from hakoiri.host.files.ports import (
    FilesError,
    ObjectMissingError,
    ObjectStore,
    ObjectTooLargeError,
)
from hakoiri.host.settings import ObjectStoreSettings

pytestmark = pytest.mark.anyio

LARGE = os.urandom(12 * 1024 * 1024 + 7)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "objects with space"


@pytest.fixture
def store(directory: Path) -> CollectableStore:
    return open_object_store(directory.as_uri())


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.root)])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> CollectableStore:
    """Each kind of store in turn, for what all of them promise."""
    if request.param == "file":
        return open_object_store((tmp_path / "objects").as_uri())
    server: S3Server = request.getfixturevalue("s3")
    bucket = server.bucket(f"b-{os.urandom(6).hex()}")
    settings = ObjectStoreSettings(
        credentials_file=credentials_file(tmp_path), endpoint=server.endpoint
    )
    return open_object_store(f"s3://{bucket}/prefix", settings)


def objects_in(directory: Path) -> list[str]:
    """All files, staging files too."""
    return sorted(
        str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()
    )


def put_a_file_in_its_place(directory: Path) -> None:
    directory.rmdir()
    directory.write_bytes(b"")


async def test_what_is_put_is_got_and_replaced_whole(any_store: ObjectStore) -> None:
    await any_store.put("a/b", b"first")
    await any_store.put("a/b", b"second")
    assert await any_store.get("a/b", limit_bytes=6) == b"second"


async def test_nothing_but_the_object_is_left_on_the_disk(
    store: ObjectStore, directory: Path
) -> None:
    await store.put("a/b", b"first")
    assert objects_in(directory) == ["a/b"]


async def test_an_empty_object_is_an_object(any_store: ObjectStore) -> None:
    await any_store.put("empty", b"")
    assert await any_store.get("empty", limit_bytes=0) == b""
    assert [chunk async for chunk in any_store.stream("empty")] == []


async def test_a_large_object_is_streamed_out(any_store: ObjectStore) -> None:
    await any_store.put("large", LARGE)
    chunks = [chunk async for chunk in any_store.stream("large")]
    assert b"".join(chunks) == LARGE
    assert max(len(chunk) for chunk in chunks) <= 2 * 1024 * 1024


async def test_a_missing_object_is_told(any_store: ObjectStore) -> None:
    with pytest.raises(ObjectMissingError, match="no object a/b"):
        await any_store.get("a/b", limit_bytes=1)
    with pytest.raises(ObjectMissingError, match="no object a/b"):
        await anext(aiter(any_store.stream("a/b")))


async def test_an_object_over_the_limit_is_not_read(any_store: ObjectStore) -> None:
    await any_store.put("a", b"abc")
    with pytest.raises(ObjectTooLargeError, match="3 bytes, over the limit of 2"):
        await any_store.get("a", limit_bytes=2)


async def test_a_key_cannot_leave_the_store(store: ObjectStore, directory: Path) -> None:
    with pytest.raises(FilesError):
        await store.put("a/../../x", b"x")
    assert not (directory.parent / "x").exists()


async def test_the_vendors_errors_are_one_line_of_ours(store: ObjectStore, directory: Path) -> None:
    (directory / "a").write_bytes(b"a file where a directory must be")
    with pytest.raises(FilesError, match=r"^a/b: ") as caught:
        await store.put("a/b", b"x")
    assert "\n" not in str(caught.value)


async def test_a_store_that_works_passes_its_check(any_store: ObjectStore) -> None:
    await any_store.check()


async def test_a_store_that_went_away_fails_its_check(store: ObjectStore, directory: Path) -> None:
    put_a_file_in_its_place(directory)
    with pytest.raises(FilesError):
        await store.check()


def test_the_way_to_a_new_store_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(object_store, "sync_path", synced.append)
    open_object_store((tmp_path / "a/b").as_uri())
    assert set(synced) == {tmp_path, tmp_path / "a"}
    open_object_store((tmp_path / "a/b").as_uri())
    assert len(synced) == 2, "what was there before is found"


def test_the_stores_directory_is_private(store: ObjectStore, directory: Path) -> None:
    assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "url",
    [
        "memory:///",
        "objects",
        "file:relative",
        "file://host/objects",
        "file:///a/../b",
    ],
)
def test_another_address_is_one_clear_error(url: str) -> None:
    with pytest.raises(FilesError, match=r"object_store_url: .*file:///"):
        open_object_store(url)


SHORT_RUN = """
import asyncio, sys
from hakoiri.host.adapters.object_store import open_object_store

async def main():
    store = open_object_store(sys.argv[1])
    await asyncio.gather(*(store.put(f"a/{n}", b"x" * 2000) for n in range(64)))

asyncio.run(main())
"""


def test_a_process_that_ends_right_after_its_work_does_not_abort(directory: Path) -> None:
    codes = [
        subprocess.run(
            [sys.executable, "-c", SHORT_RUN, directory.as_uri()],
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).returncode
        for _ in range(10)
    ]
    assert codes == [0] * 10


PACK = "tenants/acme/packs/ab/1"


async def listed(store: CollectableStore, prefix: str) -> dict[str, Listed]:
    return {one.key: one async for page in store.pages(prefix) for one in page}


async def test_what_is_stored_is_listed_with_size_and_time(any_store: CollectableStore) -> None:
    assert await any_store.tenants() == []
    assert await listed(any_store, "tenants/acme") == {}
    for number in range(3):
        await any_store.put(f"tenants/acme/packs/ab/{number}", b"x" * number)
    await any_store.put("tenants/acme-2/packs/ab/1", b"y")
    await any_store.put("archive/tenants/zoe/packs/ab/1", b"z")
    await any_store.put("tenants/No One/packs/ab/1", b"z")
    found = await listed(any_store, "tenants/acme")
    assert [found[f"tenants/acme/packs/ab/{number}"].size for number in range(3)] == [0, 1, 2]
    assert len(found) == 3
    age = datetime.now(UTC) - found[PACK].modified
    assert timedelta(seconds=-5) < age < timedelta(seconds=60)
    assert await any_store.tenants() == ["acme", "acme-2", "zoe"]


async def test_a_listing_comes_in_pages(
    any_store: CollectableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(obstore_objects, "PAGE_OBJECTS", 2)
    for number in range(5):
        await any_store.put(f"tenants/acme/packs/ab/{number}", b"x")
    pages = [page async for page in any_store.pages("tenants/acme")]
    assert [len(page) for page in pages] == [2, 2, 1]


async def test_an_object_goes_into_the_archive_and_back(any_store: CollectableStore) -> None:
    await any_store.put(PACK, b"bytes")
    for _ in range(2):  # again, as after a crash
        await any_store.archive(PACK)
    with pytest.raises(ObjectMissingError):
        await any_store.get(PACK, limit_bytes=9)
    assert await any_store.get("archive/" + PACK, limit_bytes=9) == b"bytes"
    await any_store.bring_back(PACK)
    assert await any_store.get(PACK, limit_bytes=9) == b"bytes"
    for _ in range(2):
        await any_store.delete_archived(PACK)
    assert await listed(any_store, "archive/tenants/acme") == {}
    with pytest.raises(ObjectMissingError):
        await any_store.bring_back("tenants/acme/packs/ab/2")


async def test_a_move_that_broke_off_half_way_is_finished(any_store: CollectableStore) -> None:
    await any_store.put(PACK, b"bytes")
    await any_store.put("archive/" + PACK, b"bytes")
    await any_store.archive(PACK)
    with pytest.raises(ObjectMissingError):
        await any_store.get(PACK, limit_bytes=9)


async def test_the_age_in_the_archive_counts_from_the_move(any_store: CollectableStore) -> None:
    await any_store.put(PACK, b"bytes")
    if isinstance(any_store, FileObjectStore):
        os.utime(any_store._directory / PACK, (1, 1))
    await any_store.archive(PACK)
    moved = (await listed(any_store, "archive/tenants/acme"))["archive/" + PACK]
    assert datetime.now(UTC) - moved.modified < timedelta(seconds=60)


async def test_the_right_to_remove_is_tried_and_leaves_nothing(any_store: CollectableStore) -> None:
    await any_store.check_removal()
    assert await listed(any_store, "check") == await listed(any_store, "archive") == {}


async def test_writes_that_were_broken_off_are_dropped_when_old(
    store: CollectableStore, directory: Path
) -> None:
    await store.put(PACK, b"bytes")
    old, new = directory / (PACK + "#1"), directory / (PACK + "#2")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    os.utime(directory / PACK, (1, 1))
    before = datetime.now(UTC) - timedelta(hours=1)
    assert await store.drop_abandoned(before=before) == 1
    assert objects_in(directory) == [PACK, PACK + "#2"]
    assert list(await listed(store, "tenants/acme")) == [PACK]
