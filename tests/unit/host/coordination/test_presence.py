import pytest

from hakoiri.host.coordination.in_process import InProcessHub
from hakoiri.host.coordination.ports import CoordinationAwayError, Lease
from hakoiri.host.coordination.presence import Presence, presence_name

pytestmark = pytest.mark.anyio


async def test_who_lives_holds_the_lease_in_its_name_and_nobody_else_gets_it() -> None:
    hub = InProcessHub(is_shared=True)
    presence = Presence(hub.server("a").leases, mark="abc123")
    assert await presence.show()
    assert await presence.show(), "it is held already"
    assert await hub.server("b").acquire(presence_name("abc123")) is None
    assert await hub.server("b").acquire(presence_name("other1")) is not None


async def test_one_that_was_lost_is_taken_again_once_it_is_free() -> None:
    hub = InProcessHub(is_shared=True)
    own, other = hub.server("a"), hub.server("b")
    presence = Presence(own.leases, mark="abc123")
    assert await presence.show()
    for given in list(own._mine):
        hub.take_back(given)  # as if it had run out
    taken = await other.acquire(presence_name("abc123"))
    assert taken is not None
    assert not await presence.show()
    await taken.release()
    assert await presence.show()
    assert await other.acquire(presence_name("abc123")) is None


async def test_a_service_that_is_away_is_asked_again() -> None:
    class Away:
        def __init__(self) -> None:
            self.is_away = True
            self.own = InProcessHub().server()

        async def acquire(self, name: str) -> Lease | None:
            if self.is_away:
                raise CoordinationAwayError("away")
            return await self.own.acquire(name)

    leases = Away()
    presence = Presence(leases, mark="abc123")
    assert not await presence.show()
    leases.is_away = False
    assert await presence.show()
