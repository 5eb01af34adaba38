"""A real Redis of our own, that can be stopped, killed, emptied and started again."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from hakoiri.cli.demo.server_process import free_port

PROGRAMS = ("redis-server", "redis-check-rdb")
"""The second is the same program, which looks at the name that it is called by."""

START_TIMEOUT_S = 60.0
PASSWORD = "planted-redis-secret"


@dataclass
class RedisServer:
    """Listens on 127.0.0.1 at `port` and on the socket in the directory, with a password."""

    directory: Path
    port: int
    is_durable: bool = False
    process: "subprocess.Popen[bytes] | None" = None
    log: list[Path] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket(self) -> Path:
        return self.directory / "socket" / "redis.sock"

    @property
    def socket_url(self) -> str:
        return f"unix://{self.socket}"

    def client(self, *, timeout_s: float = 60.0) -> "Redis":
        """Return a client whose calls end after so long; none is made twice by itself."""
        return Redis(
            port=self.port,
            password=PASSWORD,
            decode_responses=True,
            socket_timeout=timeout_s,
            retry=Retry(NoBackoff(), retries=0),
        )

    def start(self) -> None:
        program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
        assert program, "there is no Redis; install the Debian package redis-tools"
        self.socket.parent.mkdir(exist_ok=True)
        keeps = ["--appendonly", "yes", "--appendfsync", "always"] if self.is_durable else []
        command = [
            "redis-server",
            *("--port", str(self.port), "--bind", "127.0.0.1"),
            *("--unixsocket", str(self.socket), "--unixsocketperm", "770"),
            *("--dir", str(self.directory), "--save", "", "--requirepass", PASSWORD),
            *keeps,
        ]
        with (self.directory / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(command, executable=program, stdout=log, stderr=log)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while True:
            with suppress(RedisError), self.client() as client:
                if client.ping():
                    return
            assert self.process.poll() is None, "Redis ended"
            assert time.monotonic() < deadline_s, "Redis did not come up"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once; what it has not written to disk is lost."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        self.kill()
        self.start()

    def stop(self) -> None:
        """Let it answer nobody, and break no connection."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)


@contextmanager
def redis_server(directory: Path, *, is_durable: bool = False) -> Iterator[RedisServer]:
    """Run a Redis with all its data in the directory."""
    directory.mkdir(exist_ok=True)
    server = RedisServer(directory, free_port(), is_durable=is_durable)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def credentials_file(directory: Path) -> Path:
    """Write the password into a directory of its own, as root's."""
    path = directory / "redis-credentials" / "redis.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'password = "{PASSWORD}"\n')
    path.chmod(0o640)
    return path
