"""The ledger of the store's collection: the same promises in SQL and in memory."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.sql.conftest import conversation

from hakoiri.host.adapters.sql import collection_ledger
from hakoiri.host.adapters.sql.collection_ledger import SqlCollectionLedger
from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import open_database
from hakoiri.host.adapters.sql.recovery_points import SqlRecoveryPoints
from hakoiri.host.adapters.sql.workspace_heads import SqlWorkspaceHeads
from hakoiri.host.files.collection_ports import (
    CollectedError,
    CollectionLedger,
)
from hakoiri.host.files.ports import (
    LiveManifests,
    ManifestName,
    Named,
    WorkspaceHead,
    WorkspaceHeads,
)
from hakoiri.host.files.testing import MemoryHeads

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
HEAD = WorkspaceHead("rp-1", 1, 1)


class Kept:
    """A ledger with the heads that are moved beside it."""

    def __init__(
        self, ledger: CollectionLedger, heads: WorkspaceHeads, live: LiveManifests
    ) -> None:
        self.ledger = ledger
        self.heads = heads
        self.live = live

    async def commit(self, *keys: str, written: tuple[str, ...] = (), mark: int = 0) -> None:
        named = Named(frozenset(keys), frozenset(written), mark)
        await self.heads.move_head("w-a", HEAD, named)

    async def remove(self, *keys: str) -> None:
        await self.ledger.condemn("acme", keys, at=NOON)
        await self.ledger.begin_leaving(keys, at=NOON)
        await self.ledger.end_leaving(keys, at=NOON)


@pytest.fixture
async def kept(url_unless_memory: str | None) -> AsyncIterator[Kept]:
    if url_unless_memory is None:
        heads = MemoryHeads()
        yield Kept(heads.ledger, heads, heads)
        return
    database = await open_database(url_unless_memory)
    await SqlConversationStore(database).create(conversation("a"))
    ledger = SqlCollectionLedger(database)
    yield Kept(ledger, SqlWorkspaceHeads(database), SqlRecoveryPoints(database))
    await database.close()


async def test_a_head_rescues_what_is_condemned(kept: Kept) -> None:
    await kept.ledger.condemn("acme", ["a", "b"], at=NOON)
    await kept.ledger.condemn("acme", ["a"], at=LATER)
    assert await kept.ledger.condemned("acme") == {"a": NOON, "b": NOON}
    assert await kept.ledger.condemned("other") == {}
    await kept.commit("a", "c")
    assert await kept.ledger.condemned("acme") == {"b": NOON}
    assert await kept.ledger.begin_leaving(["a", "b", "c"], at=LATER) == {"b"}
    assert await kept.ledger.leaving() == ["b"]


async def test_a_head_cannot_name_what_leaves_and_nothing_is_changed(kept: Kept) -> None:
    await kept.ledger.condemn("acme", ["a", "b"], at=NOON)
    await kept.ledger.begin_leaving(["a"], at=NOON)
    with pytest.raises(CollectedError) as caught:
        await kept.commit("a", "b", written=("a", "b"), mark=99)
    assert caught.value.keys == {"a"}
    assert await kept.heads.head("w-a") is None
    assert await kept.ledger.condemned("acme") == {"b": NOON}


async def test_what_is_gone_can_be_named_by_who_wrote_it_since(kept: Kept) -> None:
    before = await kept.heads.collection_mark()
    await kept.remove("a")
    since = await kept.heads.collection_mark()
    assert since > before
    for written, mark in (((), since), (("a",), before), (("b",), since)):
        with pytest.raises(CollectedError):
            await kept.commit("a", "b", written=written, mark=mark)
    await kept.commit("a", "b", written=("a", "b"), mark=since)
    await kept.commit("a", "b")


async def test_removals_are_counted_for_ever(kept: Kept) -> None:
    """A number that came again would let a save pass that began before the removal ended."""
    await kept.remove("a")
    mark = await kept.heads.collection_mark()
    await kept.commit("a", written=("a",), mark=mark)
    await kept.remove("b")
    await kept.ledger.forget_gone(before=LATER)
    await kept.remove("a")
    assert await kept.heads.collection_mark() == mark + 2
    with pytest.raises(CollectedError):
        await kept.commit("a", written=("a",), mark=mark)


async def test_who_leaves_is_not_condemned_or_absolved_or_forgotten(kept: Kept) -> None:
    await kept.ledger.condemn("acme", ["a", "b"], at=NOON)
    await kept.ledger.begin_leaving(["a"], at=NOON)
    await kept.ledger.condemn("acme", ["a"], at=LATER)
    await kept.ledger.absolve("acme", ["a"])
    await kept.ledger.absolve("other", ["b"])
    await kept.ledger.forget_gone(before=LATER)
    assert await kept.ledger.leaving() == ["a"]
    assert await kept.ledger.condemned("acme") == {"b": NOON}
    await kept.ledger.absolve("acme", ["b"])
    assert await kept.ledger.condemned("acme") == {}


async def test_what_is_gone_and_there_again_can_be_condemned_again(kept: Kept) -> None:
    await kept.remove("a")
    await kept.ledger.condemn("acme", ["a"], at=LATER)
    assert await kept.ledger.condemned("acme") == {"a": LATER}
    await kept.commit("a")


async def test_who_was_gone_long_ago_is_forgotten(kept: Kept) -> None:
    await kept.remove("a")
    await kept.ledger.forget_gone(before=NOON)
    with pytest.raises(CollectedError):
        await kept.commit("a")
    await kept.ledger.forget_gone(before=LATER)
    await kept.commit("a")


async def test_heads_are_live(kept: Kept) -> None:
    tenant = "acme"
    if isinstance(kept.heads, MemoryHeads):
        kept.heads.tenants["w-a"] = tenant
    else:
        tenant = conversation("a").tenant
    assert await kept.live.live_manifests(tenant) == frozenset()
    await kept.commit("a")
    assert await kept.live.live_manifests(tenant) == {ManifestName("w-a", "rp-1")}
    assert await kept.live.live_manifests("other") == frozenset()


async def test_thousands_of_keys_are_looked_up_in_chunks(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_ledger, "CHUNK", 3)
    keys = [f"k{number}" for number in range(10)]
    await kept.ledger.condemn("acme", keys, at=NOON)
    await kept.ledger.begin_leaving(["k9"], at=NOON)
    with pytest.raises(CollectedError):
        await kept.commit(*keys)
    await kept.commit(*keys[:9])
    assert await kept.ledger.condemned("acme") == {}
