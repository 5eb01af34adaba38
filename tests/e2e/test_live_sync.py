"""A container that is lost in the middle of a turn costs the last seconds of its work, no more."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.engine import TestEngine

pytestmark = [pytest.mark.engine, pytest.mark.root]

QUIET_S = 2
LONGEST_WAIT_S = 5
COMMIT_S = 1
"""What a save of some files takes at most here, from its begin to its commit."""

ENOUGH = 4
"""So many files have to be old enough before the container is killed."""

ENOUGH_TIMEOUT_S = 120.0
SECONDS = 40

EACH = "".join(
    f"      - say: file {number}\n"
    f"        use: [{{tool: Bash, input: {{command: 'echo {number} > n{number}; sleep 1',"
    " description: one file}}]\n"
    for number in range(SECONDS)
)
SCRIPT = f"""
scenes:
  - name: one long call
    when: {{ regex: '^in one call$' }}
    replies:
      - say: I write.
        use:
          - tool: Bash
            input:
              command: for i in $(seq {SECONDS}); do echo $i > n$i; sleep 1; done
              description: a file a second
      - say: done
  - name: many calls
    when: {{ regex: '^in many calls$' }}
    replies:
{EACH}      - say: done
  - name: look
    replies:
      - say: I look.
        use: [{{tool: Bash, input: {{command: 'ls n*', description: look}}}}]
      - say: "there: {{{{last_tool_result}}}}"
"""


@pytest.fixture(scope="module")
def server(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path_factory.mktemp("live-sync"),
        docker_host=engine.docker_host,
        script=SCRIPT,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_TURN__SYNC_QUIET_S": str(QUIET_S),
            "HAKOIRI_TURN__SYNC_LONGEST_WAIT_S": str(LONGEST_WAIT_S),
        },
    ) as running:
        yield running


def stored(server: Hakoiri, conversation: str) -> set[str]:
    """Names of the files in the newest recovery point."""
    listing = server.api.call("GET", f"/v1/conversations/{conversation}/workspace/files")
    return {file["path"] for file in listing["files"]}


def written(server: Hakoiri, box: str) -> dict[str, float]:
    """When each file of the live workspace was written, on this host's clock."""
    (workspace,) = server.tree.glob(f"{box}/**/workspace")
    return {path.name: path.stat().st_mtime for path in workspace.iterdir()}


def settled(files: dict[str, float], *, at: float | None = None) -> set[str]:
    """Which files were written so long ago that they must be in a recovery point."""
    latest = (time.time() if at is None else at) - LONGEST_WAIT_S - COMMIT_S
    return {name for name, written_at in files.items() if written_at < latest}


@pytest.mark.parametrize("text", ["in one call", "in many calls"])
def test_all_but_the_last_seconds_is_in_a_recovery_point_when_the_container_is_killed(
    server: Hakoiri, text: str
) -> None:
    conversation = server.conversation()
    events: list[dict[str, Any]] = []

    def listen() -> None:
        events.extend(server.api.send(conversation, text))

    before = set(server.boxes())
    listener = threading.Thread(target=listen)
    listener.start()
    while not (boxes := set(server.boxes()) - before):
        time.sleep(0.1)
    (box,) = boxes
    deadline_s = time.monotonic() + ENOUGH_TIMEOUT_S
    while len(settled(written(server, box))) < ENOUGH:
        assert time.monotonic() < deadline_s, "the agent was too slow to tell anything"
        time.sleep(0.2)
    killed_at = time.time()
    saved = stored(server, conversation)
    files = written(server, box)
    (engine_id,) = set(server.containers()) & set(
        server.docker("ps", "--quiet", "--filter", f"label=hakoiri.container={box}").split()
    )
    server.docker("kill", engine_id)
    listener.join(120)

    old = settled(files, at=killed_at)
    assert old <= saved
    first = next(event for event in events if event["type"] == "file_synced")
    assert first["data"]["uploaded"] > 0
    assert first["id"] < events[-2]["id"], "only at the turn's end"
    # and whatever became of the turn, the next one has the files
    (answer,) = data_of(server.turn(conversation, "what is there?"), "tool_result")
    assert old <= set(answer["text"].split())
