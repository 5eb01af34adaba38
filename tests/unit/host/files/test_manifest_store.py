import hashlib
from dataclasses import replace

import pytest
from tests.unit.host.files.trees import NOON

from hakoiri.host.files import manifest_store
from hakoiri.host.files.keys import manifest_key
from hakoiri.host.files.manifest import Entry, Manifest, recovery_point_of
from hakoiri.host.files.manifest_format import encode_manifest
from hakoiri.host.files.manifest_store import ManifestStore
from hakoiri.host.files.pack_codec import compress, decompress
from hakoiri.host.files.ports import DamagedError
from hakoiri.host.files.testing import MemoryObjectStore

pytestmark = pytest.mark.anyio

SHA = hashlib.sha256(b"abc").hexdigest()
FILE = Entry("workspace", b"f", "file", 0o644, 5, size=3, sha256=SHA)
MANIFEST = Manifest("ws", None, 1, 7, "ab-cd", NOON, (FILE,))


class Counting(MemoryObjectStore):
    """Counts reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    async def get(self, key: str, *, limit_bytes: int) -> bytes:
        self.reads += 1
        return await super().get(key, limit_bytes=limit_bytes)


async def test_what_is_written_is_read_and_compressed() -> None:
    store = MemoryObjectStore()
    point = await ManifestStore(store).write("acme", MANIFEST)
    assert await ManifestStore(store).read("acme", "ws", point) == MANIFEST
    stored = store.objects[manifest_key("acme", "ws", point)]
    assert b'"version":2' in decompress(stored, limit_bytes=10_000)


async def test_the_newest_is_read_from_the_store_once_and_what_others_see_each_time() -> None:
    store = Counting()
    point = await ManifestStore(store).write("acme", MANIFEST)
    manifests = ManifestStore(store)
    assert await manifests.newest("acme", "ws", point) == MANIFEST
    assert await manifests.newest("acme", "ws", point) == MANIFEST
    assert store.reads == 1
    await manifests.read("acme", "ws", point)
    assert store.reads == 2


async def test_what_was_written_is_at_hand_and_only_the_newest_of_a_workspace() -> None:
    store = Counting()
    manifests = ManifestStore(store)
    first = await manifests.write("acme", MANIFEST)
    second = await manifests.write("acme", replace(MANIFEST, event_number=8))
    await manifests.newest("acme", "ws", second)
    assert store.reads == 0
    await manifests.newest("acme", "ws", first)
    assert store.reads == 1


def follow(first: str, manifest: Manifest) -> Manifest:
    return replace(manifest, parent=first, event_number=8)


async def test_the_same_entries_are_spelled_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = ManifestStore(MemoryObjectStore())
    first = await manifests.write("acme", MANIFEST)
    monkeypatch.setattr(manifest_store, "encode_manifest", _never)
    second = await manifests.write("acme", follow(first, MANIFEST))
    third = await manifests.write("acme", follow(second, MANIFEST))
    monkeypatch.undo()
    for point, parent in ((second, first), (third, second)):
        assert point == recovery_point_of(encode_manifest(follow(parent, MANIFEST)))


def _never(*given: object, **named: object) -> bytes:
    raise AssertionError("it was spelled out again")


async def test_other_entries_are_spelled_out_though_as_many() -> None:
    store = MemoryObjectStore()
    manifests = ManifestStore(store)
    first = await manifests.write("acme", MANIFEST)
    other = follow(first, replace(MANIFEST, entries=(replace(FILE, mode=0o600),)))
    second = await manifests.write("acme", other)
    assert await ManifestStore(store).read("acme", "ws", second) == other


async def test_what_was_only_read_is_spelled_out_by_the_first_save() -> None:
    store = MemoryObjectStore()
    first = await ManifestStore(store).write("acme", MANIFEST)
    manifests = ManifestStore(store)
    known = await manifests.newest("acme", "ws", first)
    second = await manifests.write("acme", follow(first, known))
    assert await ManifestStore(store).read("acme", "ws", second) == follow(first, MANIFEST)


async def test_another_workspaces_spelling_is_not_taken_over() -> None:
    store = MemoryObjectStore()
    manifests = ManifestStore(store)
    first = await manifests.write("acme", MANIFEST)
    elsewhere = replace(follow(first, MANIFEST), workspace_id="other")
    second = await manifests.write("acme", elsewhere)
    assert await ManifestStore(store).read("acme", "other", second) == elsewhere


async def test_bytes_go_with_the_manifest_that_they_spell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manifest_store, "KEPT_ENTRIES", 1)
    manifests = ManifestStore(MemoryObjectStore())
    await manifests.write("acme", MANIFEST)
    await manifests.write("acme", replace(MANIFEST, event_number=8))
    last = await manifests.write("acme", replace(MANIFEST, workspace_id="b"))
    assert list(manifests._stored) == [manifest_key("acme", "b", last)]


@pytest.mark.parametrize("bound", ["KEPT_ENTRIES", "KEPT_MANIFESTS"])
async def test_what_is_at_hand_is_bounded(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(manifest_store, bound, 2)
    store = Counting()
    manifests = ManifestStore(store)
    points = {
        workspace: await manifests.write("acme", replace(MANIFEST, workspace_id=workspace))
        for workspace in ("a", "b", "c")
    }
    for workspace in ("b", "c"):
        await manifests.newest("acme", workspace, points[workspace])
    assert store.reads == 0
    await manifests.newest("acme", "a", points["a"])
    assert store.reads == 1


async def test_another_tenants_manifest_is_not_at_hand() -> None:
    manifests = ManifestStore(MemoryObjectStore())
    point = await manifests.write("acme", MANIFEST)
    with pytest.raises(DamagedError, match="missing"):
        await manifests.newest("other", "ws", point)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (b"no zstd", "its manifest cannot be decoded"),
        (compress(b"{}\n"), "its manifest holds other bytes"),
        (compress(b"x" * 100)[:-1], "its manifest is not one whole frame"),
    ],
)
async def test_a_damaged_manifest_is_told_with_its_recovery_point(damage: bytes, said: str) -> None:
    store = MemoryObjectStore()
    point = await ManifestStore(store).write("acme", MANIFEST)
    store.objects[manifest_key("acme", "ws", point)] = damage
    with pytest.raises(DamagedError, match=f"{point}: {said}"):
        await ManifestStore(store).read("acme", "ws", point)
