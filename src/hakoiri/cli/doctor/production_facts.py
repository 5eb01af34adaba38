"""Collects what production is judged by. Nothing here judges."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

from hakoiri.cli.doctor import host_facts
from hakoiri.cli.doctor.apparmor_facts import read_apparmor
from hakoiri.cli.doctor.engine_facts import EngineFacts, EngineUnknownError, read_engine
from hakoiri.cli.doctor.finding import Finding
from hakoiri.cli.doctor.production_checks import ProductionFacts, check_production
from hakoiri.host.adapters.sql.database import open_database
from hakoiri.host.adapters.sql.key_store import SqlKeyStore
from hakoiri.host.conversations.keys import KeyRing
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.settings import Settings
from hakoiri.host.store_urls import database_url

KERNEL_LOG = Path("/dev/kmsg")


def examine_production(settings: Settings) -> list[Finding]:
    """Look at this host with these settings, and judge."""
    return check_production(settings, gather(settings))


def gather(settings: Settings) -> ProductionFacts:
    """Collect the facts; what cannot be had is told as such."""
    engine: EngineFacts | None = None
    problem = ""
    try:
        engine = read_engine(settings.docker_host)
    except EngineUnknownError as error:
        problem = str(error)
    return ProductionFacts(
        apparmor=read_apparmor(),
        engine=engine,
        engine_problem=problem,
        engine_socket_mode=_socket_mode(settings.docker_host),
        kernel_log_is_readable=_opens(KERNEL_LOG),
        valid_keys=_valid_keys(database_url(settings)),
    )


def _socket_mode(docker_host: str) -> int | None:
    if not docker_host.startswith("unix://"):
        return None
    facts = host_facts.look_at(Path(os.path.realpath(docker_host.removeprefix("unix://"))))
    return facts.mode if facts is not None and facts.is_socket else None


def _opens(path: Path) -> bool:
    """Whether it can really be opened: of the kernel's log, the mode does not decide."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _valid_keys(url: str) -> int | None:
    """Count keys that are not revoked; a database that is not there yet has none, and is not made.

    One that is there is brought up to date, as every start does.
    """
    path = url.removeprefix("sqlite:///")
    if url.startswith("sqlite:") and not Path(path).exists():
        return 0
    return asyncio.run(_count_valid_keys(url))


async def _count_valid_keys(url: str) -> int | None:
    try:
        database = await open_database(url)
    except StoreError:
        return None
    try:
        keys = await KeyRing(
            store=SqlKeyStore(database), clock=lambda: datetime.now(UTC)
        ).list_keys(tenant=None)
    except StoreError:
        return None
    finally:
        await database.close()
    return sum(key.revoked_at is None for key in keys)
