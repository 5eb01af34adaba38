import asyncio

import pytest

from hakoiri.credential_proxy.budgets.account import Account
from hakoiri.credential_proxy.budgets.holder import Holder
from hakoiri.credential_proxy.budgets.ledger import Ledger
from hakoiri.credential_proxy.budgets.limits import Limits
from hakoiri.credential_proxy.budgets.meter import COUNTED_AT_BYTES, Meter
from hakoiri.credential_proxy.tunnel import Tunnel

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Side(asyncio.Transport):
    """A transport that keeps what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[bytes | str] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.done.append(bytes(data))

    def write_eof(self) -> None:
        self.done.append("eof")

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        self.done.append("pause")

    def resume_reading(self) -> None:
        self.done.append("resume")

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


def joined(glued: bytes = b"", idle_timeout_s: float = 60) -> tuple[Tunnel, Side, Side]:
    container, upstream = Side(), Side()
    tunnel = Tunnel(container=container, idle_timeout_s=idle_timeout_s)
    tunnel.connection_made(upstream)
    assert upstream.done == ["pause"]
    tunnel.start(glued)
    return tunnel, container, upstream


async def test_bytes_go_both_ways_glued_ones_first() -> None:
    tunnel, container, upstream = joined(b"first")
    tunnel.from_container(b"second")
    tunnel.data_received(b"answer")
    assert upstream.done == ["pause", b"first", "resume", b"second"]
    assert container.done == [b"answer"]
    assert (tunnel.bytes_up, tunnel.bytes_down) == (11, 6)
    tunnel.close()


async def test_each_side_waits_for_the_other() -> None:
    tunnel, container, upstream = joined()
    tunnel.pause_writing()
    tunnel.resume_writing()
    tunnel.pause_container_writing()
    tunnel.resume_container_writing()
    assert container.done == ["pause", "resume"]
    assert upstream.done == ["pause", "resume", "pause", "resume"]
    tunnel.close()


async def test_an_end_of_one_side_leaves_the_other_open_until_both_are_done() -> None:
    tunnel, container, upstream = joined()
    tunnel.container_eof()
    assert upstream.done[-1] == "eof"
    assert not tunnel.finished.done()
    tunnel.data_received(b"late")
    assert tunnel.eof_received()
    assert container.done == [b"late", "eof"]
    assert tunnel.finished.done()


async def test_a_lost_upstream_finishes_and_later_bytes_are_dropped() -> None:
    tunnel, _, upstream = joined()
    tunnel.connection_lost(None)
    tunnel.from_container(b"late")
    tunnel.close()
    assert tunnel.finished.done()
    assert b"late" not in upstream.done


async def test_a_tunnel_in_which_nothing_moves_ends() -> None:
    tunnel, _, _ = joined(idle_timeout_s=0)
    assert tunnel.finished.done()


@pytest.mark.parametrize("way", ["up", "down"])
async def test_bytes_beyond_a_budget_end_the_tunnel_and_do_not_pass(way: str) -> None:
    container, upstream = Side(), Side()
    account = Account(Holder("tenant", "t"), 0, 0)
    limits = Limits(bytes_up=COUNTED_AT_BYTES, bytes_down=COUNTED_AT_BYTES)
    meter = Meter(ledger=Ledger(), accounts=[account], limits=lambda: [limits], now_s=lambda: 0.0)
    tunnel = Tunnel(container=container, meter=meter)
    tunnel.connection_made(upstream)
    tunnel.start(b"")
    send = tunnel.from_container if way == "up" else tunnel.data_received
    side = upstream if way == "up" else container
    piece = bytes(COUNTED_AT_BYTES)
    send(piece)
    assert not tunnel.finished.done()
    send(piece)
    send(piece)
    assert tunnel.finished.done()
    assert tunnel.over_budget is not None
    assert side.done.count(piece) == 1
    tunnel.close()
