import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from tests.unit.host.api.served import Served

from hakoiri.host.api.stored_files import RecoveryPointFiles
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.ports import NoSuchFileError
from hakoiri.host.files.sync import FileSync

pytestmark = pytest.mark.anyio


class Elsewhere(tuple[Any, ...]):
    """A tuple that is gone through in worker threads alone."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        assert threading.current_thread() is not threading.main_thread(), "others wait meanwhile"
        return super().__iter__()


class Saved:
    """A newest recovery point."""

    entries = Elsewhere(
        (
            Entry("home", b"a.txt", "file", 0o644, 0, 9),
            Entry("workspace", b"a.txt", "file", 0o644, 0, 1),
            Entry("workspace", b"sub", "directory", 0o755, 0),
            Entry("workspace", b"sub/\xff%", "file", 0o644, 0, 2),
        )
    )


class Sync:
    """As much of `FileSync` as is asked."""

    def __init__(self, manifest: Saved | None) -> None:
        self._manifest = manifest

    async def manifest(self, **_: str) -> Saved | None:
        return self._manifest

    def stored(self, _tenant: str) -> None:
        return None


def of(manifest: Saved | None) -> RecoveryPointFiles:
    return RecoveryPointFiles(cast("FileSync", Sync(manifest)))


WHOSE = {"tenant": "t", "workspace_id": "w"}


async def test_what_goes_through_all_files_holds_nobody_up() -> None:
    files = of(Saved())
    listed = await files.listing(**WHOSE)
    assert [(one.path, one.kind, one.size_bytes) for one in listed] == [
        ("a.txt", "file", 1),
        ("sub", "directory", 0),
        ("sub/%FF%25", "file", 2),
    ]
    assert await files.find(**WHOSE, path="sub/%FF%25") == listed[2]
    assert (await files.folder(**WHOSE, path="sub")).left_out == 0


@pytest.mark.parametrize("path", ["missing", "sub/%", "../a.txt", "", "a.txt\0"])
async def test_what_is_not_there_is_not_found(path: str) -> None:
    assert await of(Saved()).find(**WHOSE, path=path) is None


async def test_before_the_first_point_there_is_nothing() -> None:
    files = of(None)
    assert await files.listing(**WHOSE) == []
    assert await files.find(**WHOSE, path="a.txt") is None
    with pytest.raises(NoSuchFileError):
        await files.folder(**WHOSE, path="sub")


async def test_a_list_is_written_out_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served()
    served.files.contents = {"a.txt": b"x"}
    found = served.files.listing

    async def listing(**whose: str) -> Elsewhere:
        return Elsewhere(await found(**whose))

    monkeypatch.setattr(served.files, "listing", listing)
    async with served.client() as client:
        path = f"/v1/workspaces/{(await served.world.workspace()).id}/files"
        listed = (await client.get(path)).json()["files"]
    assert [one["path"] for one in listed] == ["link", "a.txt"]
