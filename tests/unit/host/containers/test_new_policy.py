from pathlib import Path

import pytest
from tests.unit.host.containers.fleet import Fleet

from hakoiri.host.containers.live import Live
from hakoiri.host.containers.model import ContainerDirectories, ContainerState
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import (
    BeingReplacedError,
    ContainersError,
    PolicyRefusedError,
    ProxyAwayError,
)
from hakoiri.wire.policy import DENY_ALL, Policy, Rule

pytestmark = pytest.mark.anyio

WIDER = Policy(rules=[Rule(host="files.example.test")])


async def nothing(_: ContainerDirectories) -> None:
    return


class Place:
    """A workspace that is live, held by a turn."""

    def __init__(self, root: Path) -> None:
        self.fleet = Fleet(root)
        self.orchestrator: Orchestrator = self.fleet.orchestrator()

    async def live(self) -> Live:
        await self.orchestrator.claim(
            workspace_id="w1",
            tenant="default",
            policy=DENY_ALL,
            prepare=nothing,
            runtime="runc",
            restores=False,
        )
        found = self.orchestrator.live_in("w1")
        assert found is not None
        return found

    async def rebind(self, *, ends_refused: bool = False) -> None:
        await self.orchestrator.rebind(
            workspace_id="w1", tenant="default", policy=WIDER, ends_refused=ends_refused
        )


async def test_one_that_cannot_be_reached_does_not_go_on_under_the_old_policy(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path / "live")
    await place.live()
    await place.orchestrator.release("w1")
    place.fleet.proxy.away = True
    with pytest.raises(ProxyAwayError):
        await place.rebind()
    assert place.orchestrator.live_in("w1") is None
    assert place.fleet.engine.containers == {}


async def test_what_a_turn_has_written_is_there_to_be_saved(tmp_path: Path) -> None:
    place = Place(tmp_path / "live")
    live = await place.live()
    place.fleet.proxy.away = True
    with pytest.raises(ProxyAwayError):
        await place.rebind()
    assert place.fleet.engine.running == set()
    assert live.container.state is ContainerState.HALTED
    assert live.container.directories.workspace.exists()
    with pytest.raises(BeingReplacedError):
        await place.orchestrator.join("w1", holder="command 1")
    await place.orchestrator.release("w1")
    assert live.is_unsaved, "nothing removes it before it is saved"


async def test_one_that_cannot_be_ended_either_is_removed(tmp_path: Path) -> None:
    place = Place(tmp_path / "live")
    await place.live()
    place.fleet.proxy.away = True
    place.fleet.engine.fail = {"stop"}
    with pytest.raises(ContainersError):
        await place.rebind()
    assert place.fleet.engine.containers == {}


async def test_a_refusal_leaves_it_as_it_was_unless_it_is_to_end(tmp_path: Path) -> None:
    place = Place(tmp_path / "live")
    live = await place.live()
    place.fleet.proxy.refuse = lambda policy: policy == WIDER
    with pytest.raises(PolicyRefusedError):
        await place.rebind()
    assert live.policy == DENY_ALL
    assert len(place.fleet.engine.running) == 1
    with pytest.raises(PolicyRefusedError):
        await place.rebind(ends_refused=True)
    assert place.fleet.engine.running == set()


async def test_a_halted_containers_socket_is_not_opened_for_a_new_policy(tmp_path: Path) -> None:
    place = Place(tmp_path / "live")
    live = await place.live()
    await place.orchestrator.halt("w1", container_id=live.container.container_id)
    await place.rebind()
    assert place.fleet.proxy.sockets == {}
