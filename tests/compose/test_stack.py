"""The stack of docker-compose.yml on a real engine: it works, and nobody in it can do more."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from tests.compose.stack import Stack, until
from tests.trace_receiver import ReceivedSpan

from hakoiri.cli.api_client import ApiError

pytestmark = [
    pytest.mark.compose,
    pytest.mark.engine,
    pytest.mark.root,
    pytest.mark.timeout(1500),  # where nothing is cached, images are made first
]

CAPABILITIES = {
    "docker-guard": {"cap_chown", "cap_dac_override", "cap_fowner", "cap_sys_admin"},
    "server": {"cap_chown", "cap_dac_override", "cap_fowner"},
}
USERS = {
    "audit-keeper": 8423,
    "audit-reader": 8424,
    "audit-shipper": 8425,
    "docker-guard": 8422,
    "credential-proxy": 8421,
    "redis": 8426,
    "postgres": 8427,
    "server": 8420,
    "prometheus": 8428,
    "rehearsal": 65534,
}
BITS = {"cap_chown": 0, "cap_dac_override": 1, "cap_fowner": 3, "cap_sys_admin": 21}
PYTHON = ("/opt/hakoiri/bin/python", "-c")
DIAL = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 8000), timeout=5).close()
    print("reached")
except OSError as error:
    print(type(error).__name__, error.errno)
"""
WORLD = """
import socketserver
class Nothing(socketserver.BaseRequestHandler):
    def handle(self): pass
socketserver.TCPServer(("", 8000), Nothing).serve_forever()
"""


def test_every_service_is_healthy_and_the_server_ready(running: Stack) -> None:
    containers = running.containers()
    assert set(containers) == {*USERS, "prepare"}
    assert containers["prepare"]["State"]["ExitCode"] == 0
    for name in USERS:
        assert containers[name]["State"]["Health"]["Status"] == "healthy"
    assert running.api.call("GET", "/ready")["reasons"] == []


def test_a_turn_of_the_real_cli_runs_through_it(running: Stack) -> None:
    conversation = running.conversation()
    events = list(running.api.send(conversation, "run: id -u > who; cat who"))
    assert events[-1]["type"] == "result", events[-1]
    assert events[-1]["data"]["text"] == "done: 1000"
    listed = running.api.call("GET", f"/v1/conversations/{conversation}/workspace/files?list")
    assert "who" in json.dumps(listed)
    again = list(running.api.send(conversation, "run: cat who"))
    assert again[-1]["data"]["text"] == "done: 1000"


def test_a_request_without_a_key_is_refused(running: Stack) -> None:
    bare = type(running.api)(f"http://{running.addresses.server}:8420")
    with pytest.raises(ApiError) as refused:
        bare.call("GET", "/v1/conversations")
    assert refused.value.problem is not None
    assert refused.value.problem.status == 401


@pytest.mark.parametrize("name", sorted(USERS))
def test_a_process_is_its_user_with_its_capabilities_and_no_others(
    running: Stack, name: str
) -> None:
    processes = running.processes(name)
    assert processes
    for status in processes:
        assert set(status["Uid"].split()) == {str(USERS[name])}
        allowed = sum(1 << BITS[one] for one in CAPABILITIES.get(name, ()))
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[kind], 16) & ~allowed == 0, kind
        assert int(status["CapEff"], 16) == allowed
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"


@pytest.mark.parametrize("name", sorted(USERS))
def test_a_root_cannot_be_written(running: Stack, name: str) -> None:
    for user in (None, "0:0"):
        said = running.within(
            name,
            "sh",
            "-c",
            "touch /usr/planted 2>&1 || true; ls /usr/planted 2>&1 || true",
            user=user,
        )
        assert "Read-only file system" in said or "Permission denied" in said
        assert "No such file" in said
    assert running.containers()[name]["HostConfig"]["ReadonlyRootfs"]


def test_no_secret_is_in_an_environment_or_in_what_the_engine_tells(running: Stack) -> None:
    values = running.secrets() | {"key": running.key}
    assert len(values) >= 6
    told = json.dumps(running.containers())
    for image in {one["Image"] for one in running.containers().values()}:
        told += running.docker("history", "--no-trunc", image)
    for name in USERS:
        if name == "rehearsal":  # the stand-in takes its own from there; a model's has none
            continue
        for status in running.processes(name):
            told += Path(f"/proc/{status['pid']}/environ").read_text()
            told += Path(f"/proc/{status['pid']}/cmdline").read_text()
    assert [name for name, value in values.items() if value in told] == []


