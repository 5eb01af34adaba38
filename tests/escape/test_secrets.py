"""Secrets planted everywhere they belong, and in the starter's own environment: found nowhere else.

After turns, refusals, a killed container and a killed proxy, all that the installation wrote, shows
or runs is searched. For each kind of place a decoy shows that the search would have found one.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.https_site import HOST, TOKEN, Site, https_site, trusting_file
from tests.e2e.running import Hakoiri, data_of, descendants, prepare
from tests.e2e.scripts import RUN
from tests.e2e.test_failures import is_ready
from tests.engine import TestEngine
from tests.escape.conftest import Tell
from tests.escape.places import (
    command_holds,
    file_holds,
    process_holds,
    tree_holds,
)
from tests.waiting import until

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.attack("secrets")]

PROXY = "hakoiri.credential_proxy"
DECOY = f"decoy{secrets.token_hex(8)}"
"""Put where the search looks, in words that are no secret."""

_run = secrets.token_hex(8)
IN_THE_PROXYS_FILE = {
    "SITE_TOKEN": TOKEN,
    "MODEL_API_KEY": f"planted-model-key-{_run}",
    "GIT_TOKEN": f"planted-git-token-{_run}",
    "STORE_ACCESS_KEY_ID": f"AKIA{secrets.token_hex(8).upper()}",
    "STORE_SECRET_ACCESS_KEY": f"planted-store-key-{_run}",
}
IN_THE_STARTERS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": f"ASIA{secrets.token_hex(8).upper()}",
    "AWS_SECRET_ACCESS_KEY": f"planted-aws-key-{_run}",
    "AWS_SESSION_TOKEN": f"planted-aws-session-{_run}",
    "ANTHROPIC_API_KEY": f"planted-anthropic-key-{_run}",
    "GITHUB_TOKEN": f"planted-github-token-{_run}",
    "OUTSIDE_DB_PASSWORD": f"planted-db-password-{_run}",
}
PLANTED = IN_THE_PROXYS_FILE | IN_THE_STARTERS_ENVIRONMENT
NEEDLES = [value.encode() for value in PLANTED.values()]

SEARCHED_INSIDE = {
    "runc": frozenset({"file", "environ", "memory"}),
    "runsc": frozenset({"file", "environ"}),
}
"""Where the search from inside must find the decoy: gVisor shows nobody another's memory."""

# they are handed over back to front, so that neither the message nor the program holds them
INSIDE = """
import os, pathlib, sys
needles = [one[::-1].encode() for one in sys.argv[1:]]
found = set()
for directory in pathlib.Path("/proc").glob("[0-9]*"):
    if int(directory.name) == os.getpid():
        continue
    for name in ("environ", "cmdline"):
        try:
            text = (directory / name).read_bytes()
        except OSError:
            continue
        found |= {(name, one.decode()) for one in needles if one in text}
    try:
        maps = (directory / "maps").read_text().splitlines()
        memory = open(directory / "mem", "rb", 0)
    except OSError:
        continue
    for line in maps:
        begin, end = (int(part, 16) for part in line.split()[0].split("-"))
        if " r" not in line or end - begin > 1 << 28:
            continue
        try:
            memory.seek(begin)
            text = memory.read(end - begin)
        except (OSError, ValueError, OverflowError):
            continue
        found |= {("memory", one.decode()) for one in needles if one in text}
for root in ("/workspace", "/home", "/tmp", "/run", "/etc", "/opt/hakoiri-node", "/dev/shm"):
    for path in pathlib.Path(root).rglob("*"):
        try:
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 27:
                text = path.read_bytes()
                found |= {("file", one.decode()) for one in needles if one in text}
        except OSError:
            pass
for place, one in sorted(found):
    print("found in", place, one[::-1])
print("searched")
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """An installation after a whole run."""

    server: Hakoiri
    image: str
    conversation: str
    decoy_container: str
    decoy_process: int
    inside: str
    searched_inside: frozenset[str]


@pytest.fixture(scope="module", params=["runc", "runsc"])
def ran(
    request: pytest.FixtureRequest,
    engine: TestEngine,
    image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ran]:
    root = tmp_path_factory.mktemp(f"secrets-{request.param}")
    readable = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="hakoiri-trust-"))
    try:
        with https_site(root / "site") as site:
            trust = trusting_file([site.certificate_pem], readable)
            settings = {
                "HAKOIRI_CONTAINER__IMAGE": image,
                "HAKOIRI_CONTAINER__RUNTIME": request.param,
            }
            made = prepare(
                root,
                docker_host=engine.docker_host,
                script=RUN,
                settings=settings | IN_THE_STARTERS_ENVIRONMENT,
            )
            _plant(made, site, trust)
            with made.server, _decoys(made, image) as (container, process):
                _allow(made)
                conversation, inside = _live(made)
                where = SEARCHED_INSIDE[request.param]
                yield Ran(made, image, conversation, container, process, inside, where)
    finally:
        shutil.rmtree(readable)


def _plant(server: Hakoiri, site: Site, trust: Path) -> None:
    """Write the proxy's own files."""
    own = server.root / "proxy"
    (own / "proxy.toml").write_text(
        f"""
[credentials.{DECOY}]
kind = "bearer"
value_env = "SITE_TOKEN"
hosts = ["{HOST}"]
endpoint = "https://{HOST}:{site.port}"

[network]
allow_addresses = ["127.0.0.1:{site.port}"]
ca_file = "{trust}"
[network.hosts]
"{HOST}" = "127.0.0.1"
"""
    )
    env_file = own / "proxy.env"
    env_file.touch(mode=0o600)
    env_file.write_text("".join(f"{k}={v}\n" for k, v in IN_THE_PROXYS_FILE.items()))


