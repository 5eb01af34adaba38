import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from anyio.lowlevel import checkpoint
from tests.unit.host.containers.fleet import Fleet

from hakoiri.host.containers.given_up import GivenUp
from hakoiri.host.containers.model import ContainerDirectories
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import ClaimRecord
from hakoiri.wire.policy import DENY_ALL

pytestmark = pytest.mark.anyio


async def nothing(_: ContainerDirectories) -> None:
    return


class Live:
    """Two workspaces that are live here."""

    def __init__(self, root: Path) -> None:
        self.fleet = Fleet(root, limit=3)
        self.orchestrator: Orchestrator = self.fleet.orchestrator()
        self.given_up = GivenUp(orchestrator=self.orchestrator, claims=self.fleet.claims)
        self.replacing: asyncio.Task[str] | None = None

    async def claim(self, workspace_id: str) -> str:
        claim = await self.orchestrator.claim(
            workspace_id=workspace_id,
            tenant="default",
            policy=DENY_ALL,
            prepare=nothing,
            runtime="runc",
            restores=True,
        )
        return claim.container_id

    def workspaces(self) -> list[str]:
        return [member.workspace_id for member in self.orchestrator.members()]


async def test_what_another_server_took_over_is_ended_here_and_the_rest_is_not(
    tmp_path: Path,
) -> None:
    live = Live(tmp_path / "live")
    lost, kept = await live.claim("w1"), await live.claim("w2")
    await live.given_up.step()
    assert live.workspaces() == ["w1", "w2"]
    await live.fleet.claims.release(lost)
    await live.given_up.step()
    assert live.workspaces() == ["w2"]
    assert list(live.fleet.engine.containers) == [f"hakoiri-{kept}"]
    assert live.fleet.claims.by_container == {kept: "w2"}


async def test_the_other_servers_claim_is_not_touched(tmp_path: Path) -> None:
    live = Live(tmp_path / "live")
    lost = await live.claim("w1")
    await live.fleet.claims.release(lost)
    await live.fleet.claims.claim(container_id="cof-another", workspace_id="w1")
    await live.given_up.check("w1")
    assert live.workspaces() == []
    assert live.fleet.claims.by_container == {"cof-another": "w1"}


async def test_one_workspace_is_looked_at_alone(tmp_path: Path) -> None:
    live = Live(tmp_path / "live")
    for workspace_id in ("w1", "w2"):
        await live.fleet.claims.release(await live.claim(workspace_id))
    await live.given_up.check("w2")
    assert live.workspaces() == ["w1"]
    await live.given_up.check("w3")


async def test_a_container_that_has_just_replaced_the_one_that_was_given_up_stays(
    tmp_path: Path,
) -> None:
    live = Live(tmp_path / "live")
    lost = await live.claim("w1")
    await live.fleet.claims.release(lost)
    for agent in live.fleet.agents.by_directory.values():
        agent.dead = True
    stop, is_stopping, may_end = live.fleet.engine.stop, asyncio.Event(), asyncio.Event()

    async def slow_stop(engine_id: str, *, grace_s: float) -> None:
        is_stopping.set()
        await may_end.wait()
        await stop(engine_id, grace_s=grace_s)

    live.fleet.engine.stop = slow_stop  # type: ignore[method-assign]
    read = live.fleet.claims.claimed
    async with asyncio.TaskGroup() as group:

        async def claimed() -> Sequence[ClaimRecord]:
            found = await read()
            live.replacing = group.create_task(live.claim("w1"))
            await asyncio.sleep(0)
            return found

        live.fleet.claims.claimed = claimed  # type: ignore[method-assign]
        checking = group.create_task(live.given_up.check("w1"))
        await is_stopping.wait()
        await checkpoint()
        may_end.set()
    assert checking.done()
    assert live.replacing is not None
    made = await live.replacing
    assert made != lost
    assert list(live.fleet.engine.containers) == [f"hakoiri-{made}"]
    assert live.workspaces() == ["w1"]
