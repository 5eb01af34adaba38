"""The host's disk, which a box must not fill: workspace and home have quotas of their own."""

import os
from collections.abc import Iterator

import pytest
from tests.e2e.running import data_of
from tests.engine import TestEngine
from tests.escape.conftest import Tell
from tests.escape.installation import Installation, installation
from tests.escape.neighbours import beside

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.attack("resource-exhaustion")]

QUOTA_MIB = 32
INODES = 4096
TRIED_MIB = 1024
"""Far over the quota, and nothing that hurts this machine where there is none."""

FILL = (
    f"dd if=/dev/zero of={{directory}}/fill bs=1M count={TRIED_MIB} 2>&1 | head -n 1; "
    "echo held $(wc -c < {directory}/fill); rm -f {directory}/fill; echo over"
)
MANY = (
    "mkdir {directory}/many && cd {directory}/many && "
    f"python3 -c 'exec(\"for n in range({INODES * 4}): open(str(n), chr(119)).close()\")' "
    "2>&1 | tail -n 1; echo held $(ls -U | wc -l); cd /; rm -rf {directory}/many; echo over"
)


@pytest.fixture(scope="module", params=["runc", "runsc"])
def small(
    request: pytest.FixtureRequest,
    engine: TestEngine,
    image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    """Boxes with small disks."""
    settings = {
        f"HAKOIRI_CONTAINER__{name}": str(value)
        for name, value in (
            ("WORKSPACE_MIB", QUOTA_MIB),
            ("WORKSPACE_INODES", INODES),
            ("HOME_MIB", QUOTA_MIB),
            ("HOME_INODES", INODES),
        )
    }
    root = tmp_path_factory.mktemp(f"disk-{request.param}")
    with installation(
        root, engine=engine, image=image, runtime=request.param, settings=settings
    ) as made:
        yield made


@pytest.mark.parametrize("directory", ["/workspace", "/home/agent"])
@pytest.mark.parametrize("what", ["bytes", "inodes"])
def test_a_disk_is_full_at_its_quota_and_the_neighbour_notices_nothing(
    small: Installation, directory: str, what: str, tell: Tell
) -> None:
    command = {"bytes": FILL, "inodes": MANY}[what].replace("{directory}", directory)
    before = os.statvfs(small.server.root)
    found = beside(small, command)
    after = os.statvfs(small.server.root)
    results = data_of(found.events, "tool_result")
    said = results[0]["text"] if results else ""
    held = next((int(word.split()[1]) for word in said.splitlines() if "held " in word), 0)
    most = QUOTA_MIB * 2**20 if what == "bytes" else INODES
    lost_mib = (before.f_bavail - after.f_bavail) * before.f_frsize // 2**20
    tell(
        f"fill the {what} of {directory}",
        command=command,
        expected=f"no space left within {most} {what}; the neighbour's answer is right",
        seen=f"{said.strip()}; the neighbour: {found.neighbour}",
        held="No space left" in said
        and 0 < held <= most
        and found.neighbour == "right"
        and lost_mib < TRIED_MIB / 2,
    )