def _decoys(server: Hakoiri, image: str) -> "_Decoys":
    return _Decoys(server, image)


class _Decoys:
    """A container and a process that hold the decoy where no secret may be."""

    def __init__(self, server: Hakoiri, image: str) -> None:
        self._server, self._image = server, image

    def __enter__(self) -> tuple[str, int]:
        self._container = self._server.docker(
            *("run", "--detach", "--network=none", "--env", f"TOLD={DECOY}", "--entrypoint=sh"),
            *("--user=0", self._image, "-c", f"echo {DECOY} | tee /root/told; exec sleep 600"),
        )
        self._process = subprocess.Popen(["sleep", "600"], env={**os.environ, "TOLD": DECOY})
        self._server.docker("commit", self._container, f"hakoiri/{DECOY}")
        return self._container, self._process.pid

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._server.docker("rm", "--force", self._container)
        self._server.docker("rmi", f"hakoiri/{DECOY}")


def _allow(server: Hakoiri) -> None:
    policy = server.api.call("GET", "/v1/policies/default")
    policy["rules"] = [{"host": HOST, "methods": ["GET"], "credential": DECOY}]
    server.api.call("PUT", "/v1/policies/default", policy)


def _live(server: Hakoiri) -> tuple[str, str]:
    """A whole run; return the conversation and what the search from inside said."""
    conversation = server.conversation()

    def run(command: str) -> str:
        events = server.turn(conversation, f"run: {command}")
        texts = [one["text"] for one in data_of(events, "tool_result")]
        return texts[0].strip() if texts else str(events[-1]["data"])

    assert run(f"curl -s --fail https://{HOST}/hello.txt") == "hello from the site"
    # the site tells what it was sent: the token must not come back
    assert TOKEN not in run(f"curl -s https://{HOST}/who | tee who.txt")
    run(f"curl -s https://{DECOY}.example.test/; curl -s -X POST https://{HOST}/ -d {DECOY}")
    run("env | sort > env.txt; cat /proc/*/environ > all.txt 2>/dev/null; kill -9 -1")
    (proxy,) = server.processes(PROXY)
    os.kill(proxy, signal.SIGKILL)
    until(lambda: server.processes(PROXY) not in ([], [proxy]) and is_ready(server))
    assert run(f"curl -s --retry 5 --fail https://{HOST}/hello.txt") == "hello from the site"
    with suppress(ApiError):
        server.api.call("PUT", "/v1/policies/broken", {"rules": [{"host": "*", "credential": "x"}]})
    backwards = " ".join(f"'{one[::-1]}'" for one in (*PLANTED.values(), DECOY))
    said = run(
        f"echo {DECOY} > told.txt; TOLD={DECOY} sleep 60 & sleep 1; "
        f"cat > /tmp/search.py <<'END'\n{INSIDE}\nEND\npython3 /tmp/search.py {backwards}"
    )
    return conversation, said


def _environments(ran: Ran, needles: Iterable[bytes]) -> list[bytes]:
    proxies = set(ran.server.processes(PROXY, with_spares=True))
    pids = {ran.server.server.pid, *descendants(ran.server.server.pid)} - proxies
    assert len(pids) >= 3
    pids.add(ran.decoy_process)
    return [one for pid in pids for one in process_holds(pid, needles)]


def _trees(*directories: Path) -> Callable[[Iterable[bytes]], list[bytes]]:
    def search(needles: Iterable[bytes]) -> list[bytes]:
        return [one for one in needles if any(tree_holds(path, one) for path in directories)]

    return search


