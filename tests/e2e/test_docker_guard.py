"""A server that was taken over: what it can do to the host and the engine, which is nothing new."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, hakoiri, usual_runtime
from tests.e2e.scripts import RUN
from tests.e2e.test_failures import is_ready
from tests.e2e.test_processes import (
    GUARD,
    PROXY,
    SERVER,
    as_taken_over,
    process,
    seen_by,
    taken_over,
)
from tests.engine import TestEngine
from tests.moved_tag import tagged
from tests.waiting import until

from hakoiri.wire.guard import engine_name

pytestmark = [pytest.mark.engine, pytest.mark.root]

CALL = """
import http.client, json, socket, sys

class Guard(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])

guard = Guard("localhost", timeout=30)
method, target, body = sys.argv[2:5]
headers = {"Content-Type": "application/json"} if body else {}
guard.request(method, target, body or None, headers)
answer = guard.getresponse()
print(json.dumps([answer.status, json.loads(answer.read() or b"null")]))
"""


@pytest.fixture(scope="module")
def tag() -> str:
    """The name of the server's image: of these tests alone, so that they may move it."""
    return f"hakoiri-guarded-{secrets.token_hex(8)}:1"


@pytest.fixture(scope="module")
def put_another_image(engine: TestEngine, image: str, tag: str) -> Iterator[Callable[[], str]]:
    """Put another image under the tag, and return its id."""
    with tagged(engine, tag, image) as put:
        yield put


@pytest.fixture(scope="module")
def server(
    engine: TestEngine,
    put_another_image: Callable[[], str],
    tag: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hakoiri]:
    del put_another_image  # the tag is there
    with hakoiri(
        tmp_path_factory.mktemp("guard"),
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": tag},
    ) as running:
        running.turn(running.conversation(), "hello")
        yield running


@pytest.fixture(scope="module")
def foreign(server: Hakoiri, image: str) -> Iterator[str]:
    """A container of somebody else on the same engine."""
    made = server.docker(
        "run", "--detach", "--network=none", "--entrypoint=sleep", image, "infinity"
    )
    yield made
    server.docker("rm", "--force", made)


def run_code(server: Hakoiri, code: str, *arguments: str) -> tuple[int, str]:
    """Run Python where the server is and as what it is; return exit code and all that it said."""
    done = as_taken_over(process(server, SERVER), sys.executable, "-I", "-c", code, *arguments)
    return done.returncode, done.stdout + done.stderr


def call(
    server: Hakoiri, method: str, target: str, document: object = None
) -> tuple[int, dict[str, Any]]:
    """Call the guard as the server could."""
    socket = str(server.run_dir / "guard" / "docker.sock")
    body = "" if document is None else json.dumps(document)
    code, said = run_code(server, CALL, socket, method, target, body)
    assert code == 0, said
    status, answer = json.loads(said)
    return status, answer or {}


def container_of(server: Hakoiri) -> tuple[str, dict[str, Any]]:
    """The live container's id with us, and what the engine shows of it."""
    shown = server.inspect(server.containers()[0])
    return shown["Config"]["Labels"]["hakoiri.container"], shown


def sealed_body(server: Hakoiri, container_id: str) -> dict[str, Any]:
    """What the server itself asks for, taken from the live container."""
    shown = container_of(server)[1]
    config, host = shown["Config"], shown["HostConfig"]
    return {
        "Image": shown["Image"],
        **{name: config[name] for name in ("User", "Hostname", "WorkingDir", "OpenStdin", "Tty")},
        "NetworkDisabled": True,
        "Env": [],
        "Labels": {**config["Labels"], "hakoiri.container": container_id},
        "HostConfig": {
            **{
                name: host[name]
                for name in (
                    *("Runtime", "NetworkMode", "ReadonlyRootfs", "Privileged", "CapDrop"),
                    *("SecurityOpt", "IpcMode", "PidMode", "UTSMode", "CgroupnsMode"),
                    *("PidsLimit", "Memory", "MemorySwap", "NanoCpus", "CpuShares", "OomScoreAdj"),
                    *("Ulimits", "Tmpfs", "ShmSize", "Init", "AutoRemove", "LogConfig"),
                    *("UsernsMode", "MaskedPaths", "ReadonlyPaths"),
                )
            },
            "CapAdd": [],
            "Devices": [],
            "DeviceCgroupRules": [],
            "DeviceRequests": [],
            "RestartPolicy": {"Name": "no"},
            "Mounts": [
                {**mount, "Source": name, "ReadOnly": name == "proxy"}
                for mount, name in zip(
                    host["Mounts"], ("workspace", "home", "proxy", "agent"), strict=True
                )
            ],
        },
    }


