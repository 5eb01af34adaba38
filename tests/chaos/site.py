"""What a storm rages over: a private engine, an object store, a Redis, servers as users run them.

Whoever wants another service in the storm starts it here and gives it disturbances in
`disturbances.py`.
"""

import grp
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.chaos.hits import Hit
from tests.e2e.running import Hakoiri, prepare
from tests.e2e.scripts import RUN, SLOW
from tests.e2e.test_tenants import key_command
from tests.engine import PrivateEngine, private_engine
from tests.redis_server import RedisServer, redis_server
from tests.redis_server import credentials_file as redis_credentials_file
from tests.remapped_engine import copy_image
from tests.s3_server import S3Server, credentials_file, s3_server

from hakoiri.cli.api_client import ApiClient

TENANTS: Final = ("shop", "bank")
KEEPER: Final = "default"
"""The tenant that may set the pool."""

MODEL: Final = "anthropic.claude-rehearsal-v1:0"
"""Of chats, which have to name one."""

COMMAND_TIMEOUT_S: Final = 30.0
CALL_TIMEOUT_S: Final = 30.0

SCRIPT: Final = (
    RUN
    + SLOW
    + """
  - name: steps
    when: { regex: '^steps ' }
    replies:
"""
    + "".join(
        f"""
      - say: step {number}
        use: [{{tool: Bash, input: {{command: 'echo {number} >> steps.log; sleep 0.5',
               description: one step}}}}]
"""
        for number in range(4)
    )
    + "      - say: all steps done\n"
    + """
  - name: talk
    when: { regex: '^(hello|usable)' }
    replies:
      - say: "You said: {{user_text}}"
"""
)
"""A chat, which has no tools, is given what is asked for by name alone."""

SETTINGS: Final = {
    "HAKOIRI_CONTAINER__PAUSE_AFTER_S": "3",
    "HAKOIRI_CONTAINER__IDLE_TIMEOUT_S": "10",
    "HAKOIRI_WARM_POOL__MIN": "1",
    "HAKOIRI_WARM_POOL__TARGET": "1",
    "HAKOIRI_WARM_POOL__MAX": "2",
    "HAKOIRI_WARM_POOL__PRECONNECT": "true",
    "HAKOIRI_TURN__SILENCE_TIMEOUT_S": "60",
    "HAKOIRI_TURN__SYNC_QUIET_S": "1",
    "HAKOIRI_TURN__SYNC_LONGEST_WAIT_S": "3",
    "HAKOIRI_OBJECT_STORE__TIMEOUT_S": "3",
    "HAKOIRI_COORDINATION__LEASE_S": "6",
}
"""Short, so that containers are frozen, collected and saved while the storm lasts."""

BESIDE_ANOTHER: Final = {"HAKOIRI_COORDINATION__GIVE_UP_AFTER_S": "4"}
"""So short that one that stands still for long is taken for gone."""


