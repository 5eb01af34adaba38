"""Restores and forks over real stores and a real database, with boxes that do what they can."""

import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.integration.host.files.test_file_sync import SECRET, open_s3, stored_bytes
from tests.s3_server import S3Server
from tests.unit.host.containers.fleet import Fleet
from tests.unit.host.files.trees import describe

from hakoiri.audit.testing import MemoryAudit
from hakoiri.host.adapters.object_store import open_object_store
from hakoiri.host.adapters.sql.claim_store import SqlClaimStore
from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database, open_database
from hakoiri.host.adapters.sql.policy_store import SqlPolicyStore
from hakoiri.host.adapters.sql.recovery_points import SqlRecoveryPoints
from hakoiri.host.adapters.sql.workspace_heads import SqlWorkspaceHeads
from hakoiri.host.adapters.sql.workspace_store import SqlWorkspaceStore
from hakoiri.host.containers.model import Claim
from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.point_services import make_point_services
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.workspace_claim import WorkspaceClaim
from hakoiri.host.conversations.workspace_service import FilesFate
from hakoiri.host.conversations.workspace_services import make_workspace_services
from hakoiri.host.files.point_files import PointFiles
from hakoiri.host.files.ports import (
    DamagedError,
    LiveTree,
    ObjectStore,
    StaleGenerationError,
)
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.sync import FileSync
from hakoiri.wire.policy import DENY_ALL