NEW = "c" + "0" * 16


def create(server: Hakoiri, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return call(server, "POST", f"/v1.41/containers/create?name={engine_name(NEW)}", body)


AUDIT_PAGE = 200


def refusals(server: Hakoiri) -> list[dict[str, Any]]:
    """What the audit log says of refused calls, newest first."""
    query = f"event=engine_call_refused&limit={AUDIT_PAGE}"
    found: list[dict[str, Any]] = server.api.call("GET", f"/v1/audit?{query}")["events"]
    assert len(found) < AUDIT_PAGE
    return found


def newest_refusal(server: Hakoiri, *, after: int) -> dict[str, Any]:
    """Return it once the audit log has more than `after`; it must be the guard's own word."""

    def newer() -> list[dict[str, Any]]:
        found = refusals(server)
        return found if len(found) > after else []

    newest = until(newer, "the refusal is not in the audit log")[0]
    assert newest["metadata"]["log_name"] == "guard"
    told: dict[str, Any] = newest["unmapped"]
    return told


def test_what_the_server_itself_asks_for_passes_and_is_sealed(server: Hakoiri) -> None:
    """The control of the tests below: the same body, unchanged, makes a container."""
    name = engine_name(NEW)
    assert call(server, "PUT", f"/boxes/{NEW}")[0] == 201
    proxy = server.run_dir / "proxy" / NEW
    code, said = run_code(server, f"import os; os.mkdir({str(proxy)!r})")
    assert code != 0, "not even beside the proxy's sockets can it make a directory"
    assert "Read-only" in said or "Permission" in said
    try:
        status, answer = create(server, sealed_body(server, NEW))
        assert (status, answer["type"]) == (500, "urn:hakoiri:problem:box-failed")
        assert "proxy" in answer["detail"]
        as_taken_over(process(server, PROXY), "mkdir", "--mode=0750", str(proxy))
        status, answer = create(server, sealed_body(server, NEW))
        assert status == 201, answer
        assert server.inspect(answer["Id"])["HostConfig"]["Privileged"] is False
        sources = {one["Source"] for one in server.inspect(answer["Id"])["HostConfig"]["Mounts"]}
        assert {Path(source).parent for source in sources} == {
            server.tree / NEW,
            server.disks / NEW,
        }
        assert call(server, "POST", f"/v1.41/containers/{name}/start")[0] == 204
        assert call(server, "POST", f"/v1.41/containers/{name}/pause")[0] == 204
        assert call(server, "POST", f"/v1.41/containers/{name}/unpause")[0] == 204
        assert call(server, "GET", f"/v1.41/containers/{name}/json")[1]["State"]["Running"]
    finally:
        call(server, "DELETE", f"/v1.41/containers/{name}?force=1&v=1")
        assert call(server, "DELETE", f"/boxes/{NEW}")[0] == 204
        as_taken_over(process(server, PROXY), "rmdir", str(proxy))
    assert NEW not in server.boxes()


HOSTILE: list[tuple[str, dict[str, Any]]] = [
    ("privileged", {"Privileged": True}),
    ("capabilities", {"CapAdd": ["SYS_ADMIN"]}),
    ("host network", {"NetworkMode": "host"}),
    ("host processes", {"PidMode": "host"}),
    ("host users", {"UsernsMode": "host"}),
    ("binds", {"Binds": ["/:/host"]}),
    ("volumes of another", {"VolumesFrom": ["other"]}),
    ("devices", {"Devices": [{"PathOnHost": "/dev/kmsg", "PathInContainer": "/k"}]}),
    ("unconfined", {"SecurityOpt": ["no-new-privileges:true", "seccomp=unconfined"]}),
    ("runtime", {"Runtime": "runc" if usual_runtime() == "runsc" else "runsc"}),
    ("memory", {"Memory": 2**50, "MemorySwap": 2**50}),
]


@pytest.mark.parametrize(("change"), [one for _, one in HOSTILE], ids=[name for name, _ in HOSTILE])
def test_a_container_that_is_less_sealed_is_refused(
    server: Hakoiri, change: dict[str, Any]
) -> None:
    body = sealed_body(server, NEW)
    body["HostConfig"] |= change
    before = len(refusals(server))
    status, answer = create(server, body)
    assert status == 403, answer
    assert answer["type"] == "urn:hakoiri:problem:container-not-sealed"
    audited = newest_refusal(server, after=before)
    assert (audited["code"], audited["container"]) == ("container-not-sealed", NEW)
    assert audited["reason"] == answer["detail"]
    assert server.docker("ps", "--all", "--quiet", "--filter", f"name={engine_name(NEW)}") == ""


@pytest.mark.parametrize("source", ["/etc", "/var/run/docker.sock", "../../../../../etc"])
def test_a_mount_with_a_path_is_refused(server: Hakoiri, source: str) -> None:
    body = sealed_body(server, NEW)
    body["HostConfig"]["Mounts"][0]["Source"] = source
    assert create(server, body)[0] == 403


def test_another_image_is_refused(server: Hakoiri) -> None:
    body = sealed_body(server, NEW)
    body["Image"] = body["Labels"]["hakoiri.image"] = "sha256:" + "0" * 64
    before = len(refusals(server))
    status, answer = create(server, body)
    assert (status, answer["type"]) == (403, "urn:hakoiri:problem:image-not-ours")
    assert newest_refusal(server, after=before)["code"] == "image-not-ours"


def test_an_image_that_is_put_under_the_tag_is_not_ours_and_turns_go_on(
    server: Hakoiri, put_another_image: Callable[[], str], tag: str
) -> None:
    """Neither the guard that runs nor one that the supervisor starts anew takes it."""
    first, boxes = container_of(server)[1]["Image"], server.boxes()
    another = put_another_image()
    for is_anew in (False, True):
        if is_anew:
            before = process(server, GUARD)
            os.kill(before, signal.SIGKILL)
            until(lambda: is_ready(server) and server.processes(GUARD) not in ([], [before]))  # noqa: B023
        body = sealed_body(server, NEW)
        body["Image"] = body["Labels"]["hakoiri.image"] = another
        status, answer = create(server, body)
        assert (status, answer["type"]) == (403, "urn:hakoiri:problem:image-not-ours")
        assert call(server, "GET", f"/v1.41/images/{tag}/json") == (200, {"Id": first})
    conversation = server.conversation()
    assert server.turn(conversation, "hello")[-1]["type"] == "result"
    assert {server.inspect(one)["Image"] for one in server.containers()} == {first}
    server.api.call("DELETE", f"/v1/conversations/{conversation}")
    until(lambda: len(server.boxes()) == len(boxes))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "containers/{foreign}/exec"),
        ("GET", "containers/{foreign}/json"),
        ("POST", "containers/{foreign}/stop?t=0"),
        ("DELETE", "containers/{foreign}?force=1"),
        ("GET", "containers/{foreign}/archive?path=/etc"),
        ("GET", "containers/{foreign}/logs?stdout=1"),
        ("POST", "containers/{ours}/exec"),
        ("GET", "containers/{ours}/archive?path=/etc"),
        ("POST", "images/create?fromImage=x"),
        ("POST", "build"),
        ("POST", "volumes/create"),
        ("GET", "containers/json?all=1"),
    ],
)
def test_every_other_call_and_every_foreign_container_is_refused(
    server: Hakoiri, foreign: str, method: str, path: str
) -> None:
    ours = engine_name(container_of(server)[0])
    document = {"Cmd": ["id"]} if method == "POST" and "stop" not in path else None
    target, before = "/v1.41/" + path.format(foreign=foreign, ours=ours), len(refusals(server))
    status, answer = call(server, method, target, document)
    assert status in {400, 403}, answer
    audited = newest_refusal(server, after=before)
    assert (audited["method"], audited["target"]) == (method, target)
    assert answer["type"] == f"urn:hakoiri:problem:{audited['code']}"
    assert server.inspect(foreign)["State"]["Running"]


