from pathlib import Path

import anyio
import pytest
from tests.unit.host.containers.fleet import Fleet

from hakoiri.host.containers.model import Claim, ContainerDirectories
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import CapacityError, EngineError, PolicyRefusedError
from hakoiri.wire.policy import DENY_ALL, Policy, Rule

pytestmark = pytest.mark.anyio

WIDER = Policy(rules=[Rule(host="files.example.test")])


async def nothing(_: ContainerDirectories) -> None:
    return


async def claim(orchestrator: Orchestrator, workspace: str, policy: Policy = DENY_ALL) -> Claim:
    return await orchestrator.claim(
        workspace_id=workspace, tenant="default", policy=policy, prepare=nothing
    )


async def test_the_first_claim_starts_cold_and_the_second_finds_it_live(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    first = await claim(orchestrator, "w1")
    second = await claim(orchestrator, "w1", WIDER)
    assert (first.start, second.start) == ("cold", "live")
    assert first.container_id == second.container_id
    assert fleet.proxy.sockets[first.container_id] == ("w1", "default", 1, WIDER)


async def test_whose_a_container_is_is_known_while_it_lives(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    made = await claim(orchestrator, "w1")
    assert orchestrator.workspace_in(made.container_id) == "w1"
    assert orchestrator.workspace_in("another") is None
    await orchestrator.retire("w1", reason="test")
    assert orchestrator.workspace_in(made.container_id) is None


async def test_claims_of_one_workspace_at_once_give_one_container(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    claims: list[Claim] = []

    async def one() -> None:
        claims.append(await claim(orchestrator, "w1"))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(one)
    assert len({c.container_id for c in claims}) == 1
    assert len(fleet.engine.containers) == 1


async def test_a_lost_container_is_replaced_under_a_new_generation(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    first = await claim(orchestrator, "w1")
    next(iter(fleet.agents.by_directory.values())).dead = True
    second = await claim(orchestrator, "w1")
    assert second.start == "cold"
    assert second.generation == first.generation + 1
    assert list(fleet.engine.containers) == [f"hakoiri-{second.container_id}"]


async def test_a_refused_policy_leaves_no_container_behind(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    fleet.proxy.refuse = lambda policy: bool(policy.rules)
    with pytest.raises(PolicyRefusedError):
        await claim(fleet.orchestrator(), "w1", WIDER)
    assert fleet.is_empty()


async def test_a_start_that_fails_frees_its_place_and_its_claim(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", limit=1)
    orchestrator = fleet.orchestrator()
    fleet.engine.fail = {"start"}
    with pytest.raises(EngineError):
        await claim(orchestrator, "w1")
    fleet.engine.fail = set()
    assert (await claim(orchestrator, "w2")).start == "cold"


async def test_busy_containers_are_never_taken_and_idle_ones_give_way(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", limit=2)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    await claim(orchestrator, "w2")
    with pytest.raises(CapacityError, match="HAKOIRI_CONTAINER__LIMIT"):
        await claim(orchestrator, "w3")
    await orchestrator.release("w2")
    await claim(orchestrator, "w3")
    assert set(fleet.claims.by_container.values()) == {"w1", "w3"}


async def test_sockets_that_a_new_proxy_does_not_know_are_bound_again(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    first, second = await claim(orchestrator, "w1", WIDER), await claim(orchestrator, "w2")
    del fleet.proxy.sockets[first.container_id]
    assert await orchestrator.rebind_lost(frozenset({second.container_id})) == [first.container_id]
    assert fleet.proxy.sockets[first.container_id] == ("w1", "default", 1, WIDER)


async def test_a_socket_that_cannot_be_bound_again_holds_up_no_other(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    first, second = await claim(orchestrator, "w1", WIDER), await claim(orchestrator, "w2")
    fleet.proxy.sockets.clear()
    fleet.proxy.refuse = lambda policy: bool(policy.rules)
    assert await orchestrator.rebind_lost(frozenset()) == [second.container_id]
    fleet.proxy.refuse = lambda _: False
    known = await fleet.proxy.bound_sockets()
    assert await orchestrator.rebind_lost(known) == [first.container_id]


async def test_a_turn_right_after_the_proxy_came_back_does_not_wait_for_the_next_look(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    first = await claim(orchestrator, "w1")
    fleet.proxy.sockets.clear()
    again = await claim(orchestrator, "w1", WIDER)
    assert again.container_id == first.container_id
    assert fleet.proxy.sockets[first.container_id] == ("w1", "default", 1, WIDER)


async def test_another_tenants_policy_does_not_reach_the_container(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    mine = await claim(orchestrator, "w1")
    await orchestrator.rebind(workspace_id="w1", tenant="other", policy=WIDER)
    assert fleet.proxy.sockets[mine.container_id] == ("w1", "default", 1, DENY_ALL)


async def test_a_sweep_forgets_the_claims_of_an_earlier_server(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    await claim(fleet.orchestrator(), "w1")
    orchestrator = fleet.orchestrator()
    assert len(await orchestrator.sweep()) == 1
    assert fleet.is_empty()
    assert (await claim(orchestrator, "w1")).generation == 2


async def test_closing_removes_every_container(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    await claim(orchestrator, "w2")
    await orchestrator.close()
    assert fleet.is_empty()
    assert not orchestrator._places


async def test_a_halted_containers_socket_is_not_opened_again(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    made = await claim(orchestrator, "w1")
    await orchestrator.halt("w1")
    assert await orchestrator.rebind_lost(frozenset()) == []
    assert fleet.proxy.sockets == {}
    await orchestrator.retire("w1", reason="container-lost")
    assert (await claim(orchestrator, "w1")).generation == made.generation + 1
    await orchestrator.halt("w2")
