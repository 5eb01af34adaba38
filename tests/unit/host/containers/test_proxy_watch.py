from pathlib import Path

import anyio
import pytest
from tests.unit.host.containers.fleet import Fleet

from hakoiri.host.containers.model import ContainerDirectories
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.proxy_watch import ASK_AGAIN_S, ProxyWatch
from hakoiri.wire.policy import DENY_ALL, Policy, Rule

pytestmark = pytest.mark.anyio

WIDER = Policy(rules=[Rule(host="files.example.test")])


async def nothing(_: ContainerDirectories) -> None:
    return


async def live_containers(orchestrator: Orchestrator, *policies: Policy) -> list[str]:
    claims = [
        await orchestrator.claim(
            workspace_id=f"w{number}",
            tenant="default",
            policy=policy,
            prepare=nothing,
            runtime="runc",
            restores=False,
        )
        for number, policy in enumerate(policies)
    ]
    return [claim.container_id for claim in claims]


async def until_bound(fleet: Fleet, containers: list[str]) -> None:
    with anyio.fail_after(60):
        while await bound(fleet) != frozenset(containers):
            await anyio.lowlevel.checkpoint()


async def bound(fleet: Fleet) -> frozenset[str]:
    return frozenset(name for name, to in fleet.proxy.sockets.items() if to is not None)


async def test_every_live_container_is_bound_again_by_the_end_of_its_proxy(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", limit=3)
    orchestrator = fleet.orchestrator()
    containers = await live_containers(orchestrator, DENY_ALL, WIDER, DENY_ALL)

    async def comes_back(_: float) -> None:
        fleet.proxy.away = False
        await anyio.lowlevel.checkpoint()

    watch = ProxyWatch(
        proxy=fleet.proxy, orchestrator=orchestrator, sleep=comes_back, look_again_s=3600
    )
    async with anyio.create_task_group() as group:
        group.start_soon(watch.run)
        for _ in range(3):
            await until_bound(fleet, containers)
            await anyio.wait_all_tasks_blocked()
            fleet.proxy.die()
        await until_bound(fleet, containers)
        group.cancel_scope.cancel()
    assert fleet.proxy.sockets[containers[1]] == ("w1", "default", 1, WIDER)


async def test_a_proxy_that_is_away_is_asked_again_soon(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    fleet.proxy.away = True
    pauses: list[float] = []

    async def pause(for_s: float) -> None:
        pauses.append(for_s)

    watch = ProxyWatch(proxy=fleet.proxy, orchestrator=fleet.orchestrator(), sleep=pause)
    for _ in range(4):
        await watch.step()
    assert pauses == [ASK_AGAIN_S] * 4


async def test_a_socket_that_could_not_be_bound_is_tried_again_while_the_proxy_lives(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    containers = await live_containers(orchestrator, WIDER)
    fleet.proxy.sockets.clear()
    refusals = iter([True, True, False])
    fleet.proxy.refuse = lambda _: next(refusals, False)
    watch = ProxyWatch(proxy=fleet.proxy, orchestrator=orchestrator, look_again_s=0)
    async with anyio.create_task_group() as group:
        group.start_soon(watch.run)
        await until_bound(fleet, containers)
        group.cancel_scope.cancel()
    assert next(refusals, None) is None
