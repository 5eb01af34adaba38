import asyncio

import pytest

from hakoiri.credential_proxy.binding import Binding
from hakoiri.credential_proxy.container_socket import (
    REQUESTS_LIMIT,
    TUNNELS_LIMIT,
    ContainerSocket,
    GenerationFencedError,
    TooManyRequestsError,
)
from hakoiri.credential_proxy.decision import Route
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.wire.policy import Policy
from hakoiri.wire.proxy import Bind

HEAD = RequestHead(method="GET", target="/a", version=(1, 1), headers=())
OTHER = RequestHead(method="GET", target="/b", version=(1, 1), headers=())


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def binding(generation: int, workspace: str = "w") -> Binding:
    policy = Policy()
    bind = Bind(workspace=workspace, tenant="t", generation=generation, policy=policy)
    return Binding.of(bind)


def test_generations_only_go_up_even_after_unbind() -> None:
    socket = ContainerSocket("c")
    socket.bind(binding(2))
    socket.bind(binding(2))
    with pytest.raises(GenerationFencedError):
        socket.bind(binding(1))
    socket.unbind()
    assert socket.binding is None
    with pytest.raises(GenerationFencedError):
        socket.bind(binding(1))
    socket.bind(binding(3))
    assert socket.stats.generation == 3


def test_a_container_serves_one_workspace_in_its_life() -> None:
    socket = ContainerSocket("c")
    socket.bind(binding(1))
    socket.unbind()
    with pytest.raises(GenerationFencedError):
        socket.bind(binding(2, workspace="other"))


@pytest.mark.anyio
async def test_cut_cancels_what_fits_and_unbind_cancels_all() -> None:
    socket = ContainerSocket("c")
    socket.bind(binding(1))

    async def hold(head: RequestHead) -> None:
        with socket.slot(head, "egress"):
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        first, second = tasks.create_task(hold(HEAD)), tasks.create_task(hold(OTHER))
        await asyncio.sleep(0)
        assert socket.stats.active == 2
        socket.cut(where=lambda head, route: (head.target, route) == ("/a", "egress"))
        await asyncio.sleep(0)
        assert (first.done(), second.done()) == (True, False)
        socket.unbind()
    assert second.cancelled()
    assert socket.stats.active == 0


@pytest.mark.anyio
@pytest.mark.parametrize(("route", "limit"), [("model", REQUESTS_LIMIT), ("tunnel", TUNNELS_LIMIT)])
async def test_places_are_bounded_and_given_back(route: Route, limit: int) -> None:
    socket = ContainerSocket("c")
    go = asyncio.Event()

    async def hold() -> None:
        with socket.slot(HEAD, route):
            await go.wait()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(limit):
            tasks.create_task(hold())
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequestsError), socket.slot(HEAD, route):
            pass
        standing = (socket.requests_open, socket.tunnels_open)
        assert standing == ((0, limit) if route == "tunnel" else (limit, 0))
        go.set()
    with socket.slot(HEAD, route):
        assert socket.stats.active == 1


def test_decisions_are_counted_and_the_owner_told() -> None:
    socket = ContainerSocket("c")
    assert (socket.owner.container, socket.owner.workspace) == ("c", None)
    socket.bind(binding(1))
    socket.count(is_allowed=True)
    socket.count(is_allowed=False)
    assert (socket.stats.allowed, socket.stats.refused) == (1, 1)
    assert (socket.owner.workspace, socket.owner.generation) == ("w", 1)