def test_the_engines_socket_is_nowhere_in_sight(server: Hakoiri) -> None:
    path = server.docker_host.removeprefix("unix://")
    code = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    found = [path, f"/proc/1/root{path}", f"/proc/{process(server, GUARD)}/root{path}"]
    for way in found:
        exit_code, said = run_code(server, code, way)
        assert exit_code != 0, way
        assert "FileNotFoundError" in said or "PermissionError" in said
    # the same code, where the guard is, connects
    done = as_taken_over(process(server, GUARD), sys.executable, "-I", "-c", code, path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "path",
    [
        "/etc/hakoiri-planted",
        "/usr/bin/hakoiri-planted",
        "/var/lib/hakoiri-planted",
        "/sys/kernel/hakoiri-planted",
        "{tree}/planted",
        "{tree}/{container}/planted",
        "{tree}/{container}/proxy/planted",
        "{disks}/planted",
        "{disks}/{container}/planted",
        "{run_dir}/proxy/planted",
        "{code}/planted.py",
    ],
)
def test_nothing_of_the_host_can_be_written(server: Hakoiri, path: str) -> None:
    target = path.format(
        tree=server.tree,
        disks=server.disks,
        container=container_of(server)[0],
        run_dir=server.run_dir,
        code=Path(__file__).parents[2] / "src" / "hakoiri",
    )
    exit_code, said = run_code(server, "import sys; open(sys.argv[1], 'w')", target)
    assert exit_code != 0
    assert "Read-only" in said or "PermissionError" in said or "FileNotFoundError" in said
    assert not Path(target).exists()


