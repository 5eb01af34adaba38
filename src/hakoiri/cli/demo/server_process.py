"""A `hakoiri serve` of one's own, as a child process: for the demo, tests and measurements."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hakoiri.cli.api_client import ApiClient, ApiError

READY_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 45.0
LOG_TAIL_LINES: Final = 15

_FIRST_PORT: Final = 10_000
_PORTS_ENOUGH: Final = 1000
_GIVEN_PORTS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL_FIRST_GIVEN_PORT: Final = 32_768


class ServerProcessError(Exception):
    """The server did not come up; the message has the end of its log."""


class ServerProcess:
    """A server on a free loopback port. Use as a context manager; leaving stops it.

    `environment` is added to ours, in which no `HAKOIRI_*` but the operator's engine, users and
    container settings is kept. What the server prints goes to the file `log`.
    """

    def __init__(
        self, *, environment: Mapping[str, str], log: Path, key: str | None = None
    ) -> None:
        """Choose the port; nothing is started yet."""
        self.port = free_port()
        self.log = log
        self.api = ApiClient(f"http://127.0.0.1:{self.port}", key=key, timeout_s=120)
        self.options: tuple[str, ...] = ()
        self._environment = {**_kept(), **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until a turn can start; raise `ServerProcessError` if it cannot."""
        self.start()
        try:
            self.until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> None:
        """Start it without waiting."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                # it ends with us, even if we are killed
                ["setpriv", "--pdeathsig", "TERM", *_serve_command(self.port), *self.options],  # noqa: S607
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd="/",
                start_new_session=True,
            )

    def until_ready(self) -> None:
        """Wait until `/ready` says yes; raise `ServerProcessError` if it never does."""
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while True:
            with suppress(ApiError):
                self.api.call("GET", "/ready")
                return
            if self.exit_code is not None:
                raise ServerProcessError(f"the server ended at its start:\n{self.log_tail()}")
            if time.monotonic() > deadline_s:
                raise ServerProcessError(
                    f"the server was not ready within {READY_TIMEOUT_S:.0f} s:\n{self.log_tail()}"
                )
            time.sleep(0.05)

    def stop(self) -> int:
        """Ask it to end, kill it when it does not; return its exit code."""
        process = self._process
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        if self._process is None:
            raise ServerProcessError("the server was not started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll() if self._process is not None else None

    def log_tail(self) -> str:
        """Return the last lines it printed."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])


def _serve_command(port: int) -> list[str]:
    return [sys.executable, "-P", "-m", "hakoiri.cli", "serve", "--port", str(port)]


def free_port() -> int:
    """Return a loopback port that nobody listens on now, and that no connection gets by chance.

    Those that the kernel gives to outgoing connections, 32768 and up unless it was told otherwise
    (`ip_local_port_range`), may be taken until it is listened on, or while a server is down.
    """
    while True:
        port = _FIRST_PORT + secrets.randbelow(_first_given_port() - _FIRST_PORT)
        with socket.socket() as probe, suppress(OSError):
            # an earlier server's connections, which wait for their end, do not keep it taken
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def _first_given_port() -> int:
    """Return the first port of outgoing connections; where it leaves no room, the usual one."""
    with suppress(OSError, ValueError, IndexError):
        first = int(_GIVEN_PORTS.read_text().split()[0])
        if first >= _FIRST_PORT + _PORTS_ENOUGH:
            return first
    return _USUAL_FIRST_GIVEN_PORT


def _kept() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("HAKOIRI_")
        or name.startswith(("HAKOIRI_CONTAINER__", "HAKOIRI_USERS__", "HAKOIRI_DOCKER_HOST"))
    }