@dataclass(frozen=True, slots=True)
class Begun:
    """When a server was started last, and how long its log was then."""

    at: datetime
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Site:
    """All that runs, and the keys of the tenants. `frozen`: processes that were stopped.

    Several `servers` have one database, one object store and one Redis. `hits` are whom the storm
    struck, `faults` what no server may do, `begun` the last starts by the servers' directories,
    `forgotten` the containers that the engine forgot when it was killed (`forgotten.py`).
    """

    engine: PrivateEngine
    store: S3Server
    redis: RedisServer | None
    servers: tuple[Hakoiri, ...]
    keys: dict[str, str]
    frozen: list[int] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    begun: dict[Path, Begun] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)

    @property
    def server(self) -> Hakoiri:
        """The first, which is the only one in most storms."""
        return self.servers[0]

    def struck(self, pick: int) -> Hakoiri:
        """Return the server that a strike hits."""
        return self.servers[pick % len(self.servers)]

    def begin(self, one: Hakoiri) -> None:
        """Start a server again."""
        self.begun[one.root] = Begun(datetime.now(UTC), one.server.log.stat().st_size)
        one.server.start()

    def stop(self, one: Hakoiri) -> int:
        """Tell a server to stop; return its exit code. One that does not end in order is a fault.

        One that has only just been started does not listen yet, and is ended by the signal.
        """
        code = one.server.stop()
        if code not in (0, -signal.SIGTERM):
            self.faults.append(f"a server that was told to stop ended with {code}")
        return code

    def apis(self, tenant: str) -> tuple[ApiClient, ...]:
        """Return a tenant's ways, one to each server."""
        return tuple(
            ApiClient(
                f"http://127.0.0.1:{one.server.port}",
                key=self.keys[tenant],
                timeout_s=CALL_TIMEOUT_S,
            )
            for one in self.servers
        )

    def api(self, tenant: str) -> ApiClient:
        """Return a tenant's way to the first server."""
        return self.apis(tenant)[0]

    def docker(self, *arguments: str) -> str:
        """Ask the engine; `OSError` or `SubprocessError` if it is not there."""
        return subprocess.run(
            ["docker", "--host", self.engine.docker_host, *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        ).stdout.strip()

    def containers(self) -> list[str]:
        """Names of the containers that run; the engine is the storm's own."""
        return sorted(self.docker("ps", "--format", "{{.Names}}").split())


@contextmanager
def engine_with(
    image: str, *, image_from: str, keeps_containers: bool = False
) -> Iterator[PrivateEngine]:
    """Run an engine that may be killed, with the image of another.

    If it `keeps_containers`, they run on while it is away.
    """
    with private_engine(configuration={"live-restore": keeps_containers}) as engine:
        copy_image(image, source=image_from, target=engine.docker_host)
        yield engine


@contextmanager
def site(
    root: Path, *, engine: PrivateEngine, image: str, is_shared: bool, servers: int = 1
) -> Iterator[Site]:
    """Run all the rest below `root`; with a Redis if it `is_shared`, as by several servers."""
    (root / "s3").mkdir()
    with ExitStack() as stack:
        store = stack.enter_context(s3_server(root / "s3"))
        redis = None
        if is_shared:  # its socket is no server's, and lies where none is looked for afterwards
            apart = stack.enter_context(TemporaryDirectory(prefix="hakoiri-chaos-redis-"))
            redis = stack.enter_context(redis_server(Path(apart)))
        credentials = _for_the_server(credentials_file(root))
        settings = SETTINGS | {
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_OBJECT_STORE_URL": f"s3://{store.bucket('workspaces')}/files",
            "HAKOIRI_OBJECT_STORE__ENDPOINT": store.endpoint,
            "HAKOIRI_OBJECT_STORE__CREDENTIALS_FILE": str(credentials),
        }
        if redis is not None:
            settings |= {
                "HAKOIRI_REDIS_URL": redis.url,
                "HAKOIRI_COORDINATION__CREDENTIALS_FILE": str(
                    _for_the_server(redis_credentials_file(root))
                ),
            }
        if servers > 1:
            settings |= BESIDE_ANOTHER | {"HAKOIRI_DATABASE_URL": _shared_database(root)}
        keys = {
            tenant: key_command(
                root, "create", tenant, "--tenant", tenant, database=_database_of(settings)
            )["key"]
            for tenant in (*TENANTS, KEEPER)
        }
        places = (root, *(root / f"server-{number}" for number in range(2, servers + 1)))
        made = []
        for place in places:
            place.mkdir(exist_ok=True)
            one = prepare(
                place,
                docker_host=engine.docker_host,
                script=SCRIPT,
                settings=settings,
                key=keys[KEEPER],
            )
            stack.enter_context(one.server)
            made.append(one)
        yield Site(engine, store, redis, tuple(made), keys)


def _database_of(settings: Mapping[str, str]) -> str | None:
    return settings.get("HAKOIRI_DATABASE_URL")


def _shared_database(root: Path) -> str:
    """Make the place of a database that several servers write; return its URL."""
    directory = root / "database"
    directory.mkdir()
    directory.chmod(0o770)
    return f"sqlite:///{_for_the_server(directory)}/hakoiri.sqlite"


def _for_the_server(path: Path) -> Path:
    os.chown(path, 0, grp.getgrnam("hakoiri").gr_gid)
    return path
