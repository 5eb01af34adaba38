"""The collector's steps over a whole containers room in memory."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from anyio import wait_all_tasks_blocked
from tests.unit.host.containers.fleet import Fleet

from hakoiri.host.containers.collector import AT_ONCE, LOOK_EVERY_STEPS, Collector
from hakoiri.host.containers.gc import GcLimits
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.model import Claim, ContainerDirectories, new_container_id
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import EngineContainer, FilesUnsavedError
from hakoiri.host.containers.testing import MemoryChats
from hakoiri.wire.keeping import Keeping
from hakoiri.wire.policy import DENY_ALL, Policy

pytestmark = pytest.mark.anyio

LIMITS = GcLimits(idle_timeout_s=30, lifetime_s=1000, pause_after_s=10, stray_grace_s=60)


@dataclass
class World:
    fleet: Fleet
    chats: MemoryChats = field(default_factory=MemoryChats)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lifecycle: Lifecycle = self.fleet.lifecycle()
        self.orchestrator: Orchestrator = self.fleet.orchestrator(lifecycle=self.lifecycle)
        self.collector = Collector(
            orchestrator=self.orchestrator,
            lifecycle=self.lifecycle,
            chats=self.chats,
            tell=self,
            limits=LIMITS,
            clock=lambda: self.fleet.now_s,
        )

    def removed(self, reason: str) -> None:
        self.told.append(reason)

    def kept_unsaved(self) -> None:
        self.told.append("kept")

    def collecting_failed(self) -> None:
        self.told.append("failed")

    async def claim(self, workspace: str, *, tenant: str = "default") -> Claim:
        return await self.orchestrator.claim(
            workspace_id=workspace,
            tenant=tenant,
            policy=DENY_ALL,
            prepare=nothing,
            runtime="runc",
            restores=True,
        )

    async def step(self, now_s: float, *, looks: bool = True) -> None:
        """Do one step, and all that it begins."""
        self.fleet.now_s = now_s
        async with asyncio.TaskGroup() as group:
            self.collector.step(group, looks=looks)


async def nothing(_: ContainerDirectories) -> None:
    return


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(Fleet(tmp_path / "live", limit=3))


async def test_only_idle_containers_are_collected_and_a_new_turn_saves_one(world: World) -> None:
    for workspace in ("w1", "w2", "w3"):
        await world.claim(workspace)
    await world.orchestrator.release("w1")
    await world.orchestrator.release("w2")
    await world.claim("w2")
    await world.step(31)
    assert set(world.fleet.claims.by_container.values()) == {"w2", "w3"}
    assert world.told == ["idle"]
    assert world.fleet.saved == ["w1"], "what ran on after the turn may have written"


async def test_an_idle_container_is_frozen_and_the_next_turn_thaws_it(world: World) -> None:
    made = await world.claim("w1")
    await world.orchestrator.release("w1")
    await world.step(10)
    assert world.fleet.engine.frozen == {f"hakoiri-{made.container_id}"}
    assert world.orchestrator.paused_containers() == 1
    await world.step(11)
    again = await world.claim("w1")
    assert (again.container_id, again.start) == (made.container_id, "live")
    assert world.fleet.engine.frozen == set()
    assert world.orchestrator.paused_containers() == 0
    await world.step(1001)
    assert world.fleet.engine.frozen == set(), "a turn runs"


async def test_a_container_that_cannot_be_frozen_idles_on(world: World) -> None:
    await world.claim("w1")
    await world.orchestrator.release("w1")
    world.fleet.engine.fail = {"pause"}
    await world.step(10)
    assert (await world.claim("w1")).start == "live"


async def test_one_that_cannot_be_thawed_is_replaced(world: World) -> None:
    await world.claim("w1")
    await world.orchestrator.release("w1")
    await world.step(10)
    world.fleet.engine.fail = {"unpause"}
    assert (await world.claim("w1")).generation == 2


async def test_a_frozen_container_is_removed_like_any_other(world: World) -> None:
    await world.claim("w1")
    await world.orchestrator.release("w1")
    await world.step(10)
    await world.step(31)
    assert world.fleet.is_empty()
    assert world.lifecycle.in_hand() == frozenset()


async def test_a_container_with_the_only_copy_is_saved_before_it_goes(world: World) -> None:
    await world.claim("w1")
    await world.orchestrator.release("w1", is_saved=False)
    world.fleet.can_save = False
    await world.step(31)
    await world.step(32)
    assert world.told == ["kept", "kept"]
    assert (await world.claim("w1")).start == "live"
    await world.orchestrator.release("w1", is_saved=False)
    world.fleet.can_save = True
    await world.step(70)
    assert world.told == ["kept", "kept", "idle"]
    assert world.fleet.saved == ["w1"] * 3
    assert world.fleet.is_empty()


async def test_a_container_with_the_only_copy_gives_way_to_nobody(world: World) -> None:
    for workspace in ("w1", "w2", "w3"):
        await world.claim(workspace)
    await world.orchestrator.release("w1", is_saved=False)
    world.fleet.now_s = 1
    await world.orchestrator.release("w2")
    await world.claim("w4")
    assert set(world.fleet.claims.by_container.values()) == {"w1", "w3", "w4"}


async def test_a_container_that_died_between_two_turns_is_removed(world: World) -> None:
    await world.claim("w1")
    await world.orchestrator.release("w1")
    world.fleet.engine.running.clear()
    await world.step(1, looks=False)
    assert world.told == []
    await world.step(2)
    assert world.told == ["dead"]
    assert world.fleet.is_empty()


async def test_a_container_that_lived_long_enough_goes_at_its_next_pause(world: World) -> None:
    await world.claim("w1")
    await world.step(2000)
    assert world.told == []
    await world.orchestrator.release("w1")
    await world.step(2001)
    assert world.told == ["lifetime"]


async def test_what_nobody_owns_is_removed_after_the_grace(world: World) -> None:
    lost, box, socket = new_container_id("i"), new_container_id("i"), new_container_id("i")
    await world.fleet.lifecycle().start(lost, prepare=nothing)
    await world.fleet.engine.make_box(box)
    await world.fleet.proxy.open_socket(socket)
    await world.fleet.proxy.open_socket("chat-c-1")
    await world.step(0)
    await world.step(59)
    assert world.told == []
    await world.step(60)
    assert world.told == ["stray"] * 3
    assert world.fleet.engine.containers == {}
    assert await world.fleet.engine.list_boxes() == []
    assert set(world.fleet.proxy.sockets) == {"chat-c-1"}


async def test_sockets_of_chats_that_no_turn_uses_are_closed(world: World) -> None:
    world.chats.left_over = 2
    await world.step(0, looks=False)
    assert world.told == []
    await world.step(5)
    assert world.told == ["stray"] * 2
    world.chats.away = True
    await world.step(10)
    assert world.told[2:] == ["failed"]


async def test_what_the_server_holds_is_no_stray_warm_or_not(world: World) -> None:
    warm = new_container_id("i")
    await world.lifecycle.start(warm, prepare=nothing)
    await world.claim("w1")
    for now_s in (0, 100, 200):
        await world.step(now_s)
    assert world.told == []
    assert len(world.fleet.engine.containers) == 2


async def test_a_removal_that_was_not_finished_is_taken_up_at_the_next_look(world: World) -> None:
    await world.claim("w1")
    world.fleet.engine.fail = {"remove"}
    await world.orchestrator.retire("w1", reason="test")
    world.fleet.engine.fail = set()
    assert world.fleet.engine.containers
    await world.step(0, looks=False)
    assert world.fleet.engine.containers
    await world.step(0)
    assert world.fleet.is_empty()


async def test_an_engine_that_is_away_stops_the_step_and_no_more(world: World) -> None:
    world.fleet.engine.fail = {"list_ours"}
    await world.step(0)
    assert world.told == ["failed"] * 2


async def test_a_container_that_died_with_the_only_copy_is_not_replaced_before_it_is_saved(
    world: World,
) -> None:
    made = await world.claim("w1")
    await world.orchestrator.release("w1", is_saved=False)
    world.fleet.engine.running.clear()
    for agent in world.fleet.agents.by_directory.values():
        agent.dead = True
    with pytest.raises(FilesUnsavedError):
        await world.claim("w1")
    assert made.directories.workspace.exists()
    await world.step(1)
    assert (world.fleet.saved, world.told) == (["w1"], ["dead"])
    assert (await world.claim("w1")).generation == 2


async def test_a_round_that_is_given_up_is_counted_and_the_next_is_done(world: World) -> None:
    rounds = 0

    class EnoughError(Exception):
        pass

    async def sleep(_: float) -> None:
        nonlocal rounds
        await wait_all_tasks_blocked()
        rounds += 1
        if rounds == 1:
            world.fleet.engine.fail = {"list_ours"}
        elif rounds == LOOK_EVERY_STEPS + 2:
            raise EnoughError

    collector = Collector(
        orchestrator=world.orchestrator,
        lifecycle=world.lifecycle,
        chats=world.chats,
        tell=world,
        limits=LIMITS,
        clock=lambda: 0.0,
        sleep=sleep,
    )
    with pytest.RaisesGroup(EnoughError):
        await collector.run()
    assert world.told == ["failed"] * 2, "one for the dead, one for the strays"


async def test_a_policy_that_is_replaced_counts_for_what_is_live(world: World) -> None:
    for workspace, tenant in (("w1", "default"), ("w2", "other")):
        await world.claim(workspace, tenant=tenant)
        await world.orchestrator.release(workspace)
    await world.orchestrator.rebind(
        workspace_id="w1", tenant="default", policy=Policy(container=Keeping(idle_timeout_s=5))
    )
    await world.step(5)
    assert world.told == ["idle"]
    assert set(world.fleet.claims.by_container.values()) == {"w2"}


async def test_one_that_became_live_while_the_engine_was_asked_has_not_ended(
    tmp_path: Path,
) -> None:
    world = World(Fleet(tmp_path / "live"))
    asks = world.fleet.engine.list_ours

    async def asked(instance: str) -> list[EngineContainer]:
        listed = await asks(instance)
        if "w1" not in [member.workspace_id for member in world.orchestrator.members()]:
            await world.claim("w1")
            await world.orchestrator.release("w1", is_saved=True)
        return listed

    world.fleet.engine.list_ours = asked  # type: ignore[method-assign]
    await world.step(0)
    assert world.told == []
    assert world.orchestrator.live_in("w1") is not None


async def test_one_that_replaced_the_one_that_was_due_is_not_removed(world: World) -> None:
    await world.claim("w1")
    await world.orchestrator.release("w1", is_saved=False)

    async def meanwhile() -> None:
        await world.orchestrator.retire("w1", reason="container-lost")
        await world.claim("w1")
        await world.orchestrator.release("w1", is_saved=True)

    world.fleet.meanwhile = meanwhile
    await world.step(31, looks=False)
    assert world.told == []
    assert world.orchestrator.live_in("w1") is not None


async def test_a_claim_that_could_not_be_given_back_is_given_back_later(tmp_path: Path) -> None:
    world = World(Fleet(tmp_path / "live"))
    await world.claim("w1")
    world.fleet.claims.away = True
    await world.orchestrator.retire("w1", reason="test")
    assert world.fleet.claims.by_container != {}
    await world.step(0, looks=False)
    world.fleet.claims.away = False
    await world.step(0, looks=False)
    assert world.fleet.is_empty()


@pytest.mark.parametrize("hangs", ["the store", "the engine"])
async def test_one_that_hangs_holds_up_no_other(tmp_path: Path, hangs: str) -> None:
    world = World(Fleet(tmp_path / "live", limit=9))
    for workspace in ("w1", "w2", "w3"):
        await world.claim(workspace)
    await world.orchestrator.release("w1")
    world.fleet.now_s = 25
    await world.orchestrator.release("w2")
    hung, stops = asyncio.Event(), world.fleet.engine.stop

    async def hang(*_: object, **__: object) -> None:
        await hung.wait()

    if hangs == "the store":
        world.fleet.meanwhile = hang
    else:
        world.fleet.engine.stop = hang  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        world.fleet.now_s = 35
        world.collector.step(group, looks=True)
        await wait_all_tasks_blocked()
        live = world.orchestrator.live_in("w2")
        assert live is not None
        assert live.member.is_frozen, "while w1 is being removed"
        world.fleet.meanwhile, world.fleet.engine.stop = None, stops  # type: ignore[method-assign]
        stray = new_container_id("i")
        await world.fleet.engine.make_box(stray)
        for now_s in (40, 100):
            world.fleet.now_s = now_s
            world.collector.step(group, looks=True)
            await wait_all_tasks_blocked()
        assert world.told == ["idle", "stray"], "w2, and what nobody owns"
        hung.set()
    assert world.told == ["idle", "stray", "idle"]
    assert set(world.fleet.claims.by_container.values()) == {"w3"}


async def test_no_more_than_a_few_are_removed_at_once(tmp_path: Path) -> None:
    world = World(Fleet(tmp_path / "live", limit=20))
    for number in range(2 * AT_ONCE):
        await world.claim(f"w{number}")
        await world.orchestrator.release(f"w{number}")
    most, under_way, go_on = 0, 0, asyncio.Event()

    async def count() -> None:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await go_on.wait()
        under_way -= 1

    world.fleet.meanwhile = count
    async with asyncio.TaskGroup() as group:
        world.fleet.now_s = 31
        for _ in range(2):
            world.collector.step(group, looks=False)
            await wait_all_tasks_blocked()
        go_on.set()
    assert most == AT_ONCE
    assert world.told == ["idle"] * 2 * AT_ONCE
    assert world.fleet.is_empty()
