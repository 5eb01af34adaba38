"""The demo's stage: directories of its own, a site outside, a server with a rehearsal model."""

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from hakoiri.cli.api_client import ApiClient
from hakoiri.cli.demo.server_process import ServerProcess, free_port
from hakoiri.cli.demo.site import site
from hakoiri.host.settings import DEFAULT_DOCKER_HOST

SITE_HOST: Final = "files.example.test"
PLANTED_NAME: Final = "AWS_SECRET_ACCESS_KEY"


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything is while the demo runs.

    `planted_secret` is in the environment `hakoiri serve` was started with and in the proxy's
    file of secrets, so that the search for it in the container means something.
    """

    data_dir: Path
    live_dir: Path
    server: ServerProcess
    rehearsal_port: int
    site_port: int
    planted_secret: str
    docker_host: str

    @property
    def api(self) -> ApiClient:
        """The way to the server."""
        return self.server.api

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
            with made.server:
                yield made
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _lay_out(root: Path, site_port: int) -> Stage:
    """Write the proxy's files and the script; choose ports."""
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
    rehearsal_port = free_port()
    settings = {
        PLANTED_NAME: planted,
        "HAKOIRI_DATA_DIR": str(root / "data"),
        "HAKOIRI_MODEL__PROVIDER": "rehearsal",
        "HAKOIRI_MODEL__REHEARSAL_PORT": str(rehearsal_port),
        "HAKOIRI_MODEL__REHEARSAL_SCRIPT": str(script),
        "HAKOIRI_GUARD__LIVE_DIR": str(root / "live"),
        "HAKOIRI_AUDIT__DIR": str(root / "audit"),
        "HAKOIRI_CONTAINER__PROBE_AT_START": "false",
        # one conversation is shown, and each of its containers is looked at
        "HAKOIRI_WARM_POOL__MIN": "0",
        "HAKOIRI_PROXY__FILE": str(own / "proxy.toml"),
        "HAKOIRI_PROXY__STATE_DIR": str(root / "proxy-state"),
        "HAKOIRI_PROXY__ENV_FILE": str(environment),
    }
    return Stage(
        data_dir=root / "data",
        live_dir=root / "live",
        server=ServerProcess(environment=settings, log=root / "server.log"),
        rehearsal_port=rehearsal_port,
        site_port=site_port,
        planted_secret=planted,
        docker_host=os.environ.get("HAKOIRI_DOCKER_HOST", DEFAULT_DOCKER_HOST),
    )
