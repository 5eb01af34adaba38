import anyio
import pytest
from tests.unit.host.conversations.scripted import Restored, World

from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.conversations.workspace_claim import WorkspaceClaim
from hakoiri.host.files.ports import FilesError
from hakoiri.wire.policy import Policy, Rule

pytestmark = pytest.mark.anyio

OPEN = Policy(rules=[Rule(host="example.com")])


def claims(world: World) -> WorkspaceClaim:
    return WorkspaceClaim(
        store=world.store,
        policies=world.policies,
        containers=world.containers,
        files=world.files,
        runtimes=world.runtimes,
    )


@pytest.mark.parametrize("restored", [Restored("ab"), None])
async def test_the_recorded_session_is_the_one_whose_memory_came_back(
    restored: Restored | None,
) -> None:
    world = World()
    world.files.restored = restored
    workspace = await world.workspace()
    await world.store.set_session_id(workspace.id, "stale")
    await claims(world).take(workspace, holder="test 1")
    assert await world.store.session_id(workspace.id) == (restored and restored.session_id)


async def test_a_live_container_keeps_its_session() -> None:
    world = World()
    world.containers.start = "live"
    workspace = await world.workspace()
    await world.store.set_session_id(workspace.id, "kept")
    await claims(world).take(workspace, holder="test 1")
    assert await world.store.session_id(workspace.id) == "kept"


async def test_it_is_under_the_policy_that_counts_when_it_is_there() -> None:
    world = World()

    async def replace() -> None:
        await world.policy_store.set_policy(tenant="default", name="default", policy=OPEN)

    world.containers.during_claim = replace
    workspace = await world.workspace()
    await claims(world).take(workspace, holder="test 1")
    assert world.containers.policies[-1] == OPEN
    assert world.containers.log[-1] == f"rebind {workspace.id}"


async def test_what_cannot_be_bound_is_not_held() -> None:
    world = World()

    async def replace() -> None:
        await world.policy_store.set_policy(tenant="default", name="default", policy=OPEN)

    world.containers.during_claim = replace
    world.containers.rebind_failures = [ContainersError("the proxy is away")]
    workspace = await world.workspace()
    with pytest.raises(ContainersError):
        await claims(world).take(workspace, holder="test 1")
    assert not world.containers.holders(workspace.id)


async def test_files_that_cannot_be_restored_are_told() -> None:
    world = World()
    world.files.restore_failure = FilesError("damaged")
    workspace = await world.workspace()
    with pytest.raises(FilesError, match="damaged"):
        await claims(world).take(workspace, holder="test 1")


async def test_who_leaves_while_a_container_is_waited_for_waits_no_more() -> None:
    world = World()
    world.containers.hold_claim = anyio.Event()
    workspace = await world.workspace()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: claims(world).take(workspace, holder="test 1"))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert world.containers.log == ["claim for a test", "claim cleaned up"]
