"""The way to Redis: every call bounded in time, and known to be closed while it is."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from hakoiri.host.coordination.ports import CoordinationAwayError
from hakoiri.host.telemetry.coordination_metrics import CoordinationMetrics

REASON_LIMIT_CHARS: Final = 200
CONNECTIONS_LIMIT: Final = 16

log = structlog.get_logger(__name__)
Answer = TypeVar("Answer")


def open_client(url: str, *, username: str | None, password: str | None, timeout_s: float) -> Redis:
    """Return a client that has not connected yet; it tries nothing twice by itself."""
    pool = BlockingConnectionPool.from_url(
        url,
        username=username,
        password=password,
        max_connections=CONNECTIONS_LIMIT,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        client_name="hakoiri",
        protocol=2,
    )
    return Redis.from_pool(pool)


class RedisLink:
    """Calls Redis, and remembers whether it answers. While it does not, calls fail at once."""

    def __init__(self, client: Redis, *, timeout_s: float, metrics: CoordinationMetrics) -> None:
        """Use the client, each call for at most `timeout_s`."""
        self.client = client
        self.timeout_s = timeout_s
        self._metrics = metrics
        self._failure: str | None = "Redis was not asked yet"
        self._is_told = False
        self._is_closed = False
        self._up = asyncio.Event()
        self._away = asyncio.Event()
        metrics.watch(lambda: self._failure is None)

    @property
    def failure(self) -> str | None:
        """Why the last call failed; None if it did not."""
        return self._failure

    async def call(self, work: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        """Do the work, unless Redis is known to be away. Raises `CoordinationAwayError`."""
        if self._failure is not None:
            raise CoordinationAwayError(self._failure)
        return await self.attempt(work)

    async def attempt(self, work: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        """Do the work, even if the last one failed. Raises `CoordinationAwayError`."""
        if self._is_closed:  # the client would open a connection that nobody closes
            raise CoordinationAwayError("this server has let go of Redis")
        try:
            async with asyncio.timeout(self.timeout_s):
                answer = await self._twice(work)
        except (RedisError, OSError, TimeoutError) as error:
            raise self.went(error) from error
        if self._is_told:
            log.info("coordination_back")
        self._failure, self._is_told = None, False
        self._away.clear()
        self._up.set()
        return answer

    async def _twice(self, work: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        """Do the work; once more if a connection had ended that nobody was using.

        All that is done here may be done twice.
        """
        try:
            return await work(self.client)
        except RedisConnectionError:
            await self.client.connection_pool.disconnect(inuse_connections=False)
            return await work(self.client)

    def went(self, error: Exception) -> CoordinationAwayError:
        """Note a failure, and tell of it if it is the first; return what to raise."""
        told = str(error) or type(error).__name__
        if isinstance(error, TimeoutError):
            told = f"no answer within {self.timeout_s:g} s"
        reason = f"Redis does not answer: {told[:REASON_LIMIT_CHARS]}"
        if not self._is_told:
            log.warning("coordination_away", reason=reason)
        self._metrics.failed()
        self._failure, self._is_told = reason, True
        self._up.clear()
        self._away.set()
        return CoordinationAwayError(reason)

    async def until_away(self) -> None:
        """Return when a call has failed."""
        await self._away.wait()

    async def until_up(self) -> None:
        """Return when Redis answers."""
        await self._up.wait()

    async def close(self) -> None:
        """Close all connections; no more are opened."""
        self._is_closed = True
        await self.client.aclose()
