from dataclasses import dataclass

import pytest

from hakoiri.host.conversations import turn_leases
from hakoiri.host.conversations.ports import TurnRunningError
from hakoiri.host.conversations.turn_leases import TurnLeases, check_held, check_left_behind
from hakoiri.host.coordination.in_process import InProcessHub
from hakoiri.host.coordination.ports import CoordinationAwayError, UnsettledError

pytestmark = pytest.mark.anyio


@dataclass
class AnyLease:
    name: str = "x"
    token: int = 1
    is_held: bool = True
    is_sole: bool = True

    async def release(self) -> None:
        self.is_held = False


class OneLease:
    """Gives the same lease always, or fails."""

    def __init__(self, lease: AnyLease, failure: Exception | None = None) -> None:
        self.lease = lease
        self.failure = failure

    async def acquire(self, name: str) -> AnyLease:
        if self.failure is not None:
            raise self.failure
        return self.lease


async def no_turn() -> bool:
    return False


async def a_turn() -> bool:
    return True


async def test_a_turn_keeps_its_lease_until_it_gives_it_back() -> None:
    hub = InProcessHub()
    leases, others = TurnLeases(hub.server("a")), hub.server("b")
    async with leases.beginning("c-1", is_running=no_turn):
        pass
    assert await others.acquire("turn:c-1") is None
    await leases.give_back("c-1")
    assert await others.acquire("turn:c-1") is not None


async def test_a_turn_that_does_not_begin_leaves_no_lease_behind() -> None:
    hub = InProcessHub()
    leases, others = TurnLeases(hub.server("a")), hub.server("b")
    with pytest.raises(ValueError, match="not begun"):
        async with leases.beginning("c-1", is_running=no_turn):
            raise ValueError("not begun")
    assert await others.acquire("turn:c-1") is not None


async def test_a_turn_that_follows_at_once_goes_on_with_the_lease_of_the_last() -> None:
    hub = InProcessHub()
    leases, others = TurnLeases(hub.server("a")), hub.server("b")
    async with leases.beginning("c-1", is_running=no_turn) as first:
        pass
    async with leases.beginning("c-1", is_running=no_turn) as second:
        pass
    await leases.give_back("c-1")  # the first one's end
    assert second is first
    assert second.is_held
    assert await others.acquire("turn:c-1") is None
    await leases.give_back("c-1")
    assert not second.is_held


async def test_another_servers_turn_is_running() -> None:
    hub = InProcessHub()
    assert await hub.server("b").acquire("turn:c-1") is not None
    with pytest.raises(TurnRunningError):
        async with TurnLeases(hub.server("a")).beginning("c-1", is_running=a_turn):
            raise AssertionError


async def test_a_lease_that_is_given_back_just_now_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turn_leases, "ATTEMPT_PAUSE_S", 0)
    hub = InProcessHub()
    theirs = await hub.server("b").acquire("turn:c-1")
    assert theirs is not None

    async def ends_now() -> bool:
        await theirs.release()
        return False

    async with TurnLeases(hub.server("a")).beginning("c-1", is_running=ends_now) as lease:
        assert lease.is_held


async def test_one_that_is_never_given_back_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turn_leases, "ATTEMPT_PAUSE_S", 0)
    hub = InProcessHub()
    assert await hub.server("b").acquire("turn:c-1") is not None
    with pytest.raises(TurnRunningError):
        async with TurnLeases(hub.server("a")).beginning("c-1", is_running=no_turn):
            raise AssertionError


async def test_no_turn_builds_on_a_lease_that_ran_out() -> None:
    lease = AnyLease()
    leases = TurnLeases(OneLease(lease))
    async with leases.beginning("c-1", is_running=no_turn):
        pass
    lease.is_held = False
    with pytest.raises(CoordinationAwayError, match="has run out"):
        async with leases.beginning("c-1", is_running=no_turn):
            raise AssertionError
    await leases.give_back("c-1")


async def test_a_service_that_is_away_is_told() -> None:
    leases = TurnLeases(OneLease(AnyLease(), CoordinationAwayError("away")))
    with pytest.raises(CoordinationAwayError):
        async with leases.beginning("c-1", is_running=no_turn):
            raise AssertionError


@pytest.mark.parametrize(
    "lease", [AnyLease(is_held=False), AnyLease(is_sole=False)], ids=["ran out", "not settled"]
)
def test_a_turn_that_may_run_elsewhere_is_not_taken_for_left_behind(lease: AnyLease) -> None:
    with pytest.raises(UnsettledError):
        check_left_behind(lease)


def test_no_turn_begins_on_a_lease_that_ran_out_meanwhile() -> None:
    check_held(AnyLease(is_sole=False))
    with pytest.raises(CoordinationAwayError, match="ran out"):
        check_held(AnyLease(is_held=False))


def test_a_turn_that_can_be_nobodys_is_left_behind() -> None:
    check_left_behind(AnyLease())