def test_the_images_of_disks_and_their_sizes_are_not_the_servers(server: Hakoiri) -> None:
    assert seen_by(process(server, SERVER), server.tree.parent) == [server.tree.name]
    image = server.disks / container_of(server)[0] / "workspace.img"
    assert image.stat().st_size == 4096 * 1024**2
    exit_code, said = run_code(server, "import sys; open(sys.argv[1], 'r+b')", str(image))
    assert exit_code != 0
    assert "FileNotFoundError" in said
    # nothing of a size goes over the guard's socket
    assert call(server, "PUT", f"/boxes/{NEW}?workspace_mib=1")[0] in {400, 403}
    assert call(server, "PUT", f"/boxes/{NEW}", {"workspace_mib": 1})[0] in {400, 403}


def test_no_disk_and_no_memory_of_the_host_can_be_opened(server: Hakoiri) -> None:
    assert seen_by(process(server, SERVER), Path("/dev")) == [
        "full",
        "null",
        "random",
        "urandom",
        "zero",
    ]
    mounted = as_taken_over(process(server, SERVER), "mount", "-t", "devtmpfs", "d", "/mnt")
    assert mounted.returncode != 0


@pytest.mark.parametrize("name", ["workspace", "home", "agent", "proxy"])
def test_a_boxs_directories_cannot_be_swapped_and_files_can_be_written(
    server: Hakoiri, name: str
) -> None:
    base = server.tree / container_of(server)[0]
    before = (base / name).stat().st_ino
    for code in (
        "import os, sys; os.rename(sys.argv[1], sys.argv[1] + '.old')",
        "import os, sys; os.rmdir(sys.argv[1])",
        "import os, sys; os.symlink('/etc', sys.argv[1] + '.new')",
        "import os, sys; os.rename(os.path.dirname(sys.argv[1]), sys.argv[1] + '/../../moved')",
        "import os, sys; os.link('/etc/passwd', sys.argv[1] + '/passwd')",
    ):
        exit_code, said = run_code(server, code, str(base / name))
        assert exit_code != 0, code
        assert "OSError" in said or "PermissionError" in said
    assert (base / name).stat().st_ino == before
    assert sorted(path.name for path in base.iterdir()) == ["agent", "home", "proxy", "workspace"]
    if name in {"workspace", "home"}:
        write = "import sys; open(sys.argv[1] + '/restored', 'w').write('kept')"
        assert run_code(server, write, str(base / name)) == (0, "")
        assert (base / name / "restored").read_text() == "kept"


SWAP = """
import os, sys, time
print("swapping", flush=True)
while True:
    for path in sys.argv[1:]:
        for act in (
            lambda: os.rename(path, path + ".old"),
            lambda: os.symlink("/etc", path),
            lambda: os.unlink(path),
            lambda: os.rename(path + ".old", path),
        ):
            try:
                act()
            except OSError:
                pass
            time.sleep(0.0002)
"""
SWAP_ROUNDS = 60
"""So many creates are tried until two of them came through between the swaps."""


