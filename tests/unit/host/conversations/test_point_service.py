"""A workspace's points as its owner sees them."""

from dataclasses import replace

import pytest
from tests.unit.host.conversations.scripted import World

from hakoiri.host.conversations.point_ports import PointInUseError
from hakoiri.host.conversations.ports import TurnRunningError
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import NoSuchFileError, NoSuchPointError

pytestmark = pytest.mark.anyio

EMPTY = Entry("workspace", b"a", "file", 0o644, 0, 0, "e3b0" + "0" * 60, parts=())


async def test_points_are_listed_newest_first_in_pages() -> None:
    world = World()
    workspace = await world.workspace()
    made = [await world.recovery_point(workspace) for _ in range(5)]
    points = world.points.points
    first = await points.list(workspace, limit=3, before=None)
    rest = await points.list(workspace, limit=3, before=first[-1].id)
    assert [point.id for point in [*first, *rest]] == made[::-1]
    assert [point.is_head for point in first] == [True, False, False]
    with pytest.raises(NoSuchPointError):
        await points.list(workspace, limit=3, before="rp-" + "0" * 32)


async def test_one_is_kept_and_dropped_but_never_the_newest() -> None:
    world = World()
    workspace = await world.workspace()
    old, newest = [await world.recovery_point(workspace) for _ in range(2)]
    points = world.points.points
    assert (await points.keep(workspace, old, is_kept=True)).is_kept
    assert not (await points.keep(workspace, old, is_kept=False)).is_kept
    with pytest.raises(PointInUseError):
        await points.drop(workspace, newest)
    await points.drop(workspace, old)
    with pytest.raises(NoSuchPointError):
        await points.find(workspace, old)


async def test_a_point_is_made_of_what_is_live() -> None:
    world = World()
    workspace = await world.workspace()
    newest = await world.recovery_point(workspace)
    world.containers.held[workspace.id] = set()
    assert (await world.points.points.save_now(workspace)).id == newest
    assert world.files.reasons == [PointReason.ON_DEMAND]
    assert world.containers.held[workspace.id] == set(), "nobody holds the container any more"


async def test_what_is_not_live_is_saved_already() -> None:
    world = World()
    workspace = await world.workspace()
    newest = await world.recovery_point(workspace)
    assert (await world.points.points.save_now(workspace)).id == newest
    assert world.files.saves == []


async def test_no_point_is_made_beside_a_turn() -> None:
    world = World()
    conversation = await world.conversation()
    workspace = world.store.workspaces[str(conversation.workspace_id)]
    await world.recovery_point(workspace)
    world.containers.held[workspace.id] = set()
    await world.store.begin_turn(
        conversation_id=conversation.id, text="x", now=conversation.created_at
    )
    with pytest.raises(TurnRunningError):
        await world.points.points.save_now(workspace)
    assert world.files.saves == []
    assert world.containers.held[workspace.id] == set()


async def test_two_points_are_compared_and_a_file_of_one_is_read() -> None:
    world = World()
    workspace = await world.workspace()
    empty = replace(EMPTY, sha256=SHA256_OF_NOTHING)
    old = await world.recovery_point(workspace)
    new = await world.recovery_point(workspace, empty)
    points = world.points.points
    told = await points.difference(workspace, old, None, limit=10, beyond=None)
    assert [change.path for change in told.changes] == [b"a"]
    assert not (await points.difference(workspace, new, new, limit=10, beyond=None)).changes
    file, chunks = await points.file(workspace, new, b"a")
    assert (file.size, [chunk async for chunk in chunks]) == (0, [])
    with pytest.raises(NoSuchFileError):
        await points.file(workspace, old, b"a")


SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
