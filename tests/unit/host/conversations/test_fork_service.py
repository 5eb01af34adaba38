"""Forks, against files and containers that follow a script."""

import pytest
from tests.unit.host.conversations.scripted import NOW, World

from hakoiri.audit.event import EventKind
from hakoiri.host.conversations.point_ports import PointInUseError
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import NoSuchPointError

pytestmark = pytest.mark.anyio

FILE = Entry("workspace", b"a", "file", 0o644, 0, 0, "0" * 64, parts=())


async def test_a_fork_names_the_same_bytes_under_a_name_of_its_own() -> None:
    world = World()
    workspace = await world.workspace("acme")
    old = await world.recovery_point(workspace, FILE, event_number=7)
    await world.recovery_point(workspace)
    before = set(world.objects.objects)
    made = await world.points.forks.fork(workspace, old, with_conversation=False)
    [written] = set(world.objects.objects) - before
    assert written.startswith(f"tenants/acme/workspaces/{made.workspace.id}/manifests/")
    manifest = await world.manifests.read(
        "acme", made.workspace.id, str(made.workspace.recovery_point)
    )
    assert manifest.entries == (FILE,)
    assert (manifest.parent, manifest.generation, manifest.event_number) == (None, 1, 0)
    assert (made.workspace.tenant, made.workspace.conversation_id) == ("acme", None)
    assert (made.source.id, made.workspace.created_at) == (old, NOW)
    [point] = await world.points.points.list(made.workspace, limit=9, before=None)
    assert (point.reason, point.is_head) == (PointReason.FORKED, True)
    assert world.audit.events[-1].kind is EventKind.WORKSPACE_FORKED


async def test_without_a_point_the_newest_is_forked() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        await world.recovery_point(workspace)
        newest = await world.recovery_point(workspace, FILE)
        made = await world.points.forks.fork(workspace, None, with_conversation=False)
    assert made.source.id == newest


async def test_a_conversations_fork_is_a_conversation_that_keeps_the_events_number() -> None:
    world = World()
    conversation = await world.conversation()
    workspace = world.store.workspaces[str(conversation.workspace_id)]
    point = await world.recovery_point(workspace, event_number=7)
    await world.points.forks.fork(workspace, point, with_conversation=True)
    [forking] = world.listed.forked
    assert forking.conversation_id is not None
    assert forking.conversation_id[2:] == forking.workspace_id[2:]
    assert forking.taken.head.event_number == 7
    assert conversation.id in forking.text


async def test_what_is_not_listed_cannot_be_forked() -> None:
    world = World()
    workspace = await world.workspace()
    with pytest.raises(NoSuchPointError):
        await world.points.forks.fork(workspace, "rp-" + "0" * 32, with_conversation=False)
    async with world.workspaces.saver:
        with pytest.raises(NoSuchPointError):
            await world.points.forks.fork(workspace, None, with_conversation=False)
    assert world.objects.objects == {}


async def test_a_point_cannot_be_dropped_while_it_is_forked() -> None:
    world = World()
    workspace = await world.workspace()
    old = await world.recovery_point(workspace)
    await world.recovery_point(workspace)
    put = world.objects.put

    async def put_while_dropping(key: str, data: bytes) -> None:
        with pytest.raises(PointInUseError):
            await world.points.points.drop(workspace, old)
        await put(key, data)

    world.objects.put = put_while_dropping  # type: ignore[method-assign]
    await world.points.forks.fork(workspace, old, with_conversation=False)
