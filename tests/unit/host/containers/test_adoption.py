"""What a server does with the containers of the one before it."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from anyio.lowlevel import checkpoint
from tests.unit.host.containers.fleet import Fleet, container_id_of

from hakoiri.host.containers.adoption import RESCUE_ATTEMPTS, Adopted, Adoption
from hakoiri.host.containers.gc import GcLimits, Reason, due
from hakoiri.host.containers.model import Claim, ContainerDirectories, ContainerState
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import (
    BeingReplacedError,
    EngineError,
    FilesUnsavedError,
    Owner,
)
from hakoiri.host.containers.saved_removal import Outcome
from hakoiri.host.containers.testing import MemoryChats
from hakoiri.wire.policy import DENY_ALL

pytestmark = pytest.mark.anyio


@dataclass
class Owners:
    """Every workspace but those `unknown` belongs to one tenant."""

    unknown: set[str] = field(default_factory=set)
    saved: list[tuple[str, int]] = field(default_factory=list)
    failures: int = 0

    async def owner(self, workspace_id: str) -> Owner | None:
        return None if workspace_id in self.unknown else Owner("default", DENY_ALL)

    async def save(
        self, workspace_id: str, *, generation: int, directories: ContainerDirectories
    ) -> bool:
        assert directories.workspace.exists(), "saved before it is removed"
        self.failures -= 1
        if self.failures >= 0:
            return False
        self.saved.append((workspace_id, generation))
        return True


async def nothing(_: ContainerDirectories) -> None:
    return


async def no_wait(_: float) -> None:
    await checkpoint()


async def claim(orchestrator: Orchestrator, workspace: str) -> Claim:
    return await orchestrator.claim(
        workspace_id=workspace,
        tenant="default",
        policy=DENY_ALL,
        prepare=nothing,
        runtime="runc",
        restores=True,
    )


async def after_restart(
    fleet: Fleet, owners: Owners, *, later_s: float = 0, chats: MemoryChats | None = None
) -> tuple[Orchestrator, Adopted]:
    fleet.server_dies()
    orchestrator = fleet.orchestrator()
    adoption = Adoption(
        orchestrator=orchestrator,
        lifecycle=fleet.lifecycle(),
        claims=fleet.claims,
        owners=owners,
        chats=chats or MemoryChats(),
        now=lambda: fleet.claims.now + timedelta(seconds=later_s),
        clock=lambda: fleet.now_s,
        sleep=no_wait,
    )
    return orchestrator, await adoption.run()


async def test_a_container_that_lives_and_has_an_owner_is_adopted_as_it_is(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    before = await claim(fleet.orchestrator(), "w1")
    orchestrator, told = await after_restart(fleet, Owners())
    assert (told.adopted, told.removed) == ([before.container_id], [])
    after = await claim(orchestrator, "w1")
    assert (after.container_id, after.generation, after.start) == (before.container_id, 1, "live")
    assert fleet.proxy.sockets[before.container_id] == ("w1", "default", 1, DENY_ALL)


async def test_a_proxy_that_was_started_anew_is_given_the_socket_again(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    before = await claim(fleet.orchestrator(), "w1")
    fleet.proxy.sockets.clear()
    await after_restart(fleet, Owners())
    assert fleet.proxy.sockets[before.container_id] == ("w1", "default", 1, DENY_ALL)


async def test_an_adopted_container_is_idle_from_then_on(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", now_s=1000)
    await claim(fleet.orchestrator(), "w1")
    orchestrator, _ = await after_restart(fleet, Owners())
    assert [member.idle_since_s for member in orchestrator.members()] == [1000]


@pytest.mark.parametrize(("later_s", "age_s"), [(7000, 7000), (-60, 0)])
async def test_an_adopted_container_is_as_old_as_its_claim(
    tmp_path: Path, later_s: float, age_s: float
) -> None:
    fleet = Fleet(tmp_path / "live", now_s=1000)
    await claim(fleet.orchestrator(), "w1")
    orchestrator, _ = await after_restart(fleet, Owners(), later_s=later_s)
    assert [member.started_at_s for member in orchestrator.members()] == [1000 - age_s]


async def test_the_sockets_of_chats_that_ended_with_their_server_are_closed(
    tmp_path: Path,
) -> None:
    chats = MemoryChats(left_over=2)
    _, told = await after_restart(Fleet(tmp_path / "live"), Owners(), chats=chats)
    assert (told.chats, chats.left_over) == (2, 0)


async def test_a_proxy_that_does_not_say_which_are_open_does_not_keep_a_server_from_starting(
    tmp_path: Path,
) -> None:
    chats = MemoryChats(left_over=1, away=True)
    _, told = await after_restart(Fleet(tmp_path / "live"), Owners(), chats=chats)
    assert (told.chats, chats.left_over) == (0, 1)


async def test_what_an_adopted_container_holds_counts_as_unsaved_until_it_is(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "live")
    await claim(fleet.orchestrator(), "w1")
    orchestrator, _ = await after_restart(fleet, Owners())
    assert [member.is_unsaved for member in orchestrator.members()] == [True]
    await claim(orchestrator, "w1")
    await orchestrator.release("w1", is_saved=True)
    assert [member.is_unsaved for member in orchestrator.members()] == [False]


async def test_a_frozen_container_is_thawed_when_it_is_adopted(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    before = await claim(fleet.orchestrator(), "w1")
    fleet.engine.frozen = {f"hakoiri-{before.container_id}"}
    _, told = await after_restart(fleet, Owners())
    assert told.adopted == [before.container_id]
    assert fleet.engine.frozen == set()


@pytest.mark.parametrize("what", ["is dead", "cannot be thawed", "cannot be bound"])
async def test_of_one_that_cannot_be_adopted_the_files_are_saved_before_it_goes(
    tmp_path: Path, what: str
) -> None:
    fleet = Fleet(tmp_path / "live")
    before = await claim(fleet.orchestrator(), "w1")
    if what == "is dead":
        fleet.engine.running.clear()
    elif what == "cannot be thawed":
        fleet.engine.fail = {"unpause"}
    else:
        fleet.proxy.refuse = lambda _: True
    owners = Owners()
    orchestrator, told = await after_restart(fleet, owners)
    assert owners.saved == [("w1", 1)]
    assert (told.adopted, told.saved) == ([], [before.container_id])
    assert fleet.is_empty()
    fleet.proxy.refuse = lambda _: False
    fleet.engine.fail = set()
    assert (await claim(orchestrator, "w1")).generation == 2


async def test_a_save_that_fails_is_tried_again_and_told_when_it_cannot_be_done(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "live")
    await claim(fleet.orchestrator(), "w1")
    fleet.engine.running.clear()
    owners = Owners(failures=RESCUE_ATTEMPTS - 1)
    _, told = await after_restart(fleet, owners)
    assert owners.saved == [("w1", 1)]
    fleet = Fleet(tmp_path / "other")
    lost = await claim(fleet.orchestrator(), "w1")
    fleet.engine.running.clear()
    _, told = await after_restart(fleet, Owners(failures=RESCUE_ATTEMPTS))
    assert told.unsaved == [lost.container_id]


@pytest.mark.parametrize("runs", [True, False])
async def test_one_whose_files_were_still_being_brought_back_is_neither_adopted_nor_saved(
    tmp_path: Path,
    runs: bool,  # noqa: FBT001 - parametrized
) -> None:
    fleet = Fleet(tmp_path / "live")
    begun = await claim(fleet.orchestrator(), "w1")
    fleet.claims.filled.clear()
    if not runs:
        fleet.engine.running.clear()
    owners = Owners()
    orchestrator, told = await after_restart(fleet, owners)
    assert owners.saved == []
    assert (told.adopted, told.removed) == ([], [begun.container_id])
    assert fleet.is_empty()
    assert (await claim(orchestrator, "w1")).generation == 2


async def test_what_cannot_be_saved_is_kept_until_it_can(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    lost = await claim(fleet.orchestrator(), "w1")
    (lost.directories.workspace / "only").write_text("copy")
    fleet.engine.running.clear()
    orchestrator, told = await after_restart(fleet, Owners(failures=RESCUE_ATTEMPTS))
    assert told.removed == []
    assert (lost.directories.workspace / "only").read_text() == "copy"
    with pytest.raises(FilesUnsavedError):
        await claim(orchestrator, "w1")
    with pytest.raises(BeingReplacedError):
        await orchestrator.join("w1", holder="edit 1")
    fleet.can_save = False
    assert await orchestrator.retire_if_idle("w1", "dead") is Outcome.UNSAVED
    owners = Owners()
    again, told = await after_restart(fleet, owners)
    assert owners.saved == [("w1", 1)], "the next server tries as well"
    assert fleet.is_empty()
    assert (await claim(again, "w1")).generation == 2


async def test_the_collector_saves_what_was_kept_and_takes_it_away(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    await claim(fleet.orchestrator(), "w1")
    fleet.engine.running.clear()
    orchestrator, _ = await after_restart(fleet, Owners(failures=RESCUE_ATTEMPTS))
    (member,) = orchestrator.members()
    limits = GcLimits(idle_timeout_s=1e9, lifetime_s=1e9, pause_after_s=0.0, stray_grace_s=0)
    (one,) = due([member], running=None, now_s=fleet.now_s, limits=limits)
    assert one.reason is Reason.DEAD
    live = orchestrator.live_in("w1")
    assert live is not None
    live.is_unsaved = False
    await orchestrator.freeze(
        "w1", container_id=container_id_of(orchestrator, "w1")
    )  # it is nothing that could be frozen
    assert await orchestrator.retire_if_idle("w1", "dead") is Outcome.REMOVED
    assert fleet.is_empty()


async def test_an_agent_that_was_asked_in_vain_is_let_go(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    before = await claim(fleet.orchestrator(), "w1")
    fleet.proxy.refuse = lambda _: True
    await after_restart(fleet, Owners())
    agent = fleet.agents.by_directory[before.directories.agent]
    assert agent.closed


async def test_what_nobody_owns_is_removed(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    gone = await claim(fleet.orchestrator(), "deleted")
    warm = await fleet.lifecycle().start("c0123456789abcdef", prepare=nothing)
    assert warm.state is ContainerState.HEALTHY
    owners = Owners(unknown={"deleted"})
    _, told = await after_restart(fleet, owners)
    assert set(told.removed) == {gone.container_id, warm.container_id}
    assert owners.saved == []
    assert fleet.is_empty()


async def test_an_engine_that_does_not_answer_stops_the_start(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    await claim(fleet.orchestrator(), "w1")
    fleet.engine.fail = {"list_ours"}
    with pytest.raises(EngineError):
        await after_restart(fleet, Owners())
    assert fleet.engine.containers, "nothing is removed by a server that knows nothing"
