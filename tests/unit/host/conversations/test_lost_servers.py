"""When a server counts as gone, and what is done then; with real stores: tests/integration."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest

from hakoiri.host.containers.ports import ClaimRecord
from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.lost_servers import LostServers
from hakoiri.host.conversations.testing import MemoryConversations
from hakoiri.host.coordination.in_process import InProcessCoordination, InProcessHub
from hakoiri.host.coordination.ports import CoordinationAwayError
from hakoiri.host.coordination.presence import presence_name
from hakoiri.wire.events import ConversationEvent, Notice

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LIMIT_S = 300.0


class Shared(InProcessCoordination):
    """A service that may be away, or not know yet who lives."""

    is_away = False
    why_away: str | None = None

    def failure(self) -> str | None:
        return self.why_away

    async def acquire(self, name: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
        if self.is_away:
            raise CoordinationAwayError("away")
        return await super().acquire(name)


class World:
    def __init__(self) -> None:
        self.hub = InProcessHub(is_shared=True)
        self.own = Shared(self.hub, "b", limit=9)
        self.dead = self.hub.server("a")
        self.now_s = 0.0
        self.claims = {
            "aaaaaa": [
                ClaimRecord("caaaaaa0", "w-0", 1, NOW),
                ClaimRecord("caaaaaa1", "w-1", 4, NOW),
            ]
        }
        self.given_up: list[str] = []
        self.gone_already: set[str] = set()
        self.taken_up = 0
        self.published: list[ConversationEvent] = []
        self.lost = LostServers(
            coordination=self.own,
            claims=self,
            take_over=self,
            feed=EventFeed(store=MemoryConversations(), recorded=self.published.extend),
            take_up_turns=self.take_up,
            limit_s=LIMIT_S,
            clock=lambda: self.now_s,
            now=lambda: NOW,
        )

    async def others(self) -> Mapping[str, Sequence[ClaimRecord]]:
        return self.claims

    async def give_up(
        self, record: ClaimRecord, *, notice: Notice, now: datetime
    ) -> Sequence[ConversationEvent] | None:
        assert now == NOW
        assert await self.dead.acquire(presence_name("aaaaaa")) is None, "it could not come back"
        if record.workspace_id in self.gone_already:
            return None
        self.given_up.append(record.workspace_id)
        if record.workspace_id == "w-1":
            return []
        return [
            ConversationEvent.of(number=7, time=now, conversation_id="c-0", turn=2, data=notice)
        ]

    async def take_up(self) -> None:
        self.taken_up += 1

    async def step(self, now_s: float) -> int:
        self.now_s = now_s
        return await self.lost.step()


async def test_who_is_silent_for_long_enough_loses_its_workspaces_at_once() -> None:
    world = World()
    assert await world.step(0) == 0
    assert await world.step(LIMIT_S - 0.1) == 0
    assert (world.given_up, world.taken_up) == ([], 0)
    assert await world.step(LIMIT_S) == 2
    assert world.given_up == ["w-0", "w-1"]
    assert world.taken_up == 1
    assert [event.data["code"] for event in world.published] == ["workspace-taken-over"]
    assert await world.dead.acquire(presence_name("aaaaaa")) is not None, "it may come back now"


async def test_who_lives_keeps_them_for_ever() -> None:
    world = World()
    await world.dead.acquire(presence_name("aaaaaa"))
    for now_s in range(0, 9 * int(LIMIT_S), 100):
        assert await world.step(now_s) == 0
    assert world.given_up == []


async def test_a_short_silence_counts_for_nothing_later() -> None:
    world = World()
    await world.step(0)
    lease = await world.dead.acquire(presence_name("aaaaaa"))
    await world.step(LIMIT_S / 2)
    assert lease is not None
    await lease.release()
    assert await world.step(LIMIT_S) == 0
    assert await world.step(2 * LIMIT_S) == 2


@pytest.mark.parametrize("how", ["away", "answers not", "forgot"])
async def test_nobody_is_gone_because_the_service_is(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease that was given on our own word, or by a service that forgot, proves nothing."""
    world = World()
    await world.step(0)
    world.own.is_away = how == "away"
    world.own.why_away = "no answer" if how == "answers not" else None
    with monkeypatch.context() as patched:
        if how == "forgot":
            patched.setattr("hakoiri.host.coordination.in_process.InProcessLease.is_sole", False)
        assert await world.step(LIMIT_S) == 0
    world.own.is_away, world.own.why_away = False, None
    assert await world.step(LIMIT_S + 1) == 0, "the silence begins anew"
    assert await world.step(2 * LIMIT_S + 1) == 2


async def test_what_another_took_over_before_is_not_told_again() -> None:
    world = World()
    world.gone_already = {"w-0", "w-1"}
    await world.step(0)
    assert await world.step(LIMIT_S) == 0
    assert (world.published, world.taken_up) == ([], 0)


async def test_a_server_without_claims_is_forgotten() -> None:
    world = World()
    await world.step(0)
    claims, world.claims = world.claims, {}
    await world.step(LIMIT_S)
    world.claims = claims
    assert await world.step(LIMIT_S + 1) == 0
