import anyio
import pytest
from tests.unit.host.conversations.scripted import World

from hakoiri.host.containers.live import TURN
from hakoiri.host.containers.model import Claim
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.workspace_saver import WorkspaceSaver
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import FilesError, StaleGenerationError

pytestmark = pytest.mark.anyio

NEVER_S = 3600.0


class Saving:
    """A live workspace and its saver, which waits for ever unless it is told to."""

    def __init__(self, *, quiet_s: float = NEVER_S, retry_s: float = NEVER_S) -> None:
        self.world = World()
        self.saver = WorkspaceSaver(
            store=self.world.workspace_store,
            containers=self.world.containers,
            files=self.world.files,
            clock=lambda: self.world.now_s,
            quiet_s=quiet_s,
            retry_s=retry_s,
        )

    async def live(self) -> tuple[Workspace, Claim]:
        workspace = await self.world.workspace()
        self.world.containers.held[workspace.id] = {"command"}
        claim = await self.world.containers.join(workspace.id, holder="command")
        assert claim is not None
        return workspace, claim

    @property
    def saves(self) -> int:
        return len(self.world.files.saves)


async def until(condition: object) -> None:
    for _ in range(1000):
        if callable(condition) and condition():
            return
        await anyio.sleep(0.001)
    raise AssertionError("it never came to that")


async def test_what_was_touched_is_saved_once_it_was_quiet_and_held_until_then() -> None:
    it = Saving(quiet_s=0)
    async with it.saver:
        workspace, claim = await it.live()
        await it.saver.touch(workspace, claim)
        assert it.world.containers.holders(workspace.id) == frozenset({"command", "save 1 k-1"})
        await until(lambda: it.world.containers.holders(workspace.id) == frozenset({"command"}))
    assert it.saves == 1
    assert it.world.files.saves == [{"event_number": 0, "session_id": None}]
    assert it.world.files.reasons == [PointReason.CHANGED]


async def test_many_touches_make_one_save() -> None:
    it = Saving()
    async with it.saver:
        workspace, claim = await it.live()
        for _ in range(5):
            await it.saver.touch(workspace, claim)
        await it.saver.flush(workspace.id)
        await it.saver.flush(workspace.id)
    assert it.saves == 1


async def test_a_touch_during_a_save_makes_another_and_a_flush_waits_for_it() -> None:
    it = Saving()
    it.world.files.hold_save = anyio.Event()
    async with it.saver, anyio.create_task_group() as group:
        workspace, claim = await it.live()
        await it.saver.touch(workspace, claim)
        group.start_soon(it.saver.flush, workspace.id)
        await until(lambda: it.saves == 1)
        await it.saver.touch(workspace, claim)
        group.start_soon(it.saver.flush, workspace.id)
        await anyio.wait_all_tasks_blocked()
        it.world.files.hold_save.set()
    assert it.saves == 2


async def test_leaving_saves_what_is_due() -> None:
    it = Saving()
    async with it.saver:
        workspace, claim = await it.live()
        await it.saver.touch(workspace, claim)
        assert it.saves == 0
    assert it.saves == 1


async def test_while_a_turn_runs_nothing_is_saved_and_nobody_waits() -> None:
    it = Saving()
    async with it.saver:
        workspace, claim = await it.live()
        await it.saver.touch(workspace, claim)
        it.world.containers.held[workspace.id].add(TURN)
        await it.saver.flush(workspace.id)
        assert it.saves == 0
        await it.world.containers.release(workspace.id, holder=TURN)
        await it.saver.flush(workspace.id)
        assert it.saves == 1


async def test_a_save_that_fails_is_told_and_tried_again() -> None:
    it = Saving(retry_s=0)
    it.world.files.save_failure = FilesError("the disk is full")
    async with it.saver:
        workspace, claim = await it.live()
        await it.saver.touch(workspace, claim)
        with pytest.raises(FilesError, match="disk is full"):
            await it.saver.flush(workspace.id)
        await it.saver.try_flush(workspace.id)
        assert "save 1 k-1" in (it.world.containers.holders(workspace.id) or ())
        it.world.files.save_failure = None
        await until(lambda: it.world.containers.holders(workspace.id) == frozenset({"command"}))


@pytest.mark.parametrize("end", ["retired", "stale", "deleted"])
async def test_what_cannot_be_saved_any_more_is_let_go(end: str) -> None:
    it = Saving()
    async with it.saver:
        workspace, claim = await it.live()
        await it.saver.touch(workspace, claim)
        if end == "retired":
            await it.world.containers.retire(workspace.id, reason="test")
        elif end == "stale":
            it.world.files.save_failure = StaleGenerationError("too old")
        else:
            await it.world.workspace_store.delete_workspace(
                tenant="default", workspace_id=workspace.id
            )
        await it.saver.flush(workspace.id)
        await until(lambda: not it.saver._due)
        assert "save 1 k-1" not in (it.world.containers.holders(workspace.id) or ())


async def test_what_is_forgotten_is_not_saved() -> None:
    it = Saving()
    async with it.saver:
        workspace, claim = await it.live()
        await it.saver.touch(workspace, claim)
        it.saver.forget(workspace.id)
        await it.saver.flush(workspace.id)
    assert it.saves == 0


async def test_what_was_forgotten_does_not_let_go_what_is_noted_since() -> None:
    it = Saving()
    async with it.saver:
        workspace, claim = await it.live()
        await it.saver.touch(workspace, claim)
        forgotten = it.saver._due[workspace.id]
        it.saver.forget(workspace.id)
        await it.saver.touch(workspace, claim)
        forgotten.wanted_now.set()
        await until(lambda: "save 1 k-1" not in (it.world.containers.holders(workspace.id) or ()))
        assert "save 2 k-1" in (it.world.containers.holders(workspace.id) or ())
    assert it.saves == 1


async def test_the_container_that_followed_is_saved_on_its_own() -> None:
    it = Saving()
    async with it.saver:
        workspace, first = await it.live()
        await it.saver.touch(workspace, first)
        it.world.containers.container_id = "k-2"
        it.world.containers.held[workspace.id] = {"command"}
        second = await it.world.containers.join(workspace.id, holder="command")
        assert second is not None
        await it.saver.touch(workspace, second)
        await it.saver.flush(workspace.id)
        assert it.saves == 1
        assert it.world.containers.holders(workspace.id) == frozenset({"command"})


async def test_without_a_live_container_there_is_nothing_to_note() -> None:
    it = Saving()
    async with it.saver:
        workspace, claim = await it.live()
        await it.world.containers.retire(workspace.id, reason="test")
        await it.saver.touch(workspace, claim)
        await it.saver.flush(workspace.id)
    assert it.saves == 0


async def test_one_that_was_replaced_before_it_was_noted_tells_nothing_of_the_new_one() -> None:
    it = Saving(quiet_s=0)
    async with it.saver:
        workspace, claim = await it.live()
        it.world.containers.container_id = "k-2"
        await it.saver.touch(workspace, claim)
        assert it.world.containers.holders(workspace.id) == frozenset({"command"})
        assert await it.saver.flush(workspace.id)
    assert it.saves == 0


async def test_a_save_that_fails_in_no_way_foreseen_keeps_nobody_waiting() -> None:
    it = Saving()
    it.world.files.save_failures = [OSError("unforeseen")]
    async with it.saver:
        workspace, claim = await it.live()
        await it.saver.touch(workspace, claim)
        with pytest.raises(OSError, match="unforeseen"):
            await it.saver.flush(workspace.id)
        assert await it.saver.flush(workspace.id)
    assert it.saves == 2