def test_a_secret_is_seen_by_who_needs_it_alone(running: Stack) -> None:
    assert (running.base / "secrets").stat().st_mode & 0o777 == 0o700
    for name in USERS:
        seen = running.within(name, "sh", "-c", "ls /run/secrets 2>/dev/null || true").split()
        wanted = {
            "credential-proxy": ["model_key", "proxy_file"],
            "redis": ["redis_file"],
            "postgres": ["postgres_password"],
            "server": ["postgres_passfile", "redis_credentials"],
            "prometheus": ["metrics_key"],
            "rehearsal": ["rehearsal_key"],
            "audit-shipper": ["ship_file"],
        }
        assert sorted(seen) == wanted.get(name, []), name


def test_the_guard_alone_sees_the_engines_socket(running: Stack) -> None:
    engine = Path(running.docker_host.removeprefix("unix://")).stat()
    for name in USERS:
        first = running.containers()[name]["State"]["Pid"]
        root = Path(f"/proc/{first}/root")
        lines = Path(f"/proc/{first}/mountinfo").read_text().splitlines()
        # a file that is mounted over something, and all that lies where a socket may
        places = {root / line.split()[4].removeprefix("/") for line in lines}
        for top in ("run", "srv", "var/lib", "tmp"):
            for directory, _, files in os.walk(root / top):
                places |= {Path(directory, file) for file in files}
        seen = [status for place in places if (status := status_of(place)) is not None]
        found = (engine.st_dev, engine.st_ino) in {(one.st_dev, one.st_ino) for one in seen}
        assert found == (name == "docker-guard"), name


def status_of(path: Path) -> os.stat_result | None:
    try:
        return path.stat(follow_symlinks=False)
    except OSError:
        return None


def test_the_servers_view_of_the_boxes_is_read_only_but_for_their_insides(running: Stack) -> None:
    list(running.api.send(running.conversation(), "run: true"))
    tree = running.base / "live" / running.instance
    box = next(tree.iterdir()).name
    refused = "mv {0} {0}x 2>&1; ln -s /etc {1}/link 2>&1; touch {0}/file 2>&1; true"
    said = running.within("server", "sh", "-c", refused.format(f"{tree}/{box}", tree), user="0:0")
    assert said.count("Read-only file system") == 3, said
    assert [one.name for one in tree.iterdir() if one.name in {"link", f"{box}x"}] == []
    running.within("server", "touch", f"{tree}/{box}/workspace/by-the-server", user="0:0")
    assert (tree / box / "workspace/by-the-server").exists()


def test_the_guard_can_open_loop_devices_and_no_other_disk(running: Stack) -> None:
    disk = next(
        (
            path
            for path in sorted(Path("/dev").iterdir())
            if re.fullmatch(r"(vd|sd)[a-z]", path.name)
        ),
        None,
    )
    read = (
        "import os, sys\nfor name in sys.argv[1:]:\n  os.open(name, os.O_RDONLY)\n  print('opened')"
    )
    assert running.within("docker-guard", *PYTHON, read, "/dev/loop-control") == "opened"
    for name in (disk, Path("/dev/kmsg")):
        if name is None:
            continue
        with pytest.raises(AssertionError, match="Operation not permitted"):
            running.within("docker-guard", *PYTHON, read, str(name))


@pytest.fixture
def world(running: Stack) -> Iterator[str]:
    """Something that listens outside: on the network that the proxy has."""
    image = running.variables["IMAGE"]
    network = f"{running.project}_outside"
    made = running.docker(
        *("run", "-d", "--network", network, "--entrypoint", PYTHON[0], image, "-c", WORLD)
    )
    try:
        told = json.loads(running.docker("inspect", made))[0]
        yield told["NetworkSettings"]["Networks"][network]["IPAddress"]
    finally:
        running.docker("rm", "--force", made)


def test_the_proxy_reaches_outside_and_the_server_does_not(running: Stack, world: str) -> None:
    until(lambda: running.within("credential-proxy", *PYTHON, DIAL, world) == "reached")
    assert running.within("server", *PYTHON, DIAL, world) == "OSError 101", "no route"
    for name in ("server", "prometheus"):
        assert running.containers()[name]["HostConfig"]["Dns"] == ["127.0.0.1"]


