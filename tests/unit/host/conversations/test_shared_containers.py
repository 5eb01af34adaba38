"""A workspace that is live on another server is fetched from there, or left there."""

from collections.abc import Callable

import pytest
from tests.unit.host.conversations.scripted import DIRECTORIES, ScriptedContainers

from hakoiri.host.containers.admission import LinePlace
from hakoiri.host.containers.live import TURN
from hakoiri.host.containers.model import Claim, ContainerDirectories
from hakoiri.host.containers.ports import CapacityError, ClaimConflictError
from hakoiri.host.conversations.shared_containers import SharedContainers
from hakoiri.host.coordination.in_process import InProcessHub
from hakoiri.host.coordination.ports import News, Topic
from hakoiri.wire.policy import DENY_ALL

pytestmark = pytest.mark.anyio


class Place:
    """A workspace that is elsewhere for a number of looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.slept = 0
        self.hub = InProcessHub(is_shared=True)
        self.own = ScriptedContainers()
        self.containers = SharedContainers(
            self.own,
            is_elsewhere=self.is_elsewhere,
            fanout=self.hub.server("a"),
            let_go_if_lost=self.let_go_if_lost,
            sleep=self.sleep,
        )
        self.looked_at: list[str] = []

    async def let_go_if_lost(self, workspace_id: str) -> None:
        self.looked_at.append(workspace_id)

    async def is_elsewhere(self, workspace_id: str) -> bool:
        assert workspace_id == "w-1"
        self.looks -= 1
        return self.looks >= 0

    async def sleep(self, seconds: float) -> None:
        self.slept += 1

    async def claim(
        self,
        *,
        restores: bool = False,
        told: Callable[[LinePlace], None] | None = None,
        resumes: bool = False,
    ) -> Claim:
        async def prepare(directories: ContainerDirectories) -> None:
            assert directories == DIRECTORIES

        return await self.containers.claim(
            workspace_id="w-1",
            tenant="default",
            policy=DENY_ALL,
            prepare=prepare,
            runtime="runc",
            restores=restores,
            told=told,
            resumes=resumes,
        )


async def test_who_waits_is_told_where_and_a_turn_that_resumes_is_known_as_one() -> None:
    place = Place(looks=0)
    place.own.places = [LinePlace(2, 3, "places", 60.0)]
    heard: list[LinePlace] = []
    await place.claim(told=heard.append, resumes=True)
    assert heard == place.own.places
    assert place.own.resumed == [True]


async def test_a_full_line_refuses_here_too() -> None:
    place = Place(looks=0)
    place.own.full = CapacityError("full")
    with pytest.raises(CapacityError):
        place.containers.check_room(workspace_id="w-1", tenant="default")


async def test_how_one_is_retired_is_passed_on() -> None:
    place = Place(looks=0)
    await place.claim()
    await place.containers.retire("w-1", reason="lost", is_replaced=True)
    await place.claim()
    await place.containers.retire("w-1", reason="deleted", for_good=True)
    assert (place.own.replaced, place.own.gone) == (["w-1"], ["w-1"])


async def test_one_that_is_elsewhere_is_asked_for_and_restored_here() -> None:
    place = Place(looks=3)
    async with place.hub.server("b") as other, other.fanout.listen() as news:
        await place.claim()
        assert await anext(news) == News(Topic.HAND_OVER, frozenset({"w-1"}))
    assert place.own.asked == [("runc", True)]
    assert place.slept == 3


async def test_one_that_is_nowhere_is_claimed_as_it_is() -> None:
    place = Place(looks=0)
    await place.claim()
    assert place.own.asked == [("runc", False)]
    assert place.slept == 0


async def test_one_that_is_live_here_asks_nobody() -> None:
    place = Place(looks=0)
    await place.claim()
    looks = place.looks
    await place.claim()
    assert await place.containers.join("w-1", holder="command 1") is not None
    assert place.looks == looks


async def test_one_that_is_in_use_elsewhere_is_not_waited_for_longer_than_bearable() -> None:
    place = Place(looks=10_000)
    with pytest.raises(ClaimConflictError, match="another server"):
        await place.claim()
    assert place.slept == 100
    with pytest.raises(ClaimConflictError):  # nor is its stored tree changed behind its back
        await place.containers.join("w-1", holder="edit 1")
    with pytest.raises(ClaimConflictError):  # nor put back to an earlier point
        async with place.containers.still("w-1"):
            raise AssertionError
    assert place.own.asked == []


async def test_one_that_is_nowhere_else_is_held_still_here() -> None:
    place = Place(looks=0)
    async with place.containers.still("w-1"):
        assert place.looks == -1  # it was looked for


async def test_retiring_what_is_not_here_is_told_to_the_others() -> None:
    place = Place(looks=0)
    async with place.hub.server("b") as other, other.fanout.listen() as news:
        await place.containers.retire("w-1", reason="deleted")
        assert await anext(news) == News(Topic.HAND_OVER, frozenset({"w-1"}))


async def test_the_rest_is_this_servers_own() -> None:
    place = Place(looks=0)
    await place.claim()
    assert place.containers.holders("w-1") == frozenset({"turn"})
    await place.containers.rebind(workspace_id="w-1", tenant="default", policy=DENY_ALL)
    await place.containers.halt("w-1", container_id="k-1")
    await place.containers.release("w-1")
    assert await place.containers.why_lost("k-1") == "out of memory"
    await place.containers.retire("w-1", reason="idle")
    assert place.own.log == ["claim", "rebind w-1", "halt", "release", "retire idle"]


async def test_nobody_is_let_into_a_container_whose_workspace_was_taken_over() -> None:
    place = Place(looks=0)
    await place.claim()
    await place.containers.join("w-1", holder="command 1")
    for holder in (TURN, "command 1"):
        await place.own.release("w-1", holder=holder)
    async with place.containers.still("w-1"):
        assert place.looked_at == ["w-1"] * 3
