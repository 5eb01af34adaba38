from pathlib import Path

import pytest
from tests.unit.host.containers.fleet import Fleet

from hakoiri.host.container_keeping import leaves_containers, let_go
from hakoiri.host.containers.model import ContainerDirectories
from hakoiri.host.launch import ServerLaunch
from hakoiri.host.settings import Settings
from hakoiri.wire.policy import DENY_ALL


def launch(*, keep_containers: bool) -> ServerLaunch:
    return ServerLaunch(
        settings=Settings(),
        instance="i1",
        image="image",
        control_socket=Path("/control"),
        guard_socket=Path("/guard"),
        keep_containers=keep_containers,
    )


def test_containers_stay_if_the_operator_wants_it_or_the_supervisor_was_killed() -> None:
    parents = [100]
    leaves = leaves_containers(launch(keep_containers=False), parent=lambda: parents[-1])
    assert not leaves()
    parents.append(1)
    assert leaves()
    assert leaves_containers(launch(keep_containers=True), parent=lambda: 100)()


async def nothing(_: ContainerDirectories) -> None:
    return


@pytest.mark.anyio
@pytest.mark.parametrize("leaves", [True, False])
async def test_at_the_end_containers_are_left_as_they_are_or_removed(
    tmp_path: Path,
    leaves: bool,  # noqa: FBT001 - parametrized
) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    await orchestrator.claim(
        workspace_id="w",
        tenant="t",
        policy=DENY_ALL,
        prepare=nothing,
        runtime="runc",
        restores=True,
    )
    saved: list[str] = []

    async def save(
        workspace_id: str, *, generation: int, directories: ContainerDirectories
    ) -> bool:
        assert directories.workspace.exists()
        assert generation == 1
        saved.append(workspace_id)
        return True

    await orchestrator.release("w", is_saved=False)
    await let_go(orchestrator, save, lambda: leaves)
    assert saved == ([] if leaves else ["w"])
    assert bool(fleet.engine.running) == leaves
    assert bool(fleet.claims.by_container) == leaves
