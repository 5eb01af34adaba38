from pathlib import Path

import pytest
from tests.unit.host.containers.fleet import Fleet
from tests.unit.host.containers.test_orchestrator import WIDER, claim

from hakoiri.host.containers.live import TURN
from hakoiri.host.containers.ports import EngineError
from hakoiri.host.containers.traced_orchestrator import TracedOrchestrator
from hakoiri.tracing import spans
from hakoiri.tracing.testing import MemoryTracer

pytestmark = pytest.mark.anyio


class World:
    def __init__(self, root: Path) -> None:
        self.tracer = MemoryTracer()
        self.fleet = Fleet(root / "live")
        self.orchestrator = self.fleet.orchestrator(kind=TracedOrchestrator)

    def trace(self) -> str | None:
        """What the proxy was told last of the one container's trace."""
        [told] = self.fleet.proxy.traces.values()
        return told


async def test_a_claim_is_a_span_and_its_container_is_put_below_what_carries(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    with (
        spans.root(world.tracer, "request"),
        spans.span("turn", carries=True),
    ):
        first = await claim(world.orchestrator, "w1")
        assert world.trace() == world.tracer.named("turn").context.traceparent
    made = world.tracer.named("claim")
    assert made.parent == world.tracer.named("turn").context
    assert made.told == {"hakoiri.claim.start": "cold", "hakoiri.container.id": first.container_id}
    assert world.tracer.named("container start").parent == made.context


async def test_each_claim_of_a_live_container_says_anew_where_its_requests_belong(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    for name in ("first", "second"):
        with spans.root(world.tracer, name):
            await claim(world.orchestrator, "w1")
            assert world.trace() == world.tracer.named(name).context.traceparent
    await claim(world.orchestrator, "w1")
    assert world.trace() is None, "a claim that is not traced ends what was"


async def test_what_others_do_meanwhile_does_not_move_the_container_to_their_trace(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    with spans.root(world.tracer, "turn"):
        made = await claim(world.orchestrator, "w1")
    turn = world.tracer.named("turn").context.traceparent
    with spans.root(world.tracer, "policy"):
        await world.orchestrator.rebind(workspace_id="w1", tenant="default", policy=WIDER)
    assert world.trace() == turn
    assert await world.orchestrator.rebind_lost(frozenset()) == [made.container_id]
    assert world.trace() == turn, "also a proxy that was started anew is told"


async def test_an_idle_container_belongs_to_no_trace(tmp_path: Path) -> None:
    world = World(tmp_path)
    with spans.root(world.tracer, "turn"):
        made = await claim(world.orchestrator, "w1")
        await claim(world.orchestrator, "w1", holder="command 1")
        await world.orchestrator.release("w1", holder=TURN)
        assert world.trace() is not None, "somebody uses it still"
        await world.orchestrator.release("w1", holder="command 1")
    assert world.trace() is None
    assert world.fleet.proxy.sockets[made.container_id] is not None, "it is bound as before"


async def test_a_release_where_nothing_is_traced_asks_the_proxy_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    await claim(world.orchestrator, "w1")
    world.fleet.proxy.traces.clear()
    await world.orchestrator.release("w1")
    assert world.fleet.proxy.traces == {}


async def test_a_proxy_that_is_away_does_not_keep_a_turn_from_ending(tmp_path: Path) -> None:
    world = World(tmp_path)
    with spans.root(world.tracer, "turn"):
        await claim(world.orchestrator, "w1")
        world.fleet.proxy.away = True
        await world.orchestrator.release("w1")
    [member] = world.orchestrator.members()
    assert member.idle_since_s is not None


async def test_a_start_that_fails_is_told_by_its_kind(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.fleet.engine.fail.add("create")
    with pytest.raises(EngineError), spans.root(world.tracer, "request"):
        await claim(world.orchestrator, "w1")
    assert world.tracer.named("claim").error == "EngineError"


async def test_a_halted_containers_socket_is_not_opened_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    with spans.root(world.tracer, "turn"):
        made = await claim(world.orchestrator, "w1")
        await world.orchestrator.halt("w1", container_id=made.container_id)
        await world.orchestrator.release("w1", is_saved=False)
    assert world.fleet.proxy.sockets == {}
