"""The list in memory keeps to what the one in the database does."""

import pytest
from tests.unit.host.conversations.scripted import World

from hakoiri.host.conversations.point_ports import PointInUseError
from hakoiri.host.conversations.ports import NoSuchWorkspaceError
from hakoiri.host.files.ports import NoSuchPointError

pytestmark = pytest.mark.anyio


async def test_numbers_go_on_after_a_point_was_dropped() -> None:
    world = World()
    workspace = await world.workspace()
    of = {"tenant": "default", "workspace_id": workspace.id}
    one, two, three = [await world.recovery_point(workspace) for _ in range(3)]
    await world.listed.drop(**of, recovery_point=one)
    await world.listed.set_kept(**of, recovery_point=two, is_kept=True)
    four = await world.recovery_point(workspace)
    found = await world.listed.points(**of, limit=9, before=None)
    assert [(point.id, point.number, point.is_kept) for point in found] == [
        (four, 4, False),
        (three, 3, False),
        (two, 2, True),
    ]
    with pytest.raises(PointInUseError):
        await world.listed.drop(**of, recovery_point=four)
    with pytest.raises(NoSuchPointError):
        await world.listed.point(**of, recovery_point=one)


async def test_another_tenants_points_are_not_there() -> None:
    world = World()
    workspace = await world.workspace("other")
    point = await world.recovery_point(workspace)
    with pytest.raises(NoSuchWorkspaceError):
        await world.listed.point(tenant="default", workspace_id=workspace.id, recovery_point=point)