def _engine(ran: Ran, *arguments: str) -> Callable[[Iterable[bytes]], list[bytes]]:
    """Search what the engine tells of each container of ours, and of the decoy."""

    def search(needles: Iterable[bytes]) -> list[bytes]:
        docker = ["docker", "--host", ran.server.docker_host]
        containers = [*ran.server.containers(), ran.decoy_container]
        assert len(containers) > 1
        wanted = list(needles)
        return [
            found
            for container in containers
            for found in command_holds([*docker, *arguments, container], wanted)
        ]

    return search


def _image(ran: Ran, *arguments: str) -> Callable[[Iterable[bytes]], list[bytes]]:
    def search(needles: Iterable[bytes]) -> list[bytes]:
        docker = ["docker", "--host", ran.server.docker_host]
        wanted = list(needles)
        images = (ran.image, f"hakoiri/{DECOY}")
        return [
            one for name in images for one in command_holds([*docker, *arguments, name], wanted)
        ]

    return search


def _places(ran: Ran) -> dict[str, tuple[str, Callable[[Iterable[bytes]], list[bytes]]]]:
    server = ran.server
    url = f"http://127.0.0.1:{server.server.port}"
    log = server.server.log
    return {
        "output of server, guard and proxy": (
            "search the log",
            lambda needles: [one for one in needles if file_holds(log, one)],
        ),
        "database and object store": ("search the data directory", _trees(server.data_dir)),
        "run directory and containers' directories": (
            "search HAKOIRI_RUN_DIR and the live tree",
            _trees(server.run_dir, server.tree),
        ),
        "environment and command line of our processes": (
            "search /proc/PID/environ and cmdline of all but the proxy",
            lambda needles: _environments(ran, needles),
        ),
        "what the engine tells of containers": ("docker inspect", _engine(ran, "inspect")),
        "what containers printed": ("docker logs", _engine(ran, "logs")),
        "root file system of containers": ("docker export", _engine(ran, "export")),
        "history of the image": ("docker history", _image(ran, "history", "--no-trunc")),
        "layers of the image": ("docker save", _image(ran, "save")),
        "metrics": (
            "GET /metrics",
            lambda needles: command_holds(["curl", "-sf", f"{url}/metrics"], needles),
        ),
        "recorded events": (
            "GET the conversation's events",
            lambda needles: [
                one for one in needles if one.decode() in str(server.log(ran.conversation))
            ],
        ),
    }


NO_DECOY = {"metrics": b"hakoiri_turns_total", "history of the image": b"hakoiri"}
"""Where no words of ours can be put, something that is there shows that the search reads."""

PLACES = [
    *("output of server, guard and proxy", "database and object store"),
    *("run directory and containers' directories", "what the engine tells of containers"),
    *("environment and command line of our processes", "what containers printed"),
    *("root file system of containers", "history of the image", "layers of the image"),
    *("metrics", "recorded events"),
]


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_in_a_place_where_the_decoy_is_found(ran: Ran, place: str, tell: Tell) -> None:
    command, search = _places(ran)[place]
    decoy = NO_DECOY.get(place, DECOY.encode())
    found = search([*NEEDLES, decoy])
    assert decoy in found, "the search finds what is there"
    names = [name for name, value in PLANTED.items() if value.encode() in found]
    tell(
        place,
        command=f"{command} for {len(PLANTED)} planted secrets and a decoy",
        expected="the decoy alone",
        seen=f"the decoy{', and ' + ', '.join(names) if names else ' alone'}",
        held=not names,
    )


def test_the_box_holds_none_in_memory_files_or_environments(ran: Ran, tell: Tell) -> None:
    lines = ran.inside.splitlines()
    assert lines[-1] == "searched", ran.inside
    decoy = DECOY[::-1]  # told back to front, too
    kinds = {line.split()[2] for line in lines if decoy in line}
    assert ran.searched_inside <= kinds, lines
    others = sorted({line for line in lines[:-1] if decoy not in line})
    tell(
        "memory, files and environments of a container, from inside",
        command="search /proc/*/{environ,cmdline,mem} and all files, as the agent's user",
        expected="the decoy alone",
        seen=f"the decoy in {', '.join(sorted(kinds))}; {'; '.join(others) or 'nothing else'}",
        held=not others,
    )


def test_the_proxy_is_where_they_are(ran: Ran) -> None:
    """The control of it all: the process that may hold them does."""
    (proxy,) = ran.server.processes(PROXY)
    held = process_holds(proxy, [value.encode() for value in IN_THE_PROXYS_FILE.values()])
    assert len(held) == len(IN_THE_PROXYS_FILE)
