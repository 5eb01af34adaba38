"""Old images are taken away at the start and every few hours, and what fails is told."""

from dataclasses import dataclass, field

import pytest
import structlog

from hakoiri.host.containers.image_keeper import EVERY_S, ImageKeeper
from hakoiri.host.containers.testing import MemoryEngine
from hakoiri.wire.guard import CollectedImages

pytestmark = pytest.mark.anyio


class Enough(Exception):  # noqa: N818 - ends the loop
    """The loop ran as often as it should."""


@dataclass
class Told:
    images: int = 0
    failures: int = 0
    slept_s: list[float] = field(default_factory=list)

    def images_removed(self, count: int) -> None:
        self.images += count

    def collecting_failed(self) -> None:
        self.failures += 1

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        if len(self.slept_s) == 2:
            raise Enough


async def test_it_is_done_at_the_start_and_again() -> None:
    told = Told()
    engine = MemoryEngine(old_images=CollectedImages(removed=["hakoiri/workspace:a"]))
    with structlog.testing.capture_logs() as lines, pytest.raises(Enough):
        await ImageKeeper(engine=engine, tell=told, sleep=told.sleep).run()
    assert (told.images, told.failures, told.slept_s) == (2, 0, [EVERY_S] * 2)
    assert [(one["event"], one["image"]) for one in lines] == [
        ("image_removed", "hakoiri/workspace:a")
    ] * 2


async def test_a_failure_is_told_and_the_next_round_comes() -> None:
    told = Told()
    with structlog.testing.capture_logs() as lines, pytest.raises(Enough):
        await ImageKeeper(engine=MemoryEngine(away=True), tell=told, sleep=told.sleep).run()
    assert (told.images, told.failures) == (0, 2)
    assert {one["event"] for one in lines} == {"collecting_failed"}


async def test_an_engine_that_cannot_tell_old_from_new_is_told_of() -> None:
    engine = MemoryEngine(old_images=CollectedImages(trouble="it keeps no marks"))
    told = Told()
    with structlog.testing.capture_logs() as lines:
        await ImageKeeper(engine=engine, tell=told).step()
    assert [(one["event"], one["reason"]) for one in lines] == [
        ("images_not_collected", "it keeps no marks")
    ]
    assert (told.images, told.failures) == (0, 0)
