from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from tests.unit.host.files.trees import LIMITS, NOON, a_second_later, make_live_tree

from hakoiri.audit.testing import MemoryAudit
from hakoiri.host.files.metered_sync import MeteredSync
from hakoiri.host.files.ports import DamagedError, LiveTree, StaleGenerationError
from hakoiri.host.files.testing import MemoryHeads, MemoryObjectStore
from hakoiri.host.telemetry.file_audit import FileAudit
from hakoiri.host.telemetry.sync_metrics import SyncMetrics

pytestmark = pytest.mark.anyio


class World:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.saved: list[tuple[str, float]] = []
        self.audit = MemoryAudit()
        self.store = MemoryObjectStore()
        self.sync = MeteredSync(
            metrics=SyncMetrics(self.registry),
            audit=FileAudit(self.audit),
            saved=lambda workspace, began_s: self.saved.append((workspace, began_s)),
            clock_s=lambda: 10.0,
            store=self.store,
            heads=MemoryHeads(),
            limits=LIMITS,
            clock=lambda: NOON,
            wall_ns=a_second_later,
        )

    async def save(self, tree: LiveTree, *, generation: int) -> None:
        await self.sync.save(
            tenant="acme",
            workspace_id="w1",
            generation=generation,
            event_number=1,
            tree=tree,
            session_id=None,
        )

    def page(self) -> str:
        return generate_latest(self.registry).decode()


async def test_saves_and_restores_are_counted_and_who_was_saved_is_told(tmp_path: Path) -> None:
    world = World()
    empty = make_live_tree(tmp_path / "empty")
    assert await world.sync.restore(tenant="acme", workspace_id="w1", tree=empty) is None
    assert 'hakoiri_file_syncs_total{direction="restore",result="ok"} 0.0' in world.page()
    tree = make_live_tree(tmp_path / "live")
    (tree.workspace / "file").write_bytes(b"x" * 100)
    await world.save(tree, generation=2)
    assert world.saved == [("w1", 10.0)]
    with pytest.raises(StaleGenerationError):
        await world.save(tree, generation=1)
    assert world.saved == [("w1", 10.0)], "one that failed saved nothing"
    assert await world.sync.restore(tenant="acme", workspace_id="w1", tree=empty) is not None
    page = world.page()
    for line in (
        'hakoiri_file_syncs_total{direction="save",result="ok"} 1.0',
        'hakoiri_file_syncs_total{direction="save",result="given_up"} 1.0',
        'hakoiri_file_syncs_total{direction="save",result="failed"} 0.0',
        'hakoiri_file_syncs_total{direction="restore",result="ok"} 1.0',
        'hakoiri_file_sync_bytes_total{direction="restore"} 100.0',
        'hakoiri_file_sync_files_total{direction="save"} 1.0',
    ):
        assert line in page


async def test_what_is_saved_and_restored_is_audited_once_and_without_names(
    tmp_path: Path,
) -> None:
    world = World()
    tree = make_live_tree(tmp_path / "live")
    (tree.workspace / "planted-name").write_bytes(b"x" * 100)
    await world.save(tree, generation=2)
    await world.save(tree, generation=2)
    with pytest.raises(StaleGenerationError):
        await world.save(tree, generation=1)
    empty = make_live_tree(tmp_path / "empty")
    await world.sync.restore(tenant="acme", workspace_id="w1", tree=empty)
    assert world.audit.kinds() == ["files_synced", "files_restored"]
    for event in world.audit.events:
        assert (event.tenant, event.workspace, event.succeeded) == ("acme", "w1", True)
        assert "planted-name" not in str(event)
    assert world.audit.events[1].details["files"] == 1


async def test_what_cannot_be_saved_or_restored_is_audited_as_failed(tmp_path: Path) -> None:
    world = World()
    tree = make_live_tree(tmp_path / "live")
    (tree.workspace / "file").write_bytes(b"x" * 100)
    await world.save(tree, generation=1)
    world.store.objects.clear()
    with pytest.raises(DamagedError):
        await world.sync.restore(
            tenant="acme", workspace_id="w1", tree=make_live_tree(tmp_path / "empty")
        )
    assert world.audit.kinds() == ["files_synced", "files_restored"]
    assert not world.audit.events[1].succeeded
    assert world.audit.events[1].details == {"reason": "DamagedError"}
