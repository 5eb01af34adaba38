"""Old images go from a real engine, through the server's adapter and the guard before it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine import PrivateEngine
from tests.integration.docker_guard.test_alone import alone
from tests.moved_tag import bring_in

from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.wire.guard import CollectedImages

pytestmark = [pytest.mark.anyio, pytest.mark.engine, pytest.mark.root]

OWN, FOREIGN = "hakoiri/workspace:own", "somebody/else:theirs"
OLD, TWICE, BASE = "hakoiri/workspace:old", "hakoiri/workspace:twice", "hakoiri/base:old"
USED = "hakoiri/workspace:used"
A_MOMENT_DAYS = "0.000000001"


@pytest.fixture(scope="module")
def own_engine() -> Iterator[PrivateEngine]:
    """An engine whose images are this test's."""
    engine = PrivateEngine()
    try:
        engine.start()
        yield engine
    finally:
        engine.remove()


def docker(engine: PrivateEngine, *arguments: str) -> str:
    return subprocess.run(
        ["docker", "--host", engine.docker_host, *arguments],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.strip()


def names(engine: PrivateEngine) -> set[str]:
    return set(docker(engine, "images", "--format", "{{.Repository}}:{{.Tag}}").splitlines())


def last_named(engine: PrivateEngine, tag: str) -> str:
    (shown,) = json.loads(docker(engine, "image", "inspect", tag))
    return str(shown["Metadata"]["LastTagTime"])


async def test_what_nothing_needs_goes_and_the_rest_stays(
    own_engine: PrivateEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tag in (OLD, TWICE, BASE, USED, FOREIGN, OWN):
        bring_in(own_engine.docker_host, tag)
    docker(own_engine, "tag", TWICE, "somebody/else:twice")
    docker(own_engine, "create", USED, "/nothing")
    before = last_named(own_engine, OWN)
    monkeypatch.setenv("HAKOIRI_CONTAINER__IMAGE_KEPT_DAYS", A_MOMENT_DAYS)
    options = ("--instance", "0123456789ab", "--image", OWN)
    with alone(tmp_path, own_engine.docker_host, *options) as guard:
        async with DockerEngine(f"unix://{guard.socket}") as adapter:
            collected = await adapter.collect_images()
            assert set(collected.removed) == {OLD, TWICE, BASE}
            assert await adapter.collect_images() == CollectedImages()
    assert names(own_engine) == {USED, FOREIGN, "somebody/else:twice", OWN}
    assert last_named(own_engine, OWN) > before
