"""`hakoiri docker-guard` before a real engine, called by the server's own adapter and by others."""

import contextlib
import json
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.engine import TestEngine
from tests.moved_tag import tagged

from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.host.containers.box import read_box
from hakoiri.host.containers.hardening import engine_configuration
from hakoiri.host.containers.ports import EngineError, ImageMissingError
from hakoiri.host.settings import Settings
from hakoiri.wire.guard import engine_name

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.root]

INSTANCE = "0123456789ab"
START_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Alone:
    """A guard that runs alone."""

    socket: Path
    sockets: Path
    tree: Path
    log: Path
    engine: str

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def docker(self, *arguments: str) -> str:
        return subprocess.run(
            ["docker", "--host", self.engine, *arguments],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def call(self, method: str, target: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
        """Call it with curl, as a stranger to our code would."""
        command = ["curl", "--silent", "--unix-socket", str(self.socket), "--path-as-is"]
        command += ["--request", method, "--write-out", "\n%{http_code}", f"http://guard{target}"]
        if body:
            command += ["--header", "Content-Type: application/json", "--data-binary", "@-"]
        done = subprocess.run(command, input=body, capture_output=True, check=True)
        text, _, status = done.stdout.decode().rpartition("\n")
        return int(status), json.loads(text) if text else {}


@contextmanager
def alone(root: Path, engine: str, *options: str) -> Iterator[Alone]:
    made = Alone(root / "g.sock", root / "proxy", root / "tree", root / "log", engine)
    made.sockets.mkdir(exist_ok=True)
    with made.log.open("w") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "hakoiri.cli", "docker-guard"),
                *("--listen", str(made.socket), "--engine", engine),
                *("--live-dir", str(made.tree), "--proxy-sockets", str(made.sockets), *options),
            ],
            stdout=log,
            cwd="/",
        )
    try:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not made.socket.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        yield made
    finally:
        process.terminate()
        assert process.wait(START_TIMEOUT_S) == 0
        assert not made.socket.exists()


@pytest.fixture(scope="module")
def guard(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Alone]:
    root = tmp_path_factory.mktemp("alone")
    options = ("--instance", INSTANCE, "--image", image, "--runtime", "runc", "--runtime", "runsc")
    with alone(root, engine.docker_host, *options) as made:
        yield made


@pytest.fixture
async def behind(guard: Alone) -> AsyncIterator[DockerEngine]:
    async with DockerEngine(f"unix://{guard.socket}") as adapter:
        yield adapter


@pytest.fixture
async def container_id(guard: Alone, behind: DockerEngine) -> AsyncIterator[str]:
    """A container that is to be: its directories are made, and all of it is removed afterwards."""
    made = f"c{secrets.token_hex(8)}"
    (guard.sockets / made).mkdir()
    await behind.make_box(made)
    yield made
    with contextlib.suppress(EngineError):
        await behind.remove(engine_name(made))
    await behind.remove_box(made)
    assert made not in await behind.list_boxes()


async def body_of(
    behind: DockerEngine, container_id: str, image: str, runtime: Any = "runc"
) -> dict[str, Any]:
    settings = Settings.model_validate({"container": {"runtime": runtime}})
    box = read_box(settings, instance=INSTANCE)
    return engine_configuration(box.maker(await behind.image_id(image))(container_id))


@pytest.mark.parametrize("runtime", ["runc", "runsc"])
async def test_a_containers_whole_life_through_the_servers_adapter(
    guard: Alone, behind: DockerEngine, container_id: str, image: str, runtime: str
) -> None:
    name = engine_name(container_id)
    await behind.check(runtime=runtime)
    engine_id = await behind.create(
        name=name, config=await body_of(behind, container_id, image, runtime)
    )
    (shown,) = json.loads(guard.docker("inspect", engine_id))
    assert {mount["Source"] for mount in shown["Mounts"]} == {
        f"{guard.tree}.disks/{container_id}/workspace",
        f"{guard.tree}.disks/{container_id}/home",
        f"{guard.tree}/{container_id}/proxy",
        f"{guard.tree}/{container_id}/agent",
    }
    assert shown["HostConfig"]["ReadonlyRootfs"] is True
    await behind.start(name)
    await behind.start(name)
    assert await behind.is_running(name)
    assert [(one.container_id, one.running) for one in await behind.list_ours(INSTANCE)] == [
        (container_id, True)
    ]
    await behind.stop(name, grace_s=0)
    assert not await behind.is_running(name)
    assert "exit code" in await behind.exit_reason(name)
    await behind.remove(name)
    await behind.remove(name)
    assert await behind.exit_reason(name) == "the engine has no such container any more"
    assert await behind.list_ours(INSTANCE) == []


