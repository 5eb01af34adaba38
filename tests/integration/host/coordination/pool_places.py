"""Where the pool's setting is kept, under one contract: a server's own file, and a real Redis."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.full_disk import SmallDisk
from tests.integration.host.coordination.arenas import RedisArena

from hakoiri.host.adapters.pool_file import NAME, PoolFile
from hakoiri.host.adapters.redis.pool_store import COPY_NAME, RedisPoolStore
from hakoiri.host.containers.ports import PoolStore


class PoolPlace(Protocol):
    """What keeps the setting, and can be taken away."""

    @property
    def name(self) -> str:
        """How an error calls it."""

    def server(self) -> AbstractAsyncContextManager[PoolStore]:
        """The store of a server that was just started."""

    async def restart(self) -> None:
        """End it and start it again, as after a crash."""

    async def take_away(self) -> None:
        """Let nothing be kept until `bring_back`."""

    async def bring_back(self) -> None:
        """Let it be there again."""

    def spoil(self) -> None:
        """Put something there that is no setting."""


@dataclass
class OwnFile:
    disk: SmallDisk
    name: str = NAME

    @asynccontextmanager
    async def server(self) -> AsyncIterator[PoolStore]:
        yield PoolFile(self.disk.place)

    async def restart(self) -> None:
        return

    async def take_away(self) -> None:
        self._mount("ro")

    async def bring_back(self) -> None:
        self._mount("rw")

    def _mount(self, how: str) -> None:
        options = f"remount,{how}"
        subprocess.run(["mount", "-o", options, str(self.disk.place)], check=True)

    def spoil(self) -> None:
        (self.disk.place / NAME).write_text('{"runtimes": 1}')


@dataclass
class SharedRedis:
    arena: RedisArena
    directory: Path
    name: str = "hakoiri:pool"
    told: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def server(self) -> AsyncIterator[PoolStore]:
        async with self.arena.server("a") as opened:
            self._opened = opened
            yield RedisPoolStore(
                opened.link,
                namespace=self.arena.namespace,
                directory=self.directory,
                own=PoolFile(self.directory),
                changed=lambda: self.told.append("changed"),
            )

    async def restart(self) -> None:
        self.arena.redis.restart()
        await self._opened.renew()

    async def take_away(self) -> None:
        self.arena.redis.kill()
        await self._opened.renew()

    async def bring_back(self) -> None:
        self.arena.redis.start()
        await self._opened.renew()

    def spoil(self) -> None:
        (self.directory / COPY_NAME).unlink(missing_ok=True)
        with self.arena.redis.client() as client:
            client.set(self.name, '{"version": 9, "configuration": {"runtimes": 1}}')
