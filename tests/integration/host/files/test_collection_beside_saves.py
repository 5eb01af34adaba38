"""The collection over real stores and a real database, while workspaces are saved and read."""

import asyncio
import base64
import os
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.integration.host.files.test_file_sync import open_s3
from tests.s3_server import S3Server, credentials_file
from tests.unit.host.files.trees import a_second_later, describe, make_live_tree

from hakoiri.host.adapters.object_store import open_object_store
from hakoiri.host.adapters.sql.collection_ledger import SqlCollectionLedger
from hakoiri.host.adapters.sql.database import Database, open_database
from hakoiri.host.adapters.sql.point_retention import SqlPointRetention
from hakoiri.host.adapters.sql.recovery_points import SqlRecoveryPoints
from hakoiri.host.adapters.sql.schema import recovery_points, workspaces
from hakoiri.host.adapters.sql.workspace_heads import SqlWorkspaceHeads
from hakoiri.host.files.archive import StoreWithArchive
from hakoiri.host.files.collection import ARCHIVE_PREFIX, CollectionRules
from hakoiri.host.files.collection_ports import CollectableStore, CollectedError, CollectionReport
from hakoiri.host.files.points import DEFAULT_RETENTION
from hakoiri.host.files.ports import LiveTree
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.store_collection import StoreCollection
from hakoiri.host.files.sync import FileSync
from hakoiri.host.settings import ObjectStoreSettings

pytestmark = pytest.mark.anyio

GRACE = timedelta(hours=2)
ROUNDS = 15
MOST_ROUNDS = 300
"""Until something was collected meanwhile, which takes two passes and longer on a slow store."""

NAMES = ("w-a", "w-b", "w-c")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.root)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CollectableStore:
    if request.param == "file":
        return open_object_store((tmp_path / "objects").as_uri())
    server: S3Server = request.getfixturevalue("s3")
    return open_s3(server, server.endpoint, tmp_path)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite:///{tmp_path}/db")
    async with opened.writing() as connection:
        rows = [{"id": name, "tenant": "acme", "generation": 1} for name in NAMES]
        await connection.execute(sa.insert(workspaces), rows)
    yield opened
    await opened.close()


class Leaping:
    """A clock that is hours further at each look, so that all that is stored is old at once."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        self.time += GRACE
        return self.time


class Silent:
    def collected(self, report: CollectionReport) -> None:
        assert report.failures == []
        assert report.missing == report.brought_back == 0

    def failed(self, reason: str) -> None:
        raise AssertionError(reason)


async def test_no_save_loses_anything_and_in_the_end_no_garbage_is_left(
    store: CollectableStore, database: Database, tmp_path: Path
) -> None:
    ledger = SqlCollectionLedger(database)
    sync = FileSync(
        store=StoreWithArchive(store),
        heads=SqlWorkspaceHeads(database),
        limits=ScanLimits(),
        clock=lambda: datetime.now(UTC),
        wall_ns=a_second_later,
    )
    collection = StoreCollection(
        store=store,
        live=SqlRecoveryPoints(database),
        lists=SqlPointRetention(database, retention=DEFAULT_RETENTION),
        ledger=ledger,
        rules=CollectionRules(grace=GRACE, archive_age=None),
        interval_s=None,
        clock=Leaping().now,
        tell=Silent(),
        sleep=lambda _: asyncio.sleep(0),
    )
    trees = {name: make_live_tree(tmp_path / name) for name in NAMES}
    saved = asyncio.Event()
    left = 0

    async def work(name: str) -> None:
        chance = random.Random(name)  # noqa: S311 - any edits will do
        for number in range(MOST_ROUNDS):
            if number >= ROUNDS and left:
                break
            # few contents, so that bytes that went come again, also in another workspace
            for file in ("f", "g"):
                content = b"%d " % chance.randrange(4) * 2000
                (trees[name].workspace / file).write_bytes(content)
            await save(sync, name, trees[name], number)
            await check(sync, name, trees[name], tmp_path / f"{name}-{number}")

    async def forget() -> None:
        """Take all but the newest points off the lists, as their age does."""
        head = workspaces.c.head_recovery_point
        heads = sa.select(head).where(head.is_not(None))
        async with database.writing() as connection:
            await connection.execute(
                sa.delete(recovery_points).where(recovery_points.c.id.not_in(heads))
            )

    async def collect() -> None:
        nonlocal left
        while not saved.is_set():
            await forget()
            left += (await collection.collect()).left.objects

    async with asyncio.TaskGroup() as group:
        collecting = group.create_task(collect())
        await asyncio.gather(*(work(name) for name in NAMES))
        saved.set()
        await collecting
    assert left > 0
    await forget()
    for _ in range(3):
        report = await collection.collect()
    kept = [one async for page in store.pages("tenants/acme") for one in page]
    assert report.live.objects == len(kept) >= len(NAMES)
    for name in NAMES:
        await check(sync, name, trees[name], tmp_path / f"{name}-last")
    archived = [one async for page in store.pages(f"{ARCHIVE_PREFIX}tenants/acme") for one in page]
    assert len(archived) > len(kept)


async def save(sync: FileSync, name: str, tree: LiveTree, number: int) -> None:
    for attempt in range(9):
        try:
            await sync.save(
                tenant="acme",
                workspace_id=name,
                generation=1,
                event_number=number,
                tree=tree,
                session_id=None,
            )
        except CollectedError:  # as a turn's saves are, it is tried again
            assert attempt < 8
        else:
            return


async def check(sync: FileSync, name: str, tree: LiveTree, back: Path) -> None:
    made = make_live_tree(back)
    await sync.restore(tenant="acme", workspace_id=name, tree=made)
    assert describe(made.workspace) == describe(tree.workspace)


@pytest.mark.root
async def test_customer_keys_go_into_the_archive_and_back(s3: S3Server, tmp_path: Path) -> None:
    """A server-side copy of what only a key of ours opens needs that key twice."""
    path = credentials_file(tmp_path)
    key = base64.b64encode(os.urandom(32)).decode()
    path.write_text(path.read_text() + f'customer_key = "{key}"\n')
    settings = ObjectStoreSettings(
        credentials_file=path, endpoint=s3.endpoint, encryption="customer"
    )
    bucket = s3.bucket(f"b-{os.urandom(6).hex()}")
    store = open_object_store(f"s3://{bucket}", settings)
    await store.put("tenants/acme/packs/ab/1", b"bytes")
    await store.archive("tenants/acme/packs/ab/1")
    await store.bring_back("tenants/acme/packs/ab/1")
    assert await store.get("tenants/acme/packs/ab/1", limit_bytes=9) == b"bytes"
