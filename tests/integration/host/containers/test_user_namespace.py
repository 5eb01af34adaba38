"""Our configuration under an engine with userns-remap: whom the engine makes of the box's user."""

from pathlib import Path

import pytest
from tests.engine import TestEngine
from tests.integration.engine.test_private_engine import docker, image_with
from tests.integration.host.containers.sealed import Change, sealed
from tests.remapped_engine import DEPLOYED

from hakoiri.docker_guard.ownership import Owner

pytestmark = [pytest.mark.engine, pytest.mark.root]

FIRST_UID, FIRST_GID = (
    int((DEPLOYED / name).read_text().split(":")[1]) for name in ("subuid", "subgid")
)
OWNER = Owner(FIRST_UID + 1000, FIRST_GID + 1000, FIRST_GID)
IMAGE = "cat:remapped"


def shown(engine: TestEngine, root: Path, path: str, change: Change | None = None) -> list[str]:
    """What a box's process reads there."""
    docker(engine.docker_host, "import", "-", IMAGE, stdin=image_with(Path("/usr/bin/cat")))
    command = ["/usr/bin/cat", path]
    with sealed(engine.docker_host, IMAGE, root, command, change=change, owner=OWNER) as container:
        return container.output().split()


def test_a_box_has_the_engines_user_namespace(remapped: TestEngine, passable: Path) -> None:
    assert shown(remapped, passable, "/proc/self/uid_map") == ["0", str(FIRST_UID), "65536"]
    assert shown(remapped, passable, "/proc/self/gid_map") == ["0", str(FIRST_GID), "65536"]


def test_only_the_word_host_would_take_it_away(remapped: TestEngine, passable: Path) -> None:
    def with_host_users(body: dict[str, object]) -> None:
        assert isinstance(body["HostConfig"], dict)
        body["HostConfig"]["UsernsMode"] = "host"

    seen = shown(remapped, passable, "/proc/self/uid_map", with_host_users)
    assert seen == ["0", "0", "4294967295"]
