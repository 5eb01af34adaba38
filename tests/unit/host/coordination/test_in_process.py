"""What is its own; what it shares with Redis is in tests/integration/host/coordination."""

import pytest
from tests.integration.host.coordination.arenas import holds

from hakoiri.host.coordination.in_process import InProcessHub

pytestmark = pytest.mark.anyio


async def test_one_server_alone_needs_nothing_opened_and_is_never_away() -> None:
    server = InProcessHub().server()
    lease = await server.acquire("turn:c-1")
    assert lease is not None
    assert lease.is_sole
    assert holds(lease)
    assert not server.is_shared
    assert server.failure() is None
    await lease.release()
    assert not holds(lease)


async def test_a_lease_is_held_for_a_while_when_its_server_ends_without_a_word() -> None:
    now_s = 0.0
    hub = InProcessHub(is_shared=True, lease_s=10, clock=lambda: now_s)
    async with hub.server("a") as ended:
        lease = await ended.acquire("x")
    assert lease is not None
    other = hub.server("b")
    now_s = 9.9
    assert holds(lease)
    assert await other.acquire("x") is None
    now_s = 10.0
    assert not holds(lease)
    assert await other.acquire("x") is not None
