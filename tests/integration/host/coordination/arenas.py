"""Servers that coordinate, under one contract: in one process, and through a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import CollectorRegistry
from tests.redis_server import PASSWORD, RedisServer

from hakoiri.host.adapters.redis.coordination import RedisCoordination
from hakoiri.host.adapters.redis.link import RedisLink, open_client
from hakoiri.host.coordination.bounded_news import SUBJECTS_LIMIT
from hakoiri.host.coordination.in_process import InProcessHub
from hakoiri.host.coordination.ports import Coordination, Lease, WhenAway
from hakoiri.host.telemetry.coordination_metrics import CoordinationMetrics

LEASE_S = 60.0
"""Longer than a test: what is to run out is made to."""

TIMEOUT_S = 30.0
"""Of a call to Redis: only what never answers needs as long. One that is gone refuses at once."""


@dataclass
class Clock:
    """Monotonic seconds that a test moves."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


def holds(lease: Lease) -> bool:
    """Whether the lease is held now; a checker would take a property's answer for good."""
    return lease.is_held


async def until(is_so: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until something is so that nobody tells of."""
    async with asyncio.timeout(60):
        while True:
            answer = is_so()
            if answer is True or (isinstance(answer, Awaitable) and await answer):
                return
            await asyncio.sleep(0.01)


class Arena(Protocol):
    """Where servers meet."""

    def server(
        self, name: str, *, limit: int = SUBJECTS_LIMIT
    ) -> AbstractAsyncContextManager[Coordination]:
        """A server, open, that hears the others."""

    async def run_out(self) -> None:
        """Let all leases run out that nobody renews."""


class InProcessArena:
    def __init__(self) -> None:
        self.clock = Clock()
        self.hub = InProcessHub(is_shared=True, lease_s=LEASE_S, clock=self.clock)

    @asynccontextmanager
    async def server(
        self, name: str, *, limit: int = SUBJECTS_LIMIT
    ) -> AsyncIterator[Coordination]:
        async with self.hub.server(name, limit=limit) as opened:
            yield opened

    async def run_out(self) -> None:
        self.clock.now_s += LEASE_S


@dataclass
class RedisArena:
    redis: RedisServer
    namespace: str = "hakoiri"
    when_away: WhenAway = "refuse"
    clock: Clock = field(default_factory=Clock)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    @asynccontextmanager
    async def server(
        self, name: str, *, limit: int = SUBJECTS_LIMIT
    ) -> AsyncIterator[RedisCoordination]:
        async with self.unheard(name, limit=limit) as opened:
            async with asyncio.timeout(60):
                await opened.fanout.is_hearing.wait()
            yield opened

    def unheard(self, name: str, *, limit: int = SUBJECTS_LIMIT) -> RedisCoordination:
        """A server that is not open yet."""
        client = open_client(self.redis.url, username=None, password=PASSWORD, timeout_s=TIMEOUT_S)
        self.registry = CollectorRegistry()
        link = RedisLink(client, timeout_s=TIMEOUT_S, metrics=CoordinationMetrics(self.registry))
        return RedisCoordination(
            link,
            namespace=self.namespace,
            holder=name,
            lease_s=LEASE_S,
            when_away=self.when_away,
            limit=limit,
            clock=self.clock,
        )

    async def run_out(self) -> None:
        with self.redis.client() as client:
            for key in client.scan_iter(f"{self.namespace}:lease:*"):
                client.delete(key)
        self.clock.now_s += LEASE_S