pytestmark = pytest.mark.anyio


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.root)])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Each kind of store in turn."""
    if request.param == "file":
        return open_object_store((tmp_path / "objects").as_uri())
    server: S3Server = request.getfixturevalue("s3")
    return open_s3(server, server.endpoint, tmp_path)


class Installation:
    """All of a server but its engine, whose boxes are directories that nobody freezes."""

    def __init__(self, root: Path, store: ObjectStore, database: Database) -> None:
        self.fleet = Fleet(root / "live", limit=8)
        self.fleet.claims = SqlClaimStore(database, clock=now)  # type: ignore[assignment]
        self.fleet.engine.owner_uid = os.getuid() or 1000
        self.fleet.engine.owner_gid = os.getgid() or 1000
        self.orchestrator = self.fleet.orchestrator()
        self.conversations = SqlConversationStore(database)
        workspaces = SqlWorkspaceStore(database)
        policies = PolicyService(
            store=SqlPolicyStore(database), containers=self.orchestrator, default_policy=DENY_ALL
        )
        self.sync = FileSync(
            store=store, heads=SqlWorkspaceHeads(database), limits=ScanLimits(), clock=now
        )
        self.services = make_workspace_services(
            store=workspaces,
            conversations=self.conversations,
            policies=policies,
            containers=self.orchestrator,
            files=self.sync,
            editable=self.sync,
            clock=now,
            monotonic=lambda: 0.0,
            runtimes=["runc"],
        )
        self.claims = WorkspaceClaim(
            store=self.conversations,
            policies=policies,
            containers=self.orchestrator,
            files=self.sync,
            runtimes=["runc"],
        )
        self.points = make_point_services(
            points=SqlRecoveryPoints(database),
            files=PointFiles(store=store, manifests=self.sync.manifests, clock=now),
            store=workspaces,
            containers=self.orchestrator,
            saves=self.sync,
            saver=self.services.saver,
            feed=EventFeed(store=self.conversations),
            clock=now,
            audit=MemoryAudit(),
        )

    async def workspace(self) -> Workspace:
        return (await self.services.workspaces.create(tenant="acme", policy="default")).workspace

    async def claim(self, workspace: Workspace) -> Claim:
        """Bring it to life; it is idle again at once."""
        claim = await self.claims.take(workspace, holder="test")
        await self.orchestrator.release(workspace.id, holder="test")
        return claim

    async def save(self, workspace: Workspace) -> str:
        return (await self.points.points.save_now(workspace)).id


@asynccontextmanager
async def installed(tmp_path: Path, store: ObjectStore) -> AsyncIterator[Installation]:
    database = await open_database(f"sqlite:///{tmp_path}/hakoiri.db")
    made = Installation(tmp_path, store, database)
    try:
        async with made.services.saver:
            yield made
    finally:
        await database.close()


def write(claim: Claim, **contents: str) -> None:
    for name, content in contents.items():
        (claim.directories.workspace / name).write_text(content)


def read(claim: Claim) -> dict[str, str]:
    found = claim.directories.workspace.iterdir()
    return {path.name: path.read_text() for path in found if path.is_file()}


async def test_a_live_workspace_is_put_back_and_forth(
    any_store: ObjectStore, tmp_path: Path
) -> None:
    async with installed(tmp_path, any_store) as it:
        workspace = await it.workspace()
        first = await it.claim(workspace)
        write(first, a="old", b="same")
        (first.directories.home / ".claude/projects").mkdir(parents=True)
        (first.directories.home / ".claude/projects/memory").write_text("of old")
        old = await it.save(workspace)
        was = describe(first.directories.workspace), describe(first.directories.home)
        write(first, a="new", c="unsaved")
        (first.directories.home / ".claude/projects/memory").write_text("of new")
        restored = await it.points.restores.restore(workspace, old)
        assert not first.directories.workspace.exists(), "its box is gone"
        second = await it.claim(workspace)
        assert second.container_id != first.container_id
        assert (describe(second.directories.workspace), describe(second.directories.home)) == was
        await it.points.restores.restore(workspace, restored.undo)
        third = await it.claim(workspace)
        assert read(third) == {"a": "new", "b": "same", "c": "unsaved"}
        assert (third.directories.home / ".claude/projects/memory").read_text() == "of new"


async def test_forks_share_bytes_and_then_nothing(any_store: ObjectStore, tmp_path: Path) -> None:
    async with installed(tmp_path, any_store) as it:
        workspace = await it.workspace()
        claim = await it.claim(workspace)
        write(claim, a="old")
        (claim.directories.workspace / "large").write_bytes(os.urandom(6_000_000))
        old = await it.save(workspace)
        write(claim, a="new")
        await it.save(workspace)
        packs = packs_in(tmp_path)
        fork = (await it.points.forks.fork(workspace, old, with_conversation=False)).workspace
        assert packs_in(tmp_path) == packs
        forked = await it.claim(fork)
        assert read_sizes(forked) == {"a": 3, "large": 6_000_000}
        assert (forked.directories.workspace / "a").read_text() == "old"
        write(forked, a="fork's own")
        await it.save(fork)
        assert (claim.directories.workspace / "a").read_text() == "new"
        await it.services.workspaces.kill(workspace, files=FilesFate.DELETE)
        await it.orchestrator.retire(fork.id, reason="test")
        again = await it.claim(fork)
        assert read_sizes(again) == {"a": 10, "large": 6_000_000}


async def test_a_save_of_before_cannot_undo_a_restore(
    any_store: ObjectStore, tmp_path: Path
) -> None:
    async with installed(tmp_path, any_store) as it:
        workspace = await it.workspace()
        claim = await it.claim(workspace)
        write(claim, a="old")
        old = await it.save(workspace)
        write(claim, a="new")
        tree = LiveTree(claim.directories.workspace, claim.directories.home, 0, 0)
        restored = await it.points.restores.restore(workspace, old)
        tree.workspace.mkdir(parents=True)
        tree.home.mkdir()
        with pytest.raises(StaleGenerationError):
            await it.sync.save(
                tenant="acme",
                workspace_id=workspace.id,
                generation=claim.generation,
                event_number=0,
                tree=tree,
                session_id=None,
            )
        newest = await it.points.points.find(workspace, None)
        assert newest.id == restored.head.id


async def test_a_damaged_point_leaves_all_as_it_is(tmp_path: Path) -> None:
    store = open_object_store((tmp_path / "objects").as_uri())
    async with installed(tmp_path, store) as it:
        workspace = await it.workspace()
        claim = await it.claim(workspace)
        old = await it.save(workspace)
        write(claim, a="new")
        [manifest] = (tmp_path / "objects").rglob(f"{old}.json.zst")
        manifest.write_bytes(b"damaged")
        write(claim, b="newest")
        await it.save(workspace)
        with pytest.raises(DamagedError):
            await it.points.restores.restore(workspace, old)
        assert read(claim) == {"a": "new", "b": "newest"}
        assert (await it.claim(workspace)).container_id == claim.container_id


@contextmanager
def swapping(directory: Path, outside: Path) -> Iterator[None]:
    """Swap a directory for a link to the outside and back, as fast as it goes."""
    is_over = threading.Event()
    aside = directory.with_name("aside")

    def swap() -> None:
        while not is_over.is_set():
            with suppress(OSError):
                directory.rename(aside)
                directory.symlink_to(outside)
            with suppress(OSError):
                directory.unlink()
            with suppress(OSError):
                aside.rename(directory)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


async def test_swapped_directories_lead_a_restore_nowhere(tmp_path: Path) -> None:
    """The box of this test goes on although it was frozen."""
    store = open_object_store((tmp_path / "objects").as_uri())
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_bytes(SECRET)
    async with installed(tmp_path, store) as it:
        workspace = await it.workspace()
        claim = await it.claim(workspace)
        (claim.directories.workspace / "d").mkdir()
        (claim.directories.workspace / "d/f").write_text("mine")
        old = await it.save(workspace)
        wanted = describe(claim.directories.workspace)
        for _ in range(10):
            write(claim, noise=os.urandom(4).hex())
            with swapping(claim.directories.workspace / "d", outside):
                restored = await it.points.restores.restore(workspace, old)
            assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"f": SECRET}
            claim = await it.claim(workspace)
            assert describe(claim.directories.workspace) == wanted
            assert restored.head.files == 1
        assert SECRET not in stored_bytes(tmp_path / "objects")


def packs_in(root: Path) -> list[Path]:
    """The packs of a `file://` store; of S3 the fork's test of its files has to do."""
    return sorted((root / "objects").rglob("packs/*/*"))


def read_sizes(claim: Claim) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in claim.directories.workspace.iterdir()}
