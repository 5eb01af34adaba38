from typing import cast

import pytest

from hakoiri.host.containers.given_up import GivenUp
from hakoiri.host.containers.ports import EngineError
from hakoiri.host.conversations.lost_servers import LostServers
from hakoiri.host.coordination.presence import Presence
from hakoiri.host.other_servers import SHOW_ATTEMPTS, OtherServers

pytestmark = pytest.mark.anyio


class EndedError(Exception):
    """How a test ends what goes on for ever."""


class Parts:
    """Presence, what was given up and what is lost, as one that notes who is asked."""

    def __init__(self, *, shows_after: int = 0, fails: bool = False) -> None:
        self.asked: list[str] = []
        self.shows_after = shows_after
        self.fails = fails
        self.pauses = 0
        self.others = OtherServers(
            presence=cast("Presence", self),
            given_up=cast("GivenUp", self),
            lost=cast("LostServers", self),
            sleep=self.sleep,
        )

    async def show(self) -> bool:
        self.asked.append("show")
        return len(self.asked) > self.shows_after

    async def step(self) -> int:
        self.asked.append("step")
        if self.fails:
            raise EngineError("away")
        return 0

    async def sleep(self, _: float) -> None:
        self.pauses += 1
        if self.pauses > 100:
            raise EndedError


async def test_it_shows_itself_before_it_looks_at_what_is_its_own_and_then_at_others() -> None:
    parts = Parts()
    await parts.others.step()
    assert parts.asked == ["show", "step", "step"]


async def test_what_fails_in_one_round_is_done_in_the_next() -> None:
    parts = Parts(fails=True)
    await parts.others.step()
    assert parts.asked == ["show", "step"]
    parts.fails = False
    await parts.others.step()
    assert parts.asked[2:] == ["show", "step", "step"]


@pytest.mark.parametrize(("shows_after", "attempts"), [(0, 1), (3, 4), (99, SHOW_ATTEMPTS)])
async def test_a_start_waits_a_while_for_who_takes_its_workspaces_over(
    shows_after: int, attempts: int
) -> None:
    parts = Parts(shows_after=shows_after)
    await parts.others.begin()
    assert parts.asked == ["show"] * attempts


async def test_it_goes_on_round_after_round() -> None:
    parts = Parts(fails=True)
    with pytest.raises(EndedError):
        await parts.others.run(every_s=5)
    assert parts.asked.count("show") == 100
