import asyncio
from pathlib import Path

import pytest
from tests.unit.host.containers.fleet import Fleet

from hakoiri.host.containers.last_save import LastSave, Saves
from hakoiri.host.containers.live import Live
from hakoiri.host.containers.model import ContainerDirectories, ContainerState
from hakoiri.wire.policy import DENY_ALL

pytestmark = pytest.mark.anyio


async def nothing(_: ContainerDirectories) -> None:
    return


async def live_in(fleet: Fleet) -> Live:
    orchestrator = fleet.orchestrator()
    await orchestrator.claim(
        workspace_id="w1",
        tenant="default",
        policy=DENY_ALL,
        prepare=nothing,
        runtime="runc",
        restores=False,
    )
    live = orchestrator.live_in("w1")
    assert live is not None
    return live


async def test_what_can_be_frozen_is_frozen_and_what_cannot_is_ended(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    last_save = LastSave(lifecycle=fleet.lifecycle(), save=fleet.save)
    live = await live_in(fleet)
    await last_save.hold(live)
    await last_save.hold(live)
    assert live.container.state is ContainerState.PAUSED
    ended = await live_in(Fleet(tmp_path / "other", engine=fleet.engine))
    fleet.engine.fail = {"pause"}
    await last_save.hold(ended)
    assert ended.container.state is ContainerState.HALTED
    assert f"hakoiri-{ended.container.container_id}" not in fleet.engine.running


async def test_a_save_that_hangs_is_given_up(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    live = await live_in(fleet)

    async def hang() -> None:
        await asyncio.Event().wait()

    fleet.meanwhile = hang
    last_save = LastSave(lifecycle=fleet.lifecycle(), save=fleet.save)
    assert not await last_save.of(live, limit_s=0.01)
    fleet.meanwhile = None
    assert await last_save.of(live, limit_s=60)


async def test_as_long_as_nobody_can_save_nothing_counts_as_saved(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    live = await live_in(fleet)
    saves = Saves()
    last_save = LastSave(lifecycle=fleet.lifecycle(), save=saves)
    assert not await last_save.of(live, limit_s=60)
    saves.by = fleet.save
    assert await last_save.of(live, limit_s=60)
