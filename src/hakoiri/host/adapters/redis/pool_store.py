"""The warm pool's setting in Redis, for all servers, with a copy on each server's own disk.

Settings are counted. The highest number wins, wherever it was kept: a Redis that lost its memory
gets the setting back from the first server that looks, and from a better informed one later.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hakoiri.host.adapters.kept_file import KeptFile
from hakoiri.host.adapters.redis import scripts
from hakoiri.host.adapters.redis.link import RedisLink
from hakoiri.host.containers.ports import PoolStore, PoolStoreError
from hakoiri.host.coordination.ports import CoordinationAwayError
from hakoiri.wire.pool import PoolConfiguration

COPY_NAME: Final = "shared_warm_pool.json"

log = structlog.get_logger(__name__)


class SharedPool(BaseModel):
    """A setting with its number; without a configuration, the servers' own settings count."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(default=0, ge=0, lt=2**53)
    configuration: PoolConfiguration | None = None


class RedisPoolStore:
    """`PoolStore` that all servers share. Reading works without Redis, from the copy."""

    def __init__(
        self,
        link: RedisLink,
        *,
        namespace: str,
        directory: Path,
        own: PoolStore,
        changed: Callable[[], None],
    ) -> None:
        """`own` is what this server kept for itself before; `changed` is told of each change."""
        self._link = link
        self._key = f"{namespace}:pool"
        self._copy = KeptFile(directory / COPY_NAME)
        self._own = own
        self._changed = changed

    async def load(self) -> PoolConfiguration | None:
        """Return what counts, None for the settings. Raises `PoolStoreError`."""
        return (await self._newest(await self._copied())).configuration

    async def save(self, configuration: PoolConfiguration) -> None:
        """Set it for all servers. Raises `PoolStoreError`, also while Redis is away."""
        await self._set(configuration)

    async def clear(self) -> None:
        """Let each server's settings count. Raises `PoolStoreError`, also while Redis is away."""
        await self._set(None)

    async def _newest(self, copied: SharedPool) -> SharedPool:
        try:
            newest = await self._exchange(copied)
        except CoordinationAwayError:
            return copied
        if newest != copied:
            await self._write(newest)
        return newest

    async def _set(self, configuration: PoolConfiguration | None) -> None:
        try:
            before = await self._exchange(await self._copied())
            wanted = SharedPool(version=before.version + 1, configuration=configuration)
            kept = await self._exchange(wanted)
        except CoordinationAwayError as error:
            raise PoolStoreError(f"{error}; the other servers cannot be told") from error
        if kept != wanted:
            raise PoolStoreError("somebody else has just set the pool; look at it, then set again")
        await self._write(wanted)
        self._changed()

    async def _exchange(self, ours: SharedPool) -> SharedPool:
        """Offer a setting and return the newer of it and the one that Redis has."""
        text = ours.model_dump_json()
        kept = await self._link.call(
            lambda redis: redis.eval(scripts.KEEP_NEWEST, 1, self._key, text)
        )
        try:
            return SharedPool.model_validate_json(str(kept))
        except ValidationError as error:
            raise PoolStoreError(f"{self._key} in Redis is no setting of the pool") from error

    async def _copied(self) -> SharedPool:
        try:
            content = await asyncio.to_thread(self._copy.read)
            if content is not None:
                return SharedPool.model_validate_json(content)
        except (OSError, ValueError) as error:
            log.warning("shared_pool_copy_unread", reason=str(error))
            return SharedPool()
        own = await self._own.load()
        return SharedPool() if own is None else SharedPool(version=1, configuration=own)

    async def _write(self, document: SharedPool) -> None:
        try:
            await asyncio.to_thread(self._copy.write, document.model_dump_json())
        except OSError as error:
            log.warning("shared_pool_copy_unwritten", reason=str(error))
