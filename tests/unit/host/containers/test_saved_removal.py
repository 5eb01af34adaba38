"""Containers that go: what runs in them stops, what they hold is saved, then they are removed."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.unit.host.containers.fleet import FOR_EVER, Fleet, container_id_of

from hakoiri.host.containers.gc import GcLimits
from hakoiri.host.containers.live import Live
from hakoiri.host.containers.model import Claim, ContainerDirectories, ContainerState
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import (
    EngineAwayError,
    FilesUnsavedError,
    PolicyRefusedError,
)
from hakoiri.host.containers.saved_removal import Outcome
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import DENY_ALL, Policy

pytestmark = pytest.mark.anyio

OLD = GcLimits(idle_timeout_s=1e9, lifetime_s=100, pause_after_s=None, stray_grace_s=1e9)


@dataclass
class Box:
    """One workspace whose last turn left a process behind that writes whenever it can."""

    fleet: Fleet
    limits: GcLimits = FOR_EVER

    def __post_init__(self) -> None:
        self.orchestrator: Orchestrator = self.fleet.orchestrator(limits=self.limits)
        self.saved_with: list[bool] = []
        """Of each save, whether the process had to hold still."""

        self.fleet.meanwhile = self.note

    async def note(self) -> None:
        self.saved_with.append(not self.runs())

    def runs(self) -> bool:
        engine = self.fleet.engine
        return bool(engine.running - engine.frozen)

    async def claim(self, *, runtime: Runtime = "runc", policy: Policy = DENY_ALL) -> Claim:
        return await self.orchestrator.claim(
            workspace_id="w1",
            tenant="default",
            policy=policy,
            prepare=self.prepare,
            runtime=runtime,
            restores=False,
        )

    async def prepare(self, _: ContainerDirectories) -> None:
        return

    async def idle(self) -> Claim:
        made = await self.claim()
        await self.orchestrator.release("w1", is_saved=True)
        return made

    def live(self) -> Live:
        live = self.orchestrator.live_in("w1")
        assert live is not None
        return live


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(Fleet(tmp_path / "live"))


async def retire(box: Box) -> Outcome:
    return await box.orchestrator.retire_if_idle("w1", "idle")


async def test_one_that_counts_as_saved_is_saved_all_the_same_while_it_holds_still(
    box: Box,
) -> None:
    await box.idle()
    assert await retire(box) is Outcome.REMOVED
    assert box.saved_with == [True]
    assert box.fleet.is_empty()


async def test_nothing_runs_between_the_save_and_the_kill_that_could_be_heard_of(
    box: Box,
) -> None:
    await box.idle()
    calls: list[str] = []
    engine, proxy = box.fleet.engine, box.fleet.proxy
    thaws, stops, closes = engine.unpause, engine.stop, proxy.close_socket

    async def unpause(engine_id: str) -> None:
        calls.append("thaw")
        await thaws(engine_id)

    async def stop(engine_id: str, *, grace_s: float) -> None:
        calls.append(f"stop in {grace_s:g} s")
        await stops(engine_id, grace_s=grace_s)

    async def close_socket(container_id: str) -> None:
        calls.append("close its way out")
        await closes(container_id)

    engine.unpause, engine.stop = unpause, stop  # type: ignore[method-assign]
    proxy.close_socket = close_socket  # type: ignore[method-assign]
    await retire(box)
    assert calls[:3] == ["close its way out", "thaw", "stop in 0 s"]


async def test_one_that_cannot_be_saved_stays_frozen_and_the_next_message_finds_it(
    box: Box,
) -> None:
    made = await box.idle()
    box.fleet.can_save = False
    assert await retire(box) is Outcome.UNSAVED
    assert box.live().is_unsaved
    assert not box.runs()
    assert (await box.claim()).container_id == made.container_id
    assert box.runs()


async def test_one_that_cannot_be_frozen_is_ended_before_it_is_saved(box: Box) -> None:
    await box.idle()
    box.fleet.engine.fail = {"pause"}
    assert await retire(box) is Outcome.REMOVED
    assert box.saved_with == [True]
    assert box.fleet.is_empty()


async def test_one_of_which_nobody_knows_whether_it_runs_is_neither_saved_nor_removed(
    box: Box,
) -> None:
    await box.idle()
    box.fleet.engine.away = True
    with pytest.raises(EngineAwayError):
        await retire(box)
    box.fleet.engine.away = False
    assert box.saved_with == []
    assert await retire(box) is Outcome.REMOVED


@pytest.mark.parametrize("has_ended", [True, False])
async def test_a_message_that_comes_during_the_save_keeps_it(
    box: Box,
    has_ended: bool,  # noqa: FBT001 - parametrized
) -> None:
    made = await box.idle()

    async def message() -> None:
        assert (await box.claim()).container_id == made.container_id
        if has_ended:
            await box.orchestrator.release("w1", is_saved=True)

    box.fleet.meanwhile = message
    assert await retire(box) is Outcome.USED
    assert box.live().container.container_id == made.container_id
    assert box.runs()
    assert not box.live().is_unsaved, "its own save counts"


async def test_one_that_was_ended_by_others_during_the_save_is_saved_again_first(
    box: Box,
) -> None:
    made = await box.idle()

    async def set_aside() -> None:
        await box.orchestrator.set_aside("w1", container_id=made.container_id)

    box.fleet.meanwhile = set_aside
    assert await retire(box) is Outcome.USED
    assert box.live().is_unsaved


async def test_one_whose_place_is_needed_is_saved_first(box: Box) -> None:
    await box.idle()
    box.fleet.can_save = False
    assert not await box.orchestrator.give_way("w1")
    box.fleet.can_save = True
    assert await box.orchestrator.give_way("w1")
    assert box.saved_with == [True, True]


async def test_one_of_another_runtime_is_saved_before_it_is_replaced(box: Box) -> None:
    await box.idle()
    again = await box.claim(runtime="runsc")
    assert (again.generation, box.saved_with) == (2, [True])


async def test_one_of_another_runtime_that_cannot_be_saved_serves_on(box: Box) -> None:
    made = await box.idle()
    box.fleet.can_save = False
    assert (await box.claim(runtime="runsc")).container_id == made.container_id
    assert box.runs()


async def test_one_that_is_too_old_is_replaced_by_the_message_that_finds_it(
    tmp_path: Path,
) -> None:
    box = Box(Fleet(tmp_path / "live"), limits=OLD)
    made = await box.idle()
    box.fleet.now_s = 99
    assert (await box.claim()).container_id == made.container_id
    await box.orchestrator.release("w1", is_saved=True)
    box.fleet.now_s = 100
    assert (await box.claim()).generation == 2
    assert box.saved_with == [True]


async def test_one_that_is_too_old_is_left_to_those_who_use_it(tmp_path: Path) -> None:
    box = Box(Fleet(tmp_path / "live"), limits=OLD)
    made = await box.idle()
    await box.orchestrator.join("w1", holder="command 1")
    box.fleet.now_s = 1000
    assert (await box.claim()).container_id == made.container_id


async def test_one_that_died_between_two_turns_is_saved_before_it_is_replaced(box: Box) -> None:
    await box.idle()
    box.fleet.engine.running.clear()
    box.live().container.agent = None
    assert (await box.claim()).generation == 2
    assert box.saved_with == [True]


async def test_one_that_died_and_cannot_be_saved_is_not_replaced(box: Box) -> None:
    await box.idle()
    box.live().container.agent = None
    box.fleet.can_save = False
    with pytest.raises(FilesUnsavedError):
        await box.claim()
    assert box.live().container.directories.workspace.exists()


async def test_one_that_died_with_its_engine_is_replaced_as_soon_as_that_is_back(
    box: Box,
) -> None:
    await box.idle()
    box.fleet.engine.running.clear()
    box.live().container.agent = None
    pauses, looks = box.fleet.engine.pause, 0

    async def pause(engine_id: str) -> None:
        nonlocal looks
        looks += 1
        if looks < 3:
            raise EngineAwayError("the engine is away")
        await pauses(engine_id)

    box.fleet.engine.pause = pause  # type: ignore[method-assign]
    assert (await box.claim()).generation == 2
    assert box.saved_with == [True]


async def test_one_that_was_ended_for_a_lie_is_saved_before_it_is_replaced(box: Box) -> None:
    made = await box.claim()
    await box.orchestrator.halt("w1", container_id=made.container_id)
    await box.orchestrator.release("w1")
    assert (await box.claim()).generation == 2
    assert box.saved_with == [True]


async def test_a_turn_that_never_began_takes_no_file_of_an_earlier_one_with_it(box: Box) -> None:
    await box.idle()
    box.fleet.proxy.refuse = lambda _: True
    with pytest.raises(PolicyRefusedError):
        await box.claim()
    await box.orchestrator.withdraw("w1", reason="policy-refused")
    assert box.orchestrator.live_in("w1") is None
    assert box.saved_with == [True]


async def test_what_a_turn_that_never_began_leaves_unsaved_is_the_collectors(box: Box) -> None:
    await box.idle()
    await box.claim()
    box.fleet.can_save = False
    await box.orchestrator.withdraw("w1", reason="test")
    assert box.live().is_unsaved
    assert box.live().idle_since_s is not None
    assert not box.runs()


async def test_a_new_one_that_a_turn_never_came_to_use_holds_nothing(box: Box) -> None:
    await box.claim()
    await box.orchestrator.withdraw("w1", reason="test")
    assert box.fleet.is_empty()
    assert box.saved_with == []


async def test_at_the_end_of_the_server_one_in_use_is_saved_while_it_holds_still(
    box: Box,
) -> None:
    made = await box.claim()
    going = box.orchestrator.saved_removal
    assert await going.save_at_end("w1", container_id=made.container_id)
    assert box.saved_with == [True]
    assert box.live().container.state is ContainerState.PAUSED
    assert not box.live().holders
    assert await going.save_at_end("w1", container_id="another")
    box.fleet.can_save = False
    assert not await going.save_at_end("w1", container_id=container_id_of(box.orchestrator, "w1"))
    assert box.live().is_unsaved