@pytest.mark.parametrize(
    "name",
    ["audit-keeper", "audit-reader", "audit-shipper", "docker-guard", "redis", "postgres"],
)
def test_who_speaks_by_sockets_has_no_network(running: Stack, name: str) -> None:
    pid = running.containers()[name]["State"]["Pid"]
    interfaces = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]


def ask_prometheus(running: Stack, query: str) -> list[dict[str, Any]]:
    url = f"http://{running.addresses.prometheus}:9090/api/v1/query?query={quote(query)}"
    with urlopen(url, timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return found


def test_prometheus_scrapes_server_and_proxy_and_has_the_rules(running: Stack) -> None:
    list(running.api.send(running.conversation(), "run: true"))
    until(lambda: any(one["value"][1] == "1" for one in ask_prometheus(running, "up")))
    names = ("hakoiri_turns_total", "hakoiri_proxy_requests_total")
    until(lambda: all(ask_prometheus(running, f"{name} > 0") for name in names))
    with urlopen(f"http://{running.addresses.prometheus}:9090/api/v1/rules", timeout=10) as answer:
        assert len(json.load(answer)["data"]["groups"]) > 3


def test_the_audit_chains_verify(running: Stack) -> None:
    list(running.api.send(running.conversation(), "run: true"))
    chains = json.loads(running.compose("run", "--rm", "-T", "audit", "verify", "--json"))["chains"]
    assert {one["chain"] for one in chains} == {"server", "proxy", "guard", "operator"}
    assert [one for one in chains if one["broken"]] == []
    assert all(one["lines"] > 0 for one in chains), chains


def test_the_audit_log_is_copied_to_a_directory_that_verifies_by_itself(running: Stack) -> None:
    list(running.api.send(running.conversation(), "run: true"))

    def is_copied() -> bool:
        told = running.compose("run", "--rm", "-T", "audit", "ship", "status", "--json")
        (target,) = json.loads(told)["targets"]
        chains = target["chains"].values()
        return len(chains) == 5 and not any(one["waiting_bytes"] for one in chains)

    until(is_copied)
    for name in ("server", "proxy", "guard", "operator", "heads"):
        assert list((running.audit_copy / name).glob("*.jsonl")), name
    (key,) = (running.base / "audit").glob("*/keeper/public.pem")
    told = running.run(
        *(sys.executable, "-P", "-m", "hakoiri.cli", "audit", "verify", "--json"),
        *("--dir", running.audit_copy, "--key", key, "--behind", "5m"),
    )
    assert [one for one in json.loads(told)["chains"] if one["broken"]] == []
    degraded = running.api.call("GET", "/ready")["degraded"]
    assert {one["what"] for one in degraded} <= {"apparmor"}, degraded
    assert ask_prometheus(running, "hakoiri_audit_ship_told_age_seconds < 60")


def test_one_trace_has_the_spans_of_server_and_proxy(running: Stack) -> None:
    conversation = running.conversation()
    list(running.api.send(conversation, "run: true"))

    def mine(spans: list[ReceivedSpan]) -> set[str]:
        traces = {
            span.trace_id
            for span in spans
            if span.told.get("gen_ai.conversation.id") == conversation
        }
        return {span.service for span in spans if span.trace_id in traces}

    spans = running.collector.wait(lambda spans: mine(spans) == {"hakoiri-server", "hakoiri-proxy"})
    assert {span.resource["service.instance.id"] for span in spans} == {running.instance}


def test_a_server_in_production_does_not_start_where_a_layer_is_missing(running: Stack) -> None:
    (running.base / "image.pub").write_text("planted\n")
    (running.base / "images").mkdir()
    with pytest.raises(AssertionError) as refused:
        running.compose(
            *("run", "--rm", "-T", "--no-deps", "production"),
            more=("deployment/compose/production.yml",),
        )
    said = str(refused.value)
    line = r"hakoiri service production: production: ([a-z -]+): (.+); mend: "
    lines = dict(re.findall(line, said))
    assert lines["model"].startswith("the rehearsal model answers")
    assert lines["probe"].startswith("no box is tried")
    # what only somebody with the engine's socket, the kernel's log and the database can tell
    for seen in ("engine", "seccomp", "limits", "kernel log", "api keys", "audit log"):
        assert seen not in lines, lines
    assert "image signature" not in lines, "a key is named"
