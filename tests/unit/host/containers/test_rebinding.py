import asyncio
from pathlib import Path

import pytest
from tests.unit.host.containers.fleet import Fleet
from tests.unit.host.containers.test_orchestrator import claim

from hakoiri.host.containers.rebinding import Rebinding

pytestmark = pytest.mark.anyio


async def test_a_workspace_in_which_something_goes_on_holds_up_no_other(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    for name in ("w1", "w2"):
        await claim(orchestrator, name)
    fleet.proxy.die()
    fleet.proxy.away = False
    rebinding = Rebinding(
        proxy=fleet.proxy, live=orchestrator._live, place=orchestrator.place, patience_s=0.01
    )
    async with asyncio.timeout(60), orchestrator.place("w1"):
        again = await rebinding.of_lost(frozenset())
    assert again == [live.container.container_id for live in [orchestrator._live["w2"]]]
    known = frozenset(again)
    assert len(await rebinding.of_lost(known)) == 1, "the next look sees to it"


async def test_one_that_is_halted_while_it_is_waited_for_stays_closed(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    made = await claim(orchestrator, "w1")
    place = orchestrator.place
    live = orchestrator._live["w1"]

    def halts_first(workspace_id: str) -> object:
        return Halting(place(workspace_id))

    class Halting:
        def __init__(self, guard: object) -> None:
            self.guard = guard

        async def __aenter__(self) -> None:
            await orchestrator.halt("w1", container_id=made.container_id)

        async def __aexit__(self, *_: object) -> None:
            return

    rebinding = Rebinding(
        proxy=fleet.proxy,
        live=orchestrator._live,
        place=halts_first,  # type: ignore[arg-type]
    )
    assert await rebinding.of_lost(frozenset()) == []
    assert fleet.proxy.sockets == {}
    assert live.container.state.value == "halted"
