"""The operator's way to the API keys: straight to the database, with or without a server."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from hakoiri.audit.writer import AuditLog
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

Answer = TypeVar("Answer")


def with_keys(work: Callable[[KeyRing], Awaitable[Answer]]) -> Answer:
    """Run the work on the database's keys, as root; what it changes is audited.

    Raises `SettingsError`, `PreparationError`, `AuditError`, `StoreError`, and what the work does.
    """
    require_root()
    settings = host_settings.load()
    instance = prepare_data_directory(settings)
    with audit_log(operator_chain(settings, instance), chain=OPERATOR_CHAIN) as audit:
        return asyncio.run(_on_database(settings, work, audit))


async def _on_database(
    settings: Settings, work: Callable[[KeyRing], Awaitable[Answer]], audit: AuditLog
) -> Answer:
    database = await open_database(database_url(settings))
    try:
        store = SqlKeyStore(database)
        return await work(KeyRing(store=store, clock=lambda: datetime.now(UTC), audit=audit))
    finally:
        await database.close()
