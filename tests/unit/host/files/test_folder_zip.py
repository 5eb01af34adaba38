"""Zips as another program reads them, from real recovery points."""

import io
import os
import stat
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from tests.unit.host.files.trees import (
    MTIME_NS,
    File,
    Link,
    Node,
    build,
    children,
    file_sync,
    make_live_tree,
)
from tests.unit.host.files.trees import Folder as Dir

from hakoiri.host.files import folder_zip
from hakoiri.host.files.folder_zip import Folder, KeptPacks, zip_of
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.paths import text_of
from hakoiri.host.files.ports import DamagedError, LiveTree, NoSuchFileError
from hakoiri.host.files.stored_bytes import StoredBytes
from hakoiri.host.files.sync import FileSync
from hakoiri.host.files.testing import MemoryHeads, MemoryObjectStore

pytestmark = pytest.mark.anyio


class Saved:
    def __init__(self, tree: LiveTree) -> None:
        self.tree = tree
        self.store = MemoryObjectStore()
        self.sync: FileSync = file_sync(self.store, MemoryHeads())

    async def entries(self) -> tuple[Entry, ...]:
        await self.sync.save(
            tenant="acme",
            workspace_id="ws",
            generation=1,
            event_number=1,
            tree=self.tree,
            session_id=None,
        )
        manifest = await self.sync.manifest(tenant="acme", workspace_id="ws")
        assert manifest is not None
        return manifest.entries

    async def zip(self, path: bytes = b"") -> bytes:
        folder = Folder.of(await self.entries(), path)
        return b"".join([piece async for piece in zip_of(folder, self.sync.stored("acme"))])


@pytest.fixture
def saved(tree: LiveTree) -> Saved:
    return Saved(tree)


async def test_a_folder_comes_whole_with_mode_and_time(saved: Saved) -> None:
    large = os.urandom(3_000_000)
    described: dict[bytes, Node] = {
        b"src": Dir(
            {
                b"main.py": File(b"print()\n", 0o755),
                b"empty": File(b""),
                b"large": File(large),
                b"sub": Dir({}),
                "箱".encode(): File(b"box"),
            }
        ),
        b"src-2": File(b"not in it"),
    }
    build(saved.tree.workspace, described)
    with zipfile.ZipFile(io.BytesIO(await saved.zip(b"src"))) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[0] == "sub/"
        assert sorted(archive.namelist()) == ["empty", "large", "main.py", "sub/", "箱"]
        assert archive.read("large") == large
        assert archive.read("main.py") == b"print()\n"
        about = archive.getinfo("main.py")
        assert about.external_attr >> 16 == stat.S_IFREG | 0o755
        assert about.date_time == (2023, 11, 14, 22, 13, 20)
        assert archive.getinfo("sub/").is_dir()


async def test_the_same_folder_gives_the_same_bytes(saved: Saved) -> None:
    build(saved.tree.workspace, {b"b": File(b"1"), b"a": Dir({b"x": File(b"2")})})
    first = await saved.zip()
    assert await saved.zip() == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert archive.namelist() == ["a/", "a/x", "b"]


async def test_symlinks_are_left_out_and_counted(saved: Saved) -> None:
    described: dict[bytes, Node] = {
        b"d": Dir({b"to-shadow": Link(b"/etc/shadow"), b"up": Link(b"../.."), b"f": File(b"x")})
    }
    build(saved.tree.workspace, described)
    assert Folder.of(await saved.entries(), b"d").left_out == 2
    with zipfile.ZipFile(io.BytesIO(await saved.zip())) as archive:
        assert archive.namelist() == ["d/", "d/f"]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (rb"..\..\evil.exe", "..%5C..%5Cevil.exe"),
        (b"a\nb", "a%0Ab"),
        (b"\xff", "%FF"),
        (b"50%", "50%25"),
        (b"\xe2\x80\xaegpj.exe", "%E2%80%AEgpj.exe"),
    ],
)
async def test_no_name_leads_elsewhere_or_shows_another(
    saved: Saved, raw: bytes, name: str
) -> None:
    build(saved.tree.workspace, {raw: File(b"x")})
    with zipfile.ZipFile(io.BytesIO(await saved.zip())) as archive:
        assert [one.orig_filename for one in archive.infolist()] == [name]


