"""The demo's stage: directories of its own, a site outside, a server with a rehearsal model."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from hakoiri.cli.api_client import ApiClient, ApiError
from hakoiri.cli.demo.site import site

READY_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 45.0
SITE_HOST: Final = "files.example.test"
PLANTED_NAME: Final = "AWS_SECRET_ACCESS_KEY"
LOG_TAIL_LINES: Final = 15


class StageError(Exception):
    """The stage cannot be set; the message says why."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything is while the demo runs.

    `planted_secret` is in the environment `hakoiri serve` was started with and in the proxy's
    file of secrets, so that the search for it in the container means something.
    """

    root: Path
    data_dir: Path
    log: Path
    api: ApiClient
    api_port: int
    rehearsal_port: int
    site_port: int
    planted_secret: str

    @property
    def instance(self) -> str:
        """The id by which the engine's labels name this server."""
        return (self.data_dir / "instance").read_text(encoding="ascii").strip()

    @property
    def site_url(self) -> str:
        """The page outside, by its name."""
        return f"http://{SITE_HOST}:{self.site_port}/"

    def model_requests(self) -> list[dict[str, Any]]:
        """Return the rehearsal model's journal of the requests that reached it."""
        url = f"http://127.0.0.1:{self.rehearsal_port}/_rehearsal/requests"
        with urlopen(url, timeout=10) as answer:
            journal: list[dict[str, Any]] = json.load(answer)["requests"]
        return journal


@contextmanager
def stage(*, say: Callable[[str], None]) -> Iterator[Stage]:
    """Set the stage, yield it when the server is ready, and strike it again."""
    root = Path(tempfile.mkdtemp(prefix="hakoiri-demo-"))
    root.chmod(0o755)
    try:
        with site() as site_port:
            made = _lay_out(root, site_port)
            say("starting server, credential proxy and rehearsal model")
            with made.log.open("wb") as log, _serving(made, log):
                yield made
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _lay_out(root: Path, site_port: int) -> Stage:
    """Write the proxy's files and the script; choose ports."""
    api_port, rehearsal_port = _free_port(), _free_port()
    planted = secrets.token_hex(20)
    own = root / "proxy"
    own.mkdir()
    (own / "proxy.toml").write_text(
        f'[network]\nallow_addresses = ["127.0.0.1:{site_port}"]\n'
        f'[network.hosts]\n"{SITE_HOST}" = "127.0.0.1"\n',
        encoding="utf-8",
    )
    environment = own / "proxy.env"
    environment.touch(mode=0o600)
    environment.write_text(f"{PLANTED_NAME}={planted}\n", encoding="utf-8")
    script = root / "script.yaml"
    script.write_text(
        files("hakoiri.cli.demo").joinpath("script.yaml").read_text("utf-8"), encoding="utf-8"
    )
    return Stage(
        root=root,
        data_dir=root / "data",
        log=root / "server.log",
        api=ApiClient(f"http://127.0.0.1:{api_port}", timeout_s=120),
        api_port=api_port,
        rehearsal_port=rehearsal_port,
        site_port=site_port,
        planted_secret=planted,
    )


@contextmanager
def _serving(made: Stage, log: Any) -> Iterator[None]:
    command = [sys.executable, "-P", "-m", "hakoiri.cli", "serve", "--port", str(made.api_port)]
    process = subprocess.Popen(  # noqa: S603 - our own program
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=_environment(made),
        cwd="/",
        start_new_session=True,
    )
    try:
        _until_ready(made, process)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(made: Stage) -> dict[str, str]:
    """Return the server's environment: the operator's engine and tightening, the demo's rest."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("HAKOIRI_")
        or name.startswith(("HAKOIRI_CONTAINER__", "HAKOIRI_USERS__", "HAKOIRI_DOCKER_HOST"))
    }
    return kept | {
        PLANTED_NAME: made.planted_secret,
        "HAKOIRI_DATA_DIR": str(made.data_dir),
        "HAKOIRI_MODEL__PROVIDER": "rehearsal",
        "HAKOIRI_MODEL__REHEARSAL_PORT": str(made.rehearsal_port),
        "HAKOIRI_MODEL__REHEARSAL_SCRIPT": str(made.root / "script.yaml"),
        "HAKOIRI_PROXY__FILE": str(made.root / "proxy" / "proxy.toml"),
        "HAKOIRI_PROXY__ENV_FILE": str(made.root / "proxy" / "proxy.env"),
    }


def _until_ready(made: Stage, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while True:
        with suppress(ApiError):
            made.api.call("GET", "/ready")
            return
        if process.poll() is not None:
            raise StageError(f"the server ended at its start:\n{_tail(made.log)}")
        if time.monotonic() > deadline_s:
            raise StageError(
                f"the server was not ready within {READY_TIMEOUT_S:.0f} s:\n{_tail(made.log)}"
            )
        time.sleep(0.05)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL_LINES:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
