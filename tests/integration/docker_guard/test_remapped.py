"""The guard before an engine with userns-remap: who owns a box, and what is not let run."""

import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from anyio import sleep
from tests.engine import TestEngine
from tests.integration.docker_guard.test_alone import INSTANCE, Alone, alone, body_of
from tests.remapped_engine import DEPLOYED

from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.host.containers.ports import EngineError
from hakoiri.wire.guard import BoxDirectories, engine_name

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.root]

HEALTHY_TIMEOUT_S = 60.0
FIRST_UID, FIRST_GID = (
    int((DEPLOYED / name).read_text().split(":")[1]) for name in ("subuid", "subgid")
)
OWNER = (FIRST_UID + 1000, FIRST_GID + 1000)


@pytest.fixture
def guard(remapped: TestEngine, remapped_image: str, passable: Path) -> Iterator[Alone]:
    options = ("--instance", INSTANCE, "--image", remapped_image)
    runtimes = ("--runtime", "runc", "--runtime", "runsc")
    with alone(passable, remapped.docker_host, *options, *runtimes) as made:
        yield made


@pytest.fixture
async def behind(guard: Alone) -> AsyncIterator[DockerEngine]:
    async with DockerEngine(f"unix://{guard.socket}") as adapter:
        yield adapter


@pytest.fixture
async def box(guard: Alone, behind: DockerEngine) -> AsyncIterator[tuple[str, BoxDirectories]]:
    """A container that is to be, and its directories; all of it is removed afterwards."""
    made = f"c{secrets.token_hex(8)}"
    (guard.sockets / made).mkdir(mode=0o755)
    yield made, await behind.make_box(made)
    with contextlib.suppress(EngineError):
        await behind.remove(engine_name(made))
    await behind.remove_box(made)


async def until_there(path: Path) -> None:
    deadline_s = time.monotonic() + HEALTHY_TIMEOUT_S
    while not path.exists():  # noqa: ASYNC240 - a look at memory
        assert time.monotonic() < deadline_s, f"{path} never came"
        await sleep(0.05)


async def test_directories_belong_to_the_subordinate_user(
    guard: Alone, box: tuple[str, BoxDirectories]
) -> None:
    container_id, made = box
    assert (made.owner_uid, made.owner_gid) == OWNER
    for shown in (made.workspace, made.home, made.agent):
        status = Path(shown).stat()  # noqa: ASYNC240 - a look at one directory
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (*OWNER, 0o700)
    # the way there is open for a container's root alone: gVisor's gofer goes it
    for path in (guard.tree, guard.tree / container_id):
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (0, FIRST_GID)
        assert status.st_mode & 0o7777 == 0o710


@pytest.mark.parametrize("runtime", ["runc", "runsc"])
async def test_what_a_box_makes_is_the_subordinate_users(
    *,
    guard: Alone,
    behind: DockerEngine,
    box: tuple[str, BoxDirectories],
    remapped_image: str,
    runtime: str,
) -> None:
    container_id, made = box
    name = engine_name(container_id)
    body = await body_of(behind, container_id, remapped_image, runtime)
    await behind.create(name=name, config=body)
    await behind.start(name)
    await behind.start(name)
    socket = Path(made.agent) / "agent.sock"
    await until_there(socket)
    status = socket.stat()
    assert (status.st_uid, status.st_gid) == OWNER
    (shown,) = json.loads(guard.docker("inspect", name))
    assert shown["HostConfig"]["UsernsMode"] == ""
    if runtime == "runc":
        uid_map = Path(f"/proc/{shown['State']['Pid']}/uid_map")
        shown_map = uid_map.read_text()  # noqa: ASYNC240 - a look at memory
        assert shown_map.split() == ["0", str(FIRST_UID), "65536"]
    await behind.stop(name, grace_s=0)


async def test_a_container_with_the_hosts_ids_does_not_go_on(
    guard: Alone, behind: DockerEngine, remapped_image: str
) -> None:
    """The engine would run it: whoever made it had the engine, but not the guard's leave."""
    name = engine_name(f"c{secrets.token_hex(8)}")
    guard.docker(
        *("create", f"--name={name}", "--userns=host", "--network=none"),
        *(f"--label=hakoiri.instance={INSTANCE}", "--entrypoint=sleep", remapped_image, "60"),
    )
    with pytest.raises(EngineError, match="uid_map 0 0 4294967295"):
        await behind.start(name)
    assert guard.docker("ps", "--all", "--quiet", "--filter", f"name={name}") == ""
    assert guard.lines()[-1]["code"] == "user-namespace"