@pytest.mark.parametrize(
    ("mtime_s", "year"), [(0, 1980), (-(10**9), 1980), (5_000_000_000, 2107), (10**9, 2001)]
)
async def test_a_time_that_no_zip_has_is_the_nearest(saved: Saved, mtime_s: int, year: int) -> None:
    (saved.tree.workspace / "f").write_bytes(b"x")
    os.utime(saved.tree.workspace / "f", (mtime_s, mtime_s))
    with zipfile.ZipFile(io.BytesIO(await saved.zip())) as archive:
        assert archive.infolist()[0].date_time[0] == year


@pytest.mark.parametrize("path", [b"file", b"none", b"link", b"file/x"])
async def test_what_is_no_folder_is_not_there(saved: Saved, path: bytes) -> None:
    build(saved.tree.workspace, {b"file": File(b"x"), b"link": Link(b".")})
    with pytest.raises(NoSuchFileError):
        Folder.of(await saved.entries(), path)


async def test_the_agents_home_is_not_in_it(saved: Saved) -> None:
    (saved.tree.home / ".claude" / "projects").mkdir(parents=True)
    (saved.tree.home / ".claude" / "projects" / "p").write_bytes(b"memory")
    assert Folder.of(await saved.entries(), b"").entries == ()


async def test_damaged_bytes_end_it_without_an_end(saved: Saved) -> None:
    (saved.tree.workspace / "f").write_bytes(os.urandom(2_000_000))
    entries = await saved.entries()
    pack = next(key for key in saved.store.objects if "/packs/" in key)
    saved.store.objects[pack] = saved.store.objects[pack][:-1]
    received: list[bytes] = []

    async def read() -> None:
        async for piece in zip_of(Folder.of(entries, b""), saved.sync.stored("acme")):
            received.append(piece)  # noqa: PERF401 - what came before the failure counts

    with pytest.raises(DamagedError, match="workspace/f"):
        await read()
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(b"".join(received)))


async def test_each_pack_is_read_about_once_and_few_are_held(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_zip, "KEPT_PACKS", 1)
    for number in range(600):
        (saved.tree.workspace / f"{number:03}").write_bytes(os.urandom(9_000))
    entries = await saved.entries()
    packs = sum("/packs/" in key for key in saved.store.objects)
    reads = 0
    read = StoredBytes.pack

    async def counted(self: StoredBytes, pack: object, *, wanted_by: Entry) -> bytes:
        nonlocal reads
        reads += 1
        return await read(self, pack, wanted_by=wanted_by)  # type: ignore[arg-type]

    monkeypatch.setattr(StoredBytes, "pack", counted)
    stored = saved.sync.stored("acme")
    assert isinstance(stored, KeptPacks)
    pieces = [len(piece) async for piece in zip_of(Folder.of(entries, b""), stored)]
    assert reads == packs > 1
    assert len(stored._kept) <= folder_zip.KEPT_PACKS
    assert max(pieces) < 3 * folder_zip.SMALL_BYTES


async def test_a_file_of_many_gigabytes_gets_the_long_form() -> None:
    entry = Entry("workspace", b"f", "file", 0o644, MTIME_NS, size=5 * 1024**3, sha256="a" * 64)
    assert folder_zip._about(entry, "f").file_size == 5 * 1024**3


@given(children)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
async def test_any_tree_comes_back_from_its_zip(
    tmp_path_factory: pytest.TempPathFactory, described: dict[bytes, Node]
) -> None:
    saved = Saved(make_live_tree(tmp_path_factory.mktemp("t") / "live"))
    build(saved.tree.workspace, described)
    expected: dict[str, bytes | None] = {}

    def note(prefix: bytes, nodes: dict[bytes, Node]) -> None:
        for name, node in nodes.items():
            text = text_of(prefix + name).replace("\\", "%5C")
            if isinstance(node, File):
                expected[text] = node.content
            elif isinstance(node, Dir):
                expected[text + "/"] = None
                note(prefix + name + b"/", node.children)

    note(b"", described)
    with zipfile.ZipFile(io.BytesIO(await saved.zip())) as archive:
        found = {
            one.orig_filename: None if one.is_dir() else archive.read(one)
            for one in archive.infolist()
        }
    assert found == expected
