"""What an installation's backup holds, and where each part of it lies on this host."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hakoiri.cli.backup.postgresql_dump import PostgresqlDatabase
from hakoiri.cli.supervisor.audit_ground import KEEPER_DIRECTORY, audit_ground
from hakoiri.cli.supervisor.database_places import POSTGRESQL, SQLITE
from hakoiri.cli.supervisor.preparation import INSTANCE_FILE, account
from hakoiri.cli.supervisor.processes import FILE_STORE
from hakoiri.credential_proxy.budgets.store import FILE_NAME as BOOKS
from hakoiri.host.adapters.pool_file import NAME as POOL_FILE
from hakoiri.host.settings import CONFIG_VARIABLE, Settings
from hakoiri.host.store_urls import database_url, object_store_url

DATABASE: Final = "database/hakoiri.sqlite"
DUMP: Final = "database/hakoiri.dump"
DATA: Final = "data"
OBJECTS: Final = "objects"
AUDIT: Final = "audit"
PROXY: Final = "proxy"
SETTINGS: Final = "settings"
"""The parts, by where they lie in a backup. Below `settings` are whole paths of this host."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A directory to copy: `name` is its place in the backup.

    Files whose names begin with `without` stay out.
    """

    name: str
    path: Path
    without: str | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything lies. None: it is not on this host, and has a backup of its own."""

    instance: str
    database: Path | None
    postgresql: PostgresqlDatabase | None
    """A database that PostgreSQL's own programs save and bring back, here or elsewhere."""

    data_dir: Path
    objects: Path | None
    audit: Path | None
    proxy: Path

    @property
    def data_files(self) -> tuple[Path, ...]:
        """What of the data directory is neither the database nor the store; it may be missing."""
        return (self.data_dir / INSTANCE_FILE, self.data_dir / POOL_FILE)

    def trees(self) -> Iterator[Tree]:
        """Return the directories in the order in which they are to be copied.

        Objects come after the database, so that all that it names is there: what is named no more
        stays in the store for hours. Of the audit log the heads come before the chains: a signed
        head then vouches for lines that are there.
        """
        if self.objects is not None:
            yield Tree(OBJECTS, self.objects)
        if self.audit is not None:
            yield Tree(f"{AUDIT}/{KEEPER_DIRECTORY}", self.audit / KEEPER_DIRECTORY)
            yield Tree(AUDIT, self.audit)
        # the proxy keeps its books locked, so no copy of them could be trusted
        yield Tree(PROXY, self.proxy, without=BOOKS)


def places(settings: Settings, instance: str) -> Places:
    """Return where the instance's parts lie; `PreparationError` if there is no server's user."""
    url = database_url(settings)
    database = SQLITE.fullmatch(url)
    objects = FILE_STORE.fullmatch(object_store_url(settings))
    ground = audit_ground(settings, instance)
    return Places(
        instance=instance,
        database=Path(database["path"]) if database else None,
        postgresql=_postgresql(settings, url),
        data_dir=settings.data_dir,
        objects=Path(objects["path"]) if objects else None,
        audit=ground.root if ground is not None else None,
        proxy=settings.proxy.state_dir / instance,
    )


def _postgresql(settings: Settings, url: str) -> PostgresqlDatabase | None:
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] != POSTGRESQL:
        return None
    server = account(settings.users.server)
    return PostgresqlDatabase(f"{POSTGRESQL}://{rest}", server.uid, server.gid)


def settings_files(settings: Settings, environment: Mapping[str, str]) -> list[Path]:
    """Return the files of settings and secrets that are named, absolute; they may be missing."""
    named = (
        Path(config) if (config := environment.get(CONFIG_VARIABLE)) else None,
        settings.proxy.file,
        settings.proxy.env_file,
        settings.audit.ship_file,
        settings.object_store.credentials_file,
        settings.coordination.credentials_file,
        settings.container.image_public_key,
        settings.container.seccomp_profile,
    )
    return [path.absolute() for path in dict.fromkeys(named) if path is not None]
