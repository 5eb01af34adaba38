import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.errors import UpstreamError
from hakoiri.credential_proxy.upstream import pool as module
from hakoiri.credential_proxy.upstream.connection import UpstreamConnection
from hakoiri.credential_proxy.upstream.pool import PoolKey, UpstreamPool

pytestmark = pytest.mark.anyio
HERE = ["127.0.0.1"]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Phases:
    queue_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    reused: bool = False


class Echo(asyncio.Protocol):
    """Answers whatever comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(OK)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def pool() -> AsyncIterator[UpstreamPool]:
    made = UpstreamPool(tls=ssl.create_default_context(), per_key=2)
    yield made
    made.close()
    assert made.figures.open == 0


def key(port: int, scope: str = "policy:credential") -> PoolKey:
    return PoolKey(scope, "http", Authority("a.example.test", port))


async def use(connection: UpstreamConnection) -> None:
    connection.begin("GET")
    connection.write(b"GET / HTTP/1.1\r\n\r\n")
    connection.sent()
    await connection.answer()


async def test_a_connection_is_used_again_by_the_same_scope_alone(
    pool: UpstreamPool, port: int
) -> None:
    first = await pool.acquire(key(port), addresses=HERE, timings=Phases())
    await use(first)
    pool.release(key(port), first)
    other = await pool.acquire(key(port, "another"), addresses=HERE, timings=Phases())
    assert other is not first
    phases = Phases()
    assert await pool.acquire(key(port), addresses=HERE, timings=phases) is first
    assert phases.reused
    assert (pool.figures.created, pool.figures.reused) == (2, 1)
    for connection in (first, other):
        connection.close()
    pool.release(key(port), first)
    pool.release(key(port, "another"), other)


async def test_a_kept_connection_to_an_address_that_is_no_longer_given_is_closed(
    pool: UpstreamPool, port: int
) -> None:
    first = await pool.acquire(key(port), addresses=HERE, timings=Phases())
    await use(first)
    pool.release(key(port), first)
    with pytest.raises(UpstreamError):
        await pool.acquire(key(port), addresses=["127.0.0.2"], timings=Phases())
    assert first.transport.is_closing()
    assert pool.figures.open == 0


async def test_one_that_was_not_read_to_the_end_is_not_kept(pool: UpstreamPool, port: int) -> None:
    connection = await pool.acquire(key(port), addresses=HERE, timings=Phases())
    connection.begin("GET")
    pool.release(key(port), connection)
    assert pool.figures == module.PoolFigures(open=0, idle=0, created=1, reused=0, evicted=0)


async def test_more_than_the_limit_wait_for_a_place(pool: UpstreamPool, port: int) -> None:
    held = [await pool.acquire(key(port), addresses=HERE, timings=Phases()) for _ in range(2)]
    phases = Phases()

    async def give_back() -> None:
        await use(held[0])
        pool.release(key(port), held[0])

    got, _ = await asyncio.gather(
        pool.acquire(key(port), addresses=HERE, timings=phases), give_back()
    )
    assert got is held[0]
    assert phases.queue_ms is not None
    for connection in held:
        connection.close()
        pool.release(key(port), connection)


async def test_who_waits_too_long_is_told(
    pool: UpstreamPool, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_TIMEOUT_S", 0)
    held = [await pool.acquire(key(port), addresses=HERE, timings=Phases()) for _ in range(2)]
    with pytest.raises(UpstreamError) as failed:
        await pool.acquire(key(port), addresses=HERE, timings=Phases())
    assert (failed.value.code, failed.value.status) == ("upstream-busy", 503)
    for connection in held:
        connection.close()
        pool.release(key(port), connection)


async def test_idle_connections_are_bounded_and_closed_after_a_while(
    pool: UpstreamPool, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_LIMIT", 1)
    monkeypatch.setattr(module, "KEPT_IDLE_S", 0)
    kept = [await pool.acquire(key(port), addresses=HERE, timings=Phases()) for _ in range(2)]
    for connection in kept:
        await use(connection)
        pool.release(key(port), connection)
    assert kept[0].transport.is_closing()
    while pool.figures.idle:  # noqa: ASYNC110 - the sweeper's timer is due at once
        await asyncio.sleep(0)
    assert kept[1].transport.is_closing()
    assert pool.figures.evicted == 2


async def test_a_refused_connection_leaves_no_place_taken(pool: UpstreamPool) -> None:
    for _ in range(3):
        with pytest.raises(UpstreamError) as failed:
            await pool.acquire(key(1), addresses=HERE, timings=Phases())
        assert failed.value.code == "upstream-unreachable"
    assert pool.figures.open == 0


async def test_plain_text_where_tls_should_be_is_an_error(pool: UpstreamPool, port: int) -> None:
    secure = PoolKey("s", "https", Authority("a.example.test", port))
    with pytest.raises(UpstreamError) as failed:
        await pool.acquire(secure, addresses=HERE, timings=Phases())
    assert failed.value.code == "upstream-certificate"


async def test_one_that_was_made_before_the_settings_changed_is_not_kept(
    pool: UpstreamPool, port: int
) -> None:
    idle, busy = [await pool.acquire(key(port), addresses=HERE, timings=Phases()) for _ in range(2)]
    for connection in (idle, busy):
        await use(connection)
    pool.release(key(port), idle)
    pool.renew(ssl.create_default_context())
    pool.release(key(port), busy)
    assert idle.transport.is_closing()
    assert busy.transport.is_closing()
    assert pool.figures.idle == 0
