"""A PostgreSQL database in a backup: one moment of it, by its own `pg_dump`, and back again.

Both run as the server's user, whom the database knows (by its socket, or by the file of passwords
that the URL names); root opens the dump's file, which that user could not. A URL holds no password.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from hakoiri.cli.backup.listing import BackupError

DUMP_PROGRAM: Final = "pg_dump"
RESTORE_PROGRAM: Final = "pg_restore"
LOCK_TIMEOUT: Final = "60s"
"""How long a dump waits for a table that somebody is changing: a migration, say."""

SAID_LIMIT_CHARS: Final = 1000
ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PGCONNECT_TIMEOUT": "10"}


@dataclass(frozen=True, slots=True)
class PostgresqlDatabase:
    """Where it is, and as whom it is asked."""

    url: str
    uid: int
    gid: int


def can_dump() -> bool:
    """Whether this host has PostgreSQL's own client."""
    return shutil.which(DUMP_PROGRAM) is not None


def dump(database: PostgresqlDatabase, target: Path) -> None:
    """Write one moment of the database into a new file. Raises `BackupError`."""
    with target.open("xb") as file:
        target.chmod(0o600)
        said = _run(
            database,
            DUMP_PROGRAM,
            *("--format=custom", "--no-owner", "--no-privileges"),
            f"--lock-wait-timeout={LOCK_TIMEOUT}",
            output=file,
        )
    if said is not None:
        raise BackupError(
            f"HAKOIRI_DATABASE_URL: {DUMP_PROGRAM} failed: {said}; mend that, or leave the "
            "database out (--without-database) and save it by other means, before the rest"
        )


def load(database: PostgresqlDatabase, source: Path) -> None:
    """Bring a dump into an empty database, all of it or nothing. Raises `BackupError`."""
    with source.open("rb") as file:
        said = _run(
            database,
            RESTORE_PROGRAM,
            *("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"),
            given=file,
        )
    if said is not None:
        raise BackupError(
            f"HAKOIRI_DATABASE_URL: {RESTORE_PROGRAM} failed, the database is as it was: {said}; "
            "it must be there, empty, and the server's user's (`createdb --owner`)"
        )


def _run(
    database: PostgresqlDatabase,
    name: str,
    *options: str,
    given: IO[bytes] | None = None,
    output: IO[bytes] | None = None,
) -> str | None:
    """Return what a program said that failed; None if it did not."""
    program = shutil.which(name)
    if program is None:
        return f"there is no {name} on this host (package postgresql-client)"
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
        [program, *options, "--no-password", f"--dbname={database.url}"],
        check=False,
        stdin=given or subprocess.DEVNULL,
        stdout=output or subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        user=database.uid,
        group=database.gid,
        extra_groups=[],
        cwd="/",
    )
    if done.returncode == 0:
        return None
    return done.stderr.decode(errors="replace").strip()[-SAID_LIMIT_CHARS:] or "no reason told"