HOSTILE = {
    "privileged": {"Privileged": True},
    "the socket": {"Binds": ["/var/run/docker.sock:/s"]},
    "another's files": {"VolumesFrom": ["other"]},
    "no filter": {"SecurityOpt": ["seccomp=unconfined"]},
    "the host's processes": {"PidMode": "host"},
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_a_hostile_create_makes_nothing(
    guard: Alone, behind: DockerEngine, container_id: str, image: str, case: str
) -> None:
    body = await body_of(behind, container_id, image)
    body["HostConfig"] |= HOSTILE[case]
    target = f"/v1.41/containers/create?name={engine_name(container_id)}"
    status, problem = guard.call("POST", target, json.dumps(body).encode())
    assert (status, problem["type"]) == (403, "urn:hakoiri:problem:container-not-sealed")
    assert guard.docker("ps", "--all", "--quiet", "--filter", f"name={container_id}") == ""


@pytest.mark.parametrize(
    ("target", "padding"),
    [
        ("/v1.41/containers/create?name={name}", b'"Privileged": false, "Privileged": true'),
        ("/v1.41/containers/create?name={name}", b'"x": "' + b"a" * 1_100_000 + b'"'),
        ("/v1.41//containers/create?name={name}", b""),
        ("/v1.41/containers%2fcreate?name={name}", b""),
        ("/v1.41/x/../containers/create?name={name}", b""),
        ("/v1.24/containers/create?name={name}", b""),
        ("/containers/create?name={name}", b""),
    ],
    ids=["twice", "long", "slashes", "escaped", "dots", "version", "no version"],
)
async def test_a_create_that_could_be_read_in_two_ways_makes_nothing(
    *,
    guard: Alone,
    behind: DockerEngine,
    container_id: str,
    image: str,
    target: str,
    padding: bytes,
) -> None:
    body = json.dumps(await body_of(behind, container_id, image)).encode()
    if padding:
        body = body[:-1] + b", " + padding + b"}"
    status, problem = guard.call("POST", target.format(name=engine_name(container_id)), body)
    assert status in {400, 403, 413}
    assert problem["status"] == status
    assert guard.docker("ps", "--all", "--quiet", "--filter", f"name={container_id}") == ""


async def test_what_is_not_ours_is_left_alone(guard: Alone, image: str) -> None:
    name = f"hakoiri-c{secrets.token_hex(8)}"
    foreign = guard.docker(
        *("run", "--detach", "--network=none", "--label=hakoiri.instance=another"),
        *(f"--name={name}", "--entrypoint=sleep", image, "infinity"),
    )
    try:
        for reference in (name, foreign):
            for method, rest in (
                ("GET", "/json"),
                ("POST", "/stop?t=0"),
                ("POST", "/start"),
                ("POST", "/pause"),
                ("DELETE", "?force=1&v=1"),
                ("POST", "/exec"),
                ("GET", "/archive?path=/etc"),
                ("GET", "/logs?stdout=1"),
            ):
                status, problem = guard.call(method, f"/v1.41/containers/{reference}{rest}")
                assert status == 403, (method, rest, problem)
        assert guard.docker("inspect", "--format={{.State.Status}}", foreign) == "running"
    finally:
        guard.docker("rm", "--force", foreign)


async def test_another_image_is_refused_and_a_missing_one_is_told(
    guard: Alone, behind: DockerEngine, engine: TestEngine, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match="is not an image of ours"):
        await behind.image_id("other:latest")
    gone = "sha256:" + "0" * 64
    with alone(tmp_path, engine.docker_host, "--image", gone) as made:
        async with DockerEngine(f"unix://{made.socket}") as other:
            with pytest.raises(ImageMissingError, match="hakoiri image build"):
                await other.image_id(gone)


async def test_a_tag_that_is_moved_makes_no_other_image_ours(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    """With a control: what it named at the guard's start is still made."""
    tag, made_id = f"hakoiri-moved-{secrets.token_hex(8)}:1", f"c{secrets.token_hex(8)}"
    name = engine_name(made_id)
    options = ("--instance", INSTANCE, "--image", tag, "--runtime", "runc")
    with tagged(engine, tag, image) as put_another:
        with alone(tmp_path, engine.docker_host, *options) as made:
            (made.sockets / made_id).mkdir()
            async with DockerEngine(f"unix://{made.socket}") as adapter:
                first = await adapter.image_id(tag)
                another = put_another()
                assert another != first
                await adapter.make_box(made_id)
                try:
                    assert await adapter.image_id(tag) == first
                    body = await body_of(adapter, made_id, tag)
                    body["Image"] = body["Labels"]["hakoiri.image"] = another
                    with pytest.raises(EngineError, match="not the image that this guard was"):
                        await adapter.create(name=name, config=body)
                    engine_id = await adapter.create(
                        name=name, config=await body_of(adapter, made_id, tag)
                    )
                    assert made.docker("inspect", "--format={{.Image}}", engine_id) == first
                finally:
                    with contextlib.suppress(EngineError):
                        await adapter.remove(name)
                    await adapter.remove_box(made_id)
        with alone(tmp_path, engine.docker_host, *options) as again:
            async with DockerEngine(f"unix://{again.socket}") as adapter:
                assert await adapter.image_id(tag) == another, "a new start takes the new one"


async def test_every_call_is_one_line_of_the_log(guard: Alone) -> None:
    before = len(guard.lines())
    guard.call("GET", "/v1.41/info")
    guard.call("GET", "/v1.41/version")
    guard.call("GET", "/v1.41/x%0aengine_call_allowed")
    lines = guard.lines()[before:]
    assert [line["event"] for line in lines] == [
        "engine_call_allowed",
        "engine_call_refused",
        "engine_call_refused",
    ]
    assert lines[1]["code"] == "call-not-allowed"


async def test_an_engine_that_is_away_is_named(tmp_path: Path) -> None:
    with alone(tmp_path, f"unix://{tmp_path}/no-engine.sock", "--instance", INSTANCE) as made:
        status, problem = made.call("GET", "/v1.41/info")
        assert (status, problem["type"]) == (503, "urn:hakoiri:problem:engine-away")
        assert "no-engine.sock" in problem["detail"]
        async with DockerEngine(f"unix://{made.socket}") as adapter:
            with pytest.raises(EngineError, match=r"ask the engine.*no-engine\.sock"):
                await adapter.check(runtime="runc")


async def test_without_an_instance_no_container_and_no_directory_is_made(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    made_id = f"c{secrets.token_hex(8)}"
    with alone(tmp_path, engine.docker_host, "--image", image) as made:
        assert made.call("PUT", f"/boxes/{made_id}")[0] == 403
        async with DockerEngine(f"unix://{made.socket}") as adapter:
            body = await body_of(adapter, made_id, image)
            with pytest.raises(EngineError, match=r"hakoiri\.instance"):
                await adapter.create(name=engine_name(made_id), config=body)
            with pytest.raises(EngineError, match="not an instance of ours"):
                await adapter.list_ours(INSTANCE)


@pytest.mark.parametrize(
    "options",
    [
        ("--engine", "tcp://127.0.0.1:2375"),
        ("--runtime", "crun"),
        ("--instance", "../x"),
        ("--engine", "unix:///nowhere/none.sock", "--image", "hakoiri/workspace:none"),
    ],
)
def test_options_that_cannot_be_are_one_usage_error(tmp_path: Path, options: tuple[str]) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "hakoiri.cli", "docker-guard"),
            *("--listen", str(tmp_path / "s"), "--live-dir", str(tmp_path / "t"), *options),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "s").exists()
