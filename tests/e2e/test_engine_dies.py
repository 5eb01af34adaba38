"""The engine goes away in the middle of a turn, and comes back."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.running import Hakoiri, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.test_failures import Talk, is_gapless, is_ready, is_usable, until
from tests.engine import PrivateEngine, TestEngine, private_engine

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root]


@pytest.fixture(scope="module")
def own_engine(engine: TestEngine, image: str) -> Iterator[PrivateEngine]:
    """An engine that the test may kill, with the image of the shared one."""
    with private_engine() as own:
        with subprocess.Popen(
            ["docker", "--host", engine.docker_host, "save", image], stdout=subprocess.PIPE
        ) as saved:
            subprocess.run(
                ["docker", "--host", own.docker_host, "load", "--quiet"],
                stdin=saved.stdout,
                check=True,
                capture_output=True,
            )
        assert saved.returncode == 0
        yield own


@pytest.fixture
def server(own_engine: PrivateEngine, image: str, tmp_path: Path) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path,
        docker_host=own_engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    ) as running:
        yield running


def test_an_engine_that_dies_in_a_turn_is_one_error_and_the_next_turn_works_when_it_is_back(
    own_engine: PrivateEngine, server: Hakoiri
) -> None:
    conversation = server.conversation()
    talk = Talk(server, conversation, "run: sleep 600")
    talk.until_tool_runs()
    before = server.processes("hakoiri.host")
    own_engine.stop()
    with pytest.raises(ApiError, match=r"503: cannot ask the engine"):
        server.api.call("GET", "/ready")
    assert server.processes("hakoiri.host") == before
    last = talk.end()
    assert last["type"] == "error"
    assert last["data"]["text"]
    own_engine.start()
    until(lambda: is_ready(server))
    assert is_usable(server, conversation)
    assert is_gapless(server, conversation)
