"""A server that never comes back, and one that does: on a real database, with and without Redis."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from tests.integration.host.coordination.arenas import Arena, until
from tests.integration.host.coordination.servers import Server, database, server
from tests.integration.sql.points import NOTHING
from tests.unit.host.conversations.scripted import NOW, Step, types

from hakoiri.host.adapters.sql.claim_store import SqlClaimStore
from hakoiri.host.adapters.sql.claim_take_over import SqlClaimTakeOver
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.workspace_heads import SqlWorkspaceHeads
from hakoiri.host.containers.model import mark, new_container_id
from hakoiri.host.containers.shared_claims import SharedClaims
from hakoiri.host.conversations.lost_servers import LostServers
from hakoiri.host.conversations.ports import NoTurnRunningError
from hakoiri.host.coordination.presence import Presence
from hakoiri.host.files.ports import StaleGenerationError, WorkspaceHead
from hakoiri.wire.events import Result, TextDelta

pytestmark = pytest.mark.anyio

LIMIT_S = 300.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hakoiri.db"


class Claims:
    """What servers claim in the database, and one that looks after the lost ones."""

    def __init__(self, opened: Database, looking: Server, name: str) -> None:
        self.of_all = SqlClaimStore(opened, clock=lambda: NOW)
        self.heads = SqlWorkspaceHeads(opened)
        self.now_s = 0.0
        self.lost = LostServers(
            coordination=looking.coordination,
            claims=SharedClaims(self.of_all, instance=name),
            take_over=SqlClaimTakeOver(opened),
            feed=looking.feed,
            take_up_turns=looking.service.take_up_unfinished,
            limit_s=LIMIT_S,
            clock=lambda: self.now_s,
            now=lambda: NOW,
        )

    async def claim(self, server_name: str, workspace_id: str = "w-1") -> tuple[str, int]:
        container_id = new_container_id(server_name)
        generation = await self.of_all.claim(container_id=container_id, workspace_id=workspace_id)
        return container_id, generation

    async def claimed(self) -> list[str]:
        return [record.container_id for record in await self.of_all.claimed()]


@asynccontextmanager
async def claims(path: Path, looking: Server, name: str) -> AsyncIterator[Claims]:
    async with database(path) as opened:
        yield Claims(opened, looking, name)


async def shows(one: Server, name: str) -> Presence:
    presence = Presence(one.coordination.leases, mark=mark(name))
    assert await presence.show()
    return presence


async def test_a_turn_of_a_server_that_never_comes_back_is_taken_over_and_told(
    arena: Arena, path: Path
) -> None:
    async with server(arena, path, "b", generation=3) as b, claims(path, b, "b") as claimed:
        async with server(arena, path, "a", [anyio.Event()], leaves=True) as a:
            await shows(a, "a")
            conversation = await a.conversation()
            _, generation = await claimed.claim("a")
            first = await a.begin(conversation)
            await until(lambda: bool(a.agent.requests))
            assert await claimed.lost.step() == 0
        claimed.now_s = 2 * LIMIT_S
        assert await claimed.lost.step() == 0, "its lease has not run out"
        await arena.run_out()
        assert await claimed.lost.step() == 0, "it may be silent for a while"
        claimed.now_s += LIMIT_S
        assert await claimed.lost.step() == 1
        events = await b.rest_of_turn(first)
        assert types(events) == [
            "user_message",
            "turn_started",
            "notice",  # workspace-taken-over
            "notice",  # turn-taken-up
            "container_recovered",
            "text_delta",
            "file_synced",
            "result",
        ]
        recovered = events[4].data
        assert recovered["generation"] == 3
        assert recovered["reason"] == "its server is gone"
        assert recovered["lost_paths"] == [
            "all that changed since the last recovery point (its server is gone)"
        ]
        assert [request.is_taken_up for request in b.agent.requests] == [True]
        # Back at last, it may neither save nor adopt, nor write into the log.
        with pytest.raises(StaleGenerationError):
            await claimed.heads.move_head("w-1", WorkspaceHead("p-late", generation, 2), NOTHING)
        with pytest.raises(NoTurnRunningError):
            await b.store.append(
                conversation_id=conversation.id,
                turn=1,
                events=[Result(text="late")],
                now=NOW,
                follows=2,
            )
        assert await claimed.claimed() == []
        assert (await claimed.claim("b"))[1] == 3


async def test_a_server_that_lives_unseen_loses_its_turn_and_writes_nothing_more(
    arena: Arena, path: Path
) -> None:
    """Cut off from the others alone: its turn runs on, and the database keeps it out."""
    go_on = anyio.Event()
    script: Sequence[Step] = [(1, TextDelta(text="mine")), go_on, (2, Result(text="late"))]
    async with server(arena, path, "b", generation=3) as b, claims(path, b, "b") as claimed:
        async with server(arena, path, "a", script) as a:
            await shows(a, "a")
            conversation = await a.conversation()
            await claimed.claim("a")
            first = await a.begin(conversation)

            async def has_spoken() -> bool:
                return len(await a.log(conversation)) >= 3

            await until(has_spoken)
            for given in list(getattr(a.coordination, "_mine", ())):
                given.until_s = 0.0
            await arena.run_out()
            assert await claimed.lost.step() == 0
            claimed.now_s += LIMIT_S
            assert await claimed.lost.step() == 1
            events = await b.rest_of_turn(first)
            go_on.set()
            await until(lambda: not a.service._running)
        assert await b.log(conversation) == events
        assert [event.type for event in events].count("result") == 1
        assert events[-1].data["text"] != "late"


async def test_of_several_that_look_one_takes_over(arena: Arena, path: Path) -> None:
    async with (
        server(arena, path, "b", generation=3) as b,
        server(arena, path, "c", generation=3) as c,
        claims(path, b, "b") as of_b,
        claims(path, c, "c") as of_c,
    ):
        async with server(arena, path, "a") as a:
            conversation = await a.conversation()
            await of_b.claim("a")
        await arena.run_out()
        taken: list[int] = []

        async def look(one: Claims) -> None:
            """Until one has it: who finds the other looking takes that for a sign of life."""
            while await one.claimed():
                taken.append(await one.lost.step())
                one.now_s += LIMIT_S

        async with anyio.create_task_group() as group:
            group.start_soon(look, of_b)
            group.start_soon(look, of_c)
        assert sum(taken) == 1
        assert types(await b.log(conversation)) == ["notice"]
        assert await of_b.claimed() == []


async def test_a_server_that_comes_back_in_time_keeps_all(arena: Arena, path: Path) -> None:
    async with server(arena, path, "b") as b, claims(path, b, "b") as claimed:
        async with server(arena, path, "a") as a:
            await shows(a, "a")
            await a.conversation()
            container_id, _ = await claimed.claim("a")
        await arena.run_out()
        assert await claimed.lost.step() == 0
        async with server(arena, path, "a") as again:
            await shows(again, "a")
            for _ in range(3):
                claimed.now_s += LIMIT_S
                assert await claimed.lost.step() == 0
        assert await claimed.claimed() == [container_id]
