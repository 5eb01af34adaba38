"""The warm pool as an operator sets it: kept across restarts, in force at once."""

import asyncio

import structlog

from hakoiri.audit.event import AuditEvent, EventKind
from hakoiri.audit.writer import AuditLog, NoAuditLog
from hakoiri.host.containers.pool_keeper import PoolKeeper
from hakoiri.host.containers.ports import ContainersError, PoolStore, PoolStoreError
from hakoiri.wire.pool import PoolConfiguration, PoolReport

log = structlog.get_logger(__name__)


class PoolRefusedError(ContainersError):
    """The pool cannot be set like this; the message names the field."""


class PoolService:
    """Shows and sets the pool. What was set counts until it is reset, over the settings."""

    def __init__(
        self,
        *,
        keeper: PoolKeeper,
        store: PoolStore,
        from_settings: PoolConfiguration,
        audit: AuditLog | None = None,
    ) -> None:
        """`from_settings` counts while nothing is stored."""
        self._keeper = keeper
        self._audit = audit or NoAuditLog()
        self._store = store
        self._from_settings = from_settings
        self._is_stored = False
        self._setting = asyncio.Lock()

    async def load(self) -> None:
        """Put in force what was set before the last restart; what cannot be read counts not."""
        try:
            stored = await self._store.load()
            if stored is None:
                return
            self._refuse_unknown(stored)
        except (PoolStoreError, PoolRefusedError) as error:
            log.error("warm_pool_setting_ignored", reason=str(error), mend="hakoiri pool set")  # noqa: TRY400
            return
        self._keeper.configure(stored)
        self._is_stored = True
        log.info("warm_pool_set_before", configuration=stored.model_dump(mode="json"))

    def report(self) -> PoolReport:
        """Tell what the pool is set to, and what there is of it."""
        return PoolReport(
            source="stored" if self._is_stored else "settings",
            configuration=self._keeper.configuration,
            runtimes=self._keeper.report(),
        )

    async def replace(self, configuration: PoolConfiguration) -> PoolReport:
        """Set the pool and keep the setting. Raises `PoolRefusedError`, `PoolStoreError`."""
        self._refuse_unknown(configuration)
        async with self._setting:
            await self._store.save(configuration)
            self._keeper.configure(configuration)
            self._is_stored = True
        log.info("warm_pool_set", configuration=configuration.model_dump(mode="json"))
        self._tell("stored", configuration)
        return self.report()

    async def reset(self) -> PoolReport:
        """Let the settings count again. Raises `PoolStoreError`."""
        async with self._setting:
            await self._store.clear()
            self._keeper.configure(self._from_settings)
            self._is_stored = False
        log.info("warm_pool_reset")
        self._tell("settings", self._from_settings)
        return self.report()

    def _tell(self, source: str, configuration: PoolConfiguration) -> None:
        sizes = {
            f"{runtime}_{name}": size
            for runtime, sizes in configuration.runtimes.items()
            for name, size in (("min", sizes.min), ("target", sizes.target), ("max", sizes.max))
        }
        self._audit.tell(
            AuditEvent(
                kind=EventKind.POOL_CHANGED,
                details={"name": "warm pool", "source": source, **sizes},
            )
        )

    def _refuse_unknown(self, configuration: PoolConfiguration) -> None:
        known = self._keeper.runtimes
        for runtime in configuration.runtimes:
            if runtime not in known:
                raise PoolRefusedError(
                    f"runtimes.{runtime}: this server runs {', '.join(known)}; add it to "
                    "HAKOIRI_CONTAINER__RUNTIMES"
                )
