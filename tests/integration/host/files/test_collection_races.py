"""Saves, forks and the collection, step by step in any order, with crashes between any two steps.

Every call to the store, the heads and the ledger waits for its turn, and hypothesis says whose it
is. After each turn, all that a head names must be in its place.
"""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.host.files.trees import NOON, a_second_later, make_live_tree

from hakoiri.host.files import (
    manifest_store,
    pack_writer,
    restore,
    stored_bytes,
    sync,
    upload,
)
from hakoiri.host.files.collection import ARCHIVE_PREFIX, CollectionRules, Listed
from hakoiri.host.files.collection_ports import CollectionReport
from hakoiri.host.files.memory_ledger import MemoryLedger
from hakoiri.host.files.ports import FilesError, ManifestName, Named, WorkspaceHead
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.store_collection import StoreCollection
from hakoiri.host.files.sync import FileSync
from hakoiri.host.files.testing import MemoryHeads, MemoryObjectStore

pytestmark = pytest.mark.anyio

GRACE = timedelta(seconds=30)
LONGEST_SAVE_S = 25.0
REST_S = 12.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Turnstile:
    """Lets one call by at a time, when it is told to; each takes some time on the clock."""

    def __init__(self) -> None:
        self.time = NOON
        self.waiting: list[asyncio.Future[None]] = []
        self.resting: set[asyncio.Future[None]] = set()
        self.is_open = False

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def go_on(self, chance: random.Random, seconds: float) -> None:
        """Let one of those who wait by."""
        one = self.waiting.pop(chance.randrange(len(self.waiting)))
        seconds = REST_S if one in self.resting else seconds
        self.resting.discard(one)
        self.time += timedelta(seconds=seconds)
        one.set_result(None)

    async def turn(self, *, is_rest: bool = False) -> None:
        """Wait for one's turn; a rest takes long."""
        if self.is_open:
            return
        mine = asyncio.get_running_loop().create_future()
        self.waiting.append(mine)
        if is_rest:
            self.resting.add(mine)
        try:
            await mine
        finally:
            if mine in self.waiting:
                self.waiting.remove(mine)

    async def settle(self) -> None:
        """Return when everybody waits: nothing comes from outside of the loop."""
        loop: Any = asyncio.get_running_loop()
        while loop._ready:  # noqa: ASYNC110 - the loop is what is waited for
            await asyncio.sleep(0)


class Store(MemoryObjectStore):
    def __init__(self, turnstile: Turnstile) -> None:
        super().__init__(turnstile.now)
        self.turn = turnstile.turn

    async def put(self, key: str, data: bytes) -> None:
        await self.turn()
        await super().put(key, data)

    async def get(self, key: str, *, limit_bytes: int) -> bytes:
        await self.turn()
        return await super().get(key, limit_bytes=limit_bytes)

    async def pages(self, prefix: str) -> AsyncIterator[Sequence[Listed]]:
        async for page in super().pages(prefix):
            await self.turn()
            yield page

    async def archive(self, key: str) -> None:
        """Copy and delete are two steps."""
        await self.turn()
        if key not in self.objects:
            return
        await MemoryObjectStore.put(self, ARCHIVE_PREFIX + key, self.objects[key])
        await self.turn()
        del self.objects[key]


class Ledger(MemoryLedger):
    def __init__(self, turnstile: Turnstile) -> None:
        super().__init__()
        self.turn = turnstile.turn

    async def condemn(self, tenant: str, keys: Collection[str], *, at: datetime) -> None:
        await self.turn()
        await super().condemn(tenant, keys, at=at)

    async def condemned(self, tenant: str) -> Mapping[str, datetime]:
        await self.turn()
        return await super().condemned(tenant)

    async def begin_leaving(self, keys: Collection[str], *, at: datetime) -> frozenset[str]:
        await self.turn()
        return await super().begin_leaving(keys, at=at)

    async def end_leaving(self, keys: Collection[str], *, at: datetime) -> None:
        await self.turn()
        await super().end_leaving(keys, at=at)


class Heads(MemoryHeads):
    def __init__(self, turnstile: Turnstile) -> None:
        super().__init__(Ledger(turnstile))
        self.turn = turnstile.turn
        self.named: dict[str, Named] = {}

    async def head(self, workspace_id: str) -> WorkspaceHead | None:
        await self.turn()
        return await super().head(workspace_id)

    async def live_manifests(self, tenant: str) -> frozenset[ManifestName]:
        await self.turn()
        return await super().live_manifests(tenant)

    async def collection_mark(self) -> int:
        await self.turn()
        return await super().collection_mark()

    async def move_head(self, workspace_id: str, head: WorkspaceHead, named: Named) -> None:
        await self.turn()
        await super().move_head(workspace_id, head, named)
        self.named[workspace_id] = named


