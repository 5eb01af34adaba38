"""A real PostgreSQL on a Unix socket of its own, with all its data in one directory."""

import asyncio
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import asyncpg

START_TIMEOUT_S = 60.0
USER = "nobody"
AS_NOBODY = ("setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups")
"""The server refuses to be root."""

ADMIN = "hakoiri"
TOOLS = Path(__file__).parents[1] / "build/tools/postgresql/bin"


def programs() -> Path | None:
    """Return the directory of the server's programs: the newest of Debian's, or those fetched."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3])
    )
    if found:
        return found[-1].parent
    return TOOLS if TOOLS.exists() else None


@dataclass(slots=True)
class PostgresqlServer:
    """Listens on a socket in `directory`; may be stopped and started again."""

    programs: Path
    directory: Path
    _process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, database: str) -> str:
        return f"postgresql://{ADMIN}@/{database}?host={self.directory}"

    def new_database(self) -> str:
        """Make an empty database; return its URL."""
        name = f"t{next(self._numbers)}"
        asyncio.run(self._execute(f"CREATE DATABASE {name}"))
        return self.url(name)

    def execute(self, statement: str) -> None:
        asyncio.run(self._execute(statement))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(
            host=str(self.directory), user=ADMIN, database="postgres", timeout=START_TIMEOUT_S
        )
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def make(self) -> None:
        """Make the cluster."""
        self._run(self.programs / "initdb", "-D", "data", "-U", ADMIN, "-A", "trust", "--no-sync")

    def start(self) -> None:
        command = [str(self.programs / "postgres"), "-D", "data", "-k", str(self.directory)]
        for setting in ("listen_addresses=", "jit=off", "unix_socket_permissions=0777"):
            command += ["-c", setting]
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*AS_NOBODY, *command], cwd=self.directory, stdout=log, stderr=log
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                return self.execute("SELECT 1")
            except (OSError, asyncpg.PostgresError):
                if self._process.poll() is not None or time.monotonic() > deadline_s:
                    raise RuntimeError((self.directory / "server.log").read_text()) from None
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT ends what runs and closes; SIGQUIT gives up at once, as a crash does."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=START_TIMEOUT_S)
            self._process = None

    def _run(self, *command: str | Path) -> None:
        subprocess.run([*AS_NOBODY, *command], cwd=self.directory, check=True, capture_output=True)


@contextmanager
def postgresql_server(directory: Path) -> Iterator[PostgresqlServer]:
    """Run a server; the directory must be one that every user can pass to."""
    found = programs()
    if found is None:
        raise RuntimeError("PostgreSQL is not there; deployment/setup/host.sh --for test gets it")
    os.chown(directory, pwd.getpwnam(USER).pw_uid, -1)
    server = PostgresqlServer(found, directory)
    server.make()
    try:
        server.start()
        yield server
    finally:
        server.stop()
