"""The operator's way to the API keys: straight to the database, with or without a server."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

from hakoiri.audit.segments import AuditFilesError
from hakoiri.audit.writer import AuditLog, ChainWriter
from hakoiri.cli.supervisor.audit_ground import OPERATOR_CHAIN
from hakoiri.cli.supervisor.preparation import (
    operator_chain,
    prepare_data_directory,
    require_root,
)
from hakoiri.host import settings as host_settings
from hakoiri.host.adapters.sql.database import open_database
from hakoiri.host.adapters.sql.key_store import SqlKeyStore
from hakoiri.host.conversations.keys import KeyRing
from hakoiri.host.settings import Settings
from hakoiri.host.store_urls import database_url
from hakoiri.host.telemetry.audit_log import audit_log

WRITTEN_WITHIN_S: Final = 10.0

Answer = TypeVar("Answer")


def with_keys(work: Callable[[KeyRing], Awaitable[Answer]], *, is_recorded_first: bool) -> Answer:
    """Run the work on the database's keys, as root; what it changes is audited.

    What `is_recorded_first` is not begun while the audit log cannot be written.

    Raises `SettingsError`, `PreparationError`, `AuditError`, `StoreError`, and what the work does.
    """
    require_root()
    settings = host_settings.load()
    instance = prepare_data_directory(settings)
    with audit_log(operator_chain(settings, instance), chain=OPERATOR_CHAIN) as audit:
        if is_recorded_first and not settings.audit.goes_on:
            require_writable(audit)
        return asyncio.run(_on_database(settings, work, audit))


def require_writable(audit: AuditLog, *, wait_s: float = WRITTEN_WITHIN_S) -> None:
    """Raise `AuditFilesError` unless the chain's first line, that it was opened, is on the disk."""
    if isinstance(audit, ChainWriter) and not audit.wait_written(wait_s):
        why = audit.failure or "the audit log was not written in time"
        raise AuditFilesError(f"no key is made that cannot be recorded: {why}")


async def _on_database(
    settings: Settings, work: Callable[[KeyRing], Awaitable[Answer]], audit: AuditLog
) -> Answer:
    database = await open_database(database_url(settings))
    try:
        store = SqlKeyStore(database)
        return await work(KeyRing(store=store, clock=lambda: datetime.now(UTC), audit=audit))
    finally:
        await database.close()