@dataclass(frozen=True)
class Work:
    """What one workspace does, in order: save a file with that content, or copy a workspace.

    Before each, it rests so many turns.
    """

    saves: list[tuple[int, int, int]]


class Silent:
    def collected(self, report: CollectionReport) -> None:
        """Nobody listens."""

    def failed(self, reason: str) -> None:
        """Nobody listens."""


async def inline(function: Any) -> Any:
    return function()


@contextmanager
def steered() -> Iterator[None]:
    """No threads, and small bounds, so that all ways are gone in few turns."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (manifest_store, pack_writer, restore, stored_bytes, sync, upload):
            patch.setattr(module, "run_in_thread", inline)
        patch.setattr(sync, "LONGEST_SAVE_S", LONGEST_SAVE_S)
        yield


class World:
    def __init__(self, base: Path) -> None:
        self.turnstile = Turnstile()
        self.store = Store(self.turnstile)
        self.heads = Heads(self.turnstile)
        self.base = base
        self.sync = FileSync(
            store=self.store,
            heads=self.heads,
            limits=ScanLimits(),
            clock=self.turnstile.now,
            monotonic=self.turnstile.monotonic,
            wall_ns=a_second_later,
        )
        self.passes = 0

    def collection(self) -> StoreCollection:
        return StoreCollection(
            store=self.store,
            live=self.heads,
            lists=self.heads,
            ledger=self.heads.ledger,
            rules=CollectionRules(grace=GRACE, archive_age=None),
            interval_s=None,
            clock=self.turnstile.now,
            tell=Silent(),
            sleep=lambda _: asyncio.sleep(0),
        )

    async def collect(self) -> None:
        """Pass after pass, from what the ledger says."""
        while True:
            report = CollectionReport(started=self.turnstile.now())
            with suppress(FilesError):
                async with aclosing(self.collection().steps(report)) as steps:
                    async for _ in steps:
                        pass
            self.passes += 1
            await self.turnstile.turn()

    async def work(self, name: str, work: Work) -> None:
        tree = make_live_tree(self.base / name)
        for kind, number, rests in work.saves:
            for _ in range(rests):
                await self.turnstile.turn(is_rest=True)
            try:
                if kind == 0:
                    await self.copy(f"ws{number}", into=name)
                else:
                    (tree.workspace / f"f{kind}").write_bytes(b"content %d" % number)
                    await self.sync.save(
                        tenant="acme",
                        workspace_id=name,
                        generation=1,
                        event_number=number,
                        tree=tree,
                        session_id=None,
                    )
            except FilesError:
                continue  # what could not be saved leaves the head as it was

    async def copy(self, name: str, *, into: str) -> None:
        """As a fork does: what was live a moment ago becomes live in another place."""
        begun = await self.sync.begin()
        found = await self.sync.manifest(tenant="acme", workspace_id=name)
        if found is not None:
            await self.sync.amend(
                tenant="acme",
                workspace_id=into,
                generation=1,
                change=lambda _: found.entries,
                begun=begun,
            )

    def check(self) -> None:
        for name, named in self.heads.named.items():
            assert named.keys <= self.store.objects.keys(), name

    def garbage(self) -> set[str]:
        needed = {key for named in self.heads.named.values() for key in named.keys}
        return {key for key in self.store.objects if key.startswith("tenants/")} - needed


works = st.builds(
    Work,
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 2), st.sampled_from([0, 2, 6])),
        min_size=4,
        max_size=12,
    ),
)


@given(
    st.lists(works, min_size=1, max_size=3),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.02, 0.1]),
    st.sampled_from([0.0, 0.4, 1.5]),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_whatever_comes_first_all_that_a_head_names_is_there(
    all_work: list[Work], seed: int, crashes: float, slowness_s: float
) -> None:
    with tempfile.TemporaryDirectory() as name, steered():
        chance = random.Random(seed)  # noqa: S311 - it picks whose turn it is
        world = World(Path(name))
        turnstile = world.turnstile
        loop = asyncio.get_running_loop()
        workers = [
            loop.create_task(world.work(f"ws{number}", work))
            for number, work in enumerate(all_work)
        ]
        collector = loop.create_task(world.collect())
        try:
            await turnstile.settle()
            while not all(worker.done() for worker in workers):
                if chance.random() < crashes:
                    collector.cancel()
                    await asyncio.wait([collector])
                    collector = loop.create_task(world.collect())
                else:
                    turnstile.go_on(chance, chance.random() * slowness_s)
                await turnstile.settle()
                world.check()
        finally:
            for task in (collector, *workers):
                task.cancel()
            await asyncio.wait([collector, *workers])
        for worker in workers:
            worker.result()
        turnstile.is_open = True
        for _ in range(3):
            turnstile.time += 2 * GRACE
            await world.collection().collect()
            world.check()
        assert world.garbage() == set()
