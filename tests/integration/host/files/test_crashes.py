"""Random trees, random edits, a crash at any write: a restore gives exactly a committed state."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.host.files.trees import (
    Described,
    Node,
    build,
    children,
    describe,
    file_sync,
    make_live_tree,
)

from hakoiri.host.files import file_reader, packs, restore, upload
from hakoiri.host.files.ports import FilesError, Named, WorkspaceHead
from hakoiri.host.files.testing import MemoryHeads, MemoryObjectStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class CrashError(FilesError):
    """The process dies here."""


class Disk(MemoryObjectStore):
    """A store whose `left`-th step from now is the last before a crash; it tears what it writes."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None

    async def put(self, key: str, data: bytes) -> None:
        if self.is_crash():
            if key not in self.objects:
                self.objects[key] = data[: len(data) // 2]
            raise CrashError
        await super().put(key, data)

    def is_crash(self) -> bool:
        if self.left is None:
            return False
        self.left -= 1
        return self.left < 0


class Row(MemoryHeads):
    """Heads that the crash may come before, or right after."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self._disk = disk

    async def move_head(self, workspace_id: str, head: WorkspaceHead, named: Named) -> None:
        if self._disk.is_crash():
            raise CrashError
        await super().move_head(workspace_id, head, named)
        if self._disk.is_crash():
            raise CrashError


@dataclass(frozen=True)
class Round:
    """The workspace is replaced or added to, and saved; the process may die at a step of that.

    `is_tried_again`: another process then saves the same.
    """

    content: dict[bytes, Node]
    is_added: bool
    crash_after: int | None
    is_tried_again: bool


rounds = st.builds(Round, children, st.booleans(), st.none() | st.integers(0, 6), st.booleans())


@contextmanager
def tiny_limits() -> Iterator[None]:
    """Small files, packs and numbers of packs, so that all ways are gone with tiny trees."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (file_reader, upload, restore):
            patch.setattr(module, "SMALL_FILE_LIMIT_BYTES", 20)
        for name, value in {
            "SMALL_PACKS": 2,
            "SMALL_PACK_BYTES": 20,
            "WASTE_FROM_BYTES": 4,
        }.items():
            patch.setattr(packs, name, value)
        patch.setattr(upload, "PACK_BYTES", 48)
        patch.setattr(file_reader, "BATCH_LIMIT_BYTES", 48)
        yield


@given(st.lists(rounds, min_size=1, max_size=6))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_a_restore_is_always_exactly_a_committed_state(many: list[Round]) -> None:
    with tempfile.TemporaryDirectory() as name, tiny_limits():
        base = Path(name)
        tree = make_live_tree(base / "live")
        disk = Disk()
        heads = Row(disk)
        states: dict[str, Described] = {}
        sync = file_sync(disk, heads)
        for number, this in enumerate(many, start=1):
            edit(tree.workspace, this, base / f"old{number}")
            for crash_after in (this.crash_after, None)[: 2 if this.is_tried_again else 1]:
                before = heads.heads.get("ws")
                disk.left = crash_after
                with suppress(CrashError):
                    await sync.save(
                        tenant="acme",
                        workspace_id="ws",
                        generation=1,
                        event_number=number,
                        tree=tree,
                        session_id=None,
                    )
                disk.left = None
                sync = file_sync(disk, heads)  # another process
                head = heads.heads.get("ws")
                if head != before and head is not None:
                    states[head.recovery_point] = describe(tree.workspace)
            back = make_live_tree(base / f"back{number}")
            report = await sync.restore(tenant="acme", workspace_id="ws", tree=back)
            if head is None:
                assert report is None
            else:
                assert describe(back.workspace) == states[head.recovery_point]


def edit(workspace: Path, this: Round, old: Path) -> None:
    if not this.is_added:
        workspace.rename(old)
        workspace.mkdir()
    for name, node in this.content.items():
        path = workspace / os.fsdecode(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.exists() or path.is_symlink():
            path.unlink()
        build(workspace, {name: node})
