"""What is told of live containers, of an orchestrator that has two."""

from pathlib import Path

import pytest
from tests.unit.host.containers.fleet import Fleet, container_id_of

from hakoiri.host.containers.model import ContainerDirectories
from hakoiri.wire.policy import DENY_ALL

pytestmark = pytest.mark.anyio


async def nothing(_: ContainerDirectories) -> None:
    return


async def test_live_containers_are_found_by_workspace_and_by_id(tmp_path: Path) -> None:
    orchestrator = Fleet(tmp_path / "live").orchestrator()
    for name in ("w1", "w2"):
        await orchestrator.claim(
            workspace_id=name,
            tenant="t",
            policy=DENY_ALL,
            prepare=nothing,
            runtime="runc",
            restores=False,
        )
    first = orchestrator.live_in("w1")
    assert first is not None
    directories = first.container.directories
    assert orchestrator.workspace_in(first.container.container_id) == "w1"
    assert orchestrator.live_disks()[0] == (directories.workspace, directories.home)
    assert orchestrator.holders("w1") == frozenset({"turn"})
    assert (orchestrator.holders("w3"), orchestrator.live_in("w3")) == (None, None)
    await orchestrator.release("w2")
    await orchestrator.freeze("w2", container_id=container_id_of(orchestrator, "w2"))
    assert orchestrator.paused_containers() == 1
    assert [one.workspace_id for one in orchestrator.members() if one.is_frozen] == ["w2"]