def test_swapping_directories_for_links_during_create_shows_the_box_nothing_of_the_host(
    server: Hakoiri,
) -> None:
    """The server swaps all that it knows of a box; the proxy, taken over too, its own directory."""
    name, base = engine_name(NEW), server.tree / NEW
    proxy = server.run_dir / "proxy" / NEW
    as_taken_over(process(server, PROXY), "mkdir", "--mode=0750", str(proxy))
    attackers = [
        subprocess.Popen(
            taken_over(process(server, module), sys.executable, "-I", "-c", SWAP, *at),
            stdout=subprocess.PIPE,
        )
        for module, at in (
            (SERVER, [str(base), *(f"{base}/{one}" for one in ("workspace", "home", "agent"))]),
            (PROXY, [str(proxy)]),
        )
    ]
    made = 0
    try:
        for attacker in attackers:
            assert attacker.stdout is not None
            assert attacker.stdout.readline() == b"swapping\n"
        for _ in range(SWAP_ROUNDS):
            if made == 2:
                break
            assert call(server, "PUT", f"/boxes/{NEW}")[0] == 201
            status, answer = create(server, sealed_body(server, NEW))
            # the proxy's directory was away or a link just then
            assert status == 201 or answer["type"] == "urn:hakoiri:problem:box-failed"
            made += status == 201
            assert all(attacker.poll() is None for attacker in attackers)
            for source in ("workspace", "home", "agent", "proxy"):
                path = base / source
                assert path.is_dir()
                assert not path.is_symlink()
                assert not (path / "passwd").exists()
            call(server, "DELETE", f"/v1.41/containers/{name}?force=1&v=1")
            assert call(server, "DELETE", f"/boxes/{NEW}")[0] == 204
    finally:
        for attacker in attackers:
            attacker.kill()
            attacker.communicate()
        call(server, "DELETE", f"/v1.41/containers/{name}?force=1&v=1")
        call(server, "DELETE", f"/boxes/{NEW}")
        for left in (proxy, proxy.with_name(NEW + ".old")):
            as_taken_over(process(server, PROXY), "sh", "-c", f"rm -f {left} || rmdir {left}")
    assert made == 2, "some were made while both swapped"


def test_the_proxy_cannot_call_the_guard(server: Hakoiri) -> None:
    path = str(server.run_dir / "guard" / "docker.sock")
    done = as_taken_over(
        process(server, PROXY), sys.executable, "-I", "-c", CALL, path, "GET", "/v1.41/info", ""
    )
    assert done.returncode != 0
    assert "FileNotFoundError" in done.stderr or "PermissionError" in done.stderr


def test_a_guard_that_dies_is_started_again_and_goes_on_with_what_is_there(
    server: Hakoiri,
) -> None:
    conversation = server.conversation()
    assert server.turn(conversation, "hello")[-1]["type"] == "result"
    before = process(server, GUARD)
    boxes = server.boxes()
    os.kill(before, signal.SIGKILL)
    until(lambda: is_ready(server) and server.processes(GUARD) not in ([], [before]))
    assert server.turn(conversation, "hello")[-1]["type"] == "result"
    other = server.conversation()
    assert server.turn(other, "hello")[-1]["type"] == "result"
    assert len(server.boxes()) == len(boxes) + 1
    for one in (conversation, other):
        server.api.call("DELETE", f"/v1/conversations/{one}")
    until(lambda: len(server.boxes()) == len(boxes) - 1)


def test_calls_are_in_the_log_one_line_each(server: Hakoiri) -> None:
    call(server, "GET", "/v1.41/containers/json?all=1&x=%0a%22event%22")
    lines = [json.loads(line) for line in server.log_lines() if '"event": "engine_call_' in line]
    refused = [line for line in lines if line["event"] == "engine_call_refused"]
    assert any("x=%0a" in line["target"] for line in refused)
    made = [line for line in lines if line["target"].startswith("/v1.41/containers/create")]
    assert {"engine_call_allowed"} <= {line["event"] for line in made}
    old = [line["status"] for line in lines if line["target"] == "/images/old"]
    assert old == [200], "they are looked for when the server starts"
    assert all(line["uid"] is not None and line["status"] for line in lines)
