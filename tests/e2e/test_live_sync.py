"""A container that is lost in the middle of a turn costs the last seconds of its work, no more."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.talk import Talk
from tests.engine import TestEngine
from tests.waiting import until

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root]

QUIET_S = 2
"""Longer than a file takes, so that only the longest wait lets files be saved in the long call."""

LONGEST_WAIT_S = 3
ENOUGH = 4
"""So many files have to be there before it is waited for that they are saved."""

SECONDS = 100
"""The turn is not over before; one call of the CLI's may take 120 s."""

PATIENCE_S = 120.0

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
        use: [{{tool: Bash, input: {{command: 'echo n*', description: look}}}}]
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


def written(server: Hakoiri, box: str) -> set[str]:
    """Names of the files in the live workspace."""
    workspace = server.tree / box / "workspace"
    return {path.name for path in workspace.iterdir()} if workspace.exists() else set()


def has_recovered(server: Hakoiri, conversation: str) -> bool:
    """Whether the turn goes on in another container, or is over."""
    kinds = {event["type"] for event in server.log(conversation)}
    return not kinds.isdisjoint({"container_recovered", "result", "error"})


@pytest.mark.parametrize("text", ["in one call", "in many calls"])
def test_all_but_the_last_seconds_is_in_a_recovery_point_when_the_container_is_killed(
    server: Hakoiri, text: str
) -> None:
    conversation = server.conversation()
    before = set(server.boxes())
    talk = Talk(server, conversation, text)
    (box,) = until(lambda: set(server.boxes()) - before)
    until(lambda: len(written(server, box)) >= ENOUGH, "too slow", wait_s=PATIENCE_S)
    old = written(server, box)
    until(lambda: old <= stored(server, conversation), "not saved", wait_s=PATIENCE_S)
    assert not data_of(list(talk.events), "result"), "they were saved because the turn was over"
    (engine_id,) = set(server.containers()) & set(
        server.docker("ps", "--quiet", "--filter", f"label=hakoiri.container={box}").split()
    )
    server.docker("kill", engine_id)
    until(lambda: has_recovered(server, conversation), wait_s=PATIENCE_S)
    with suppress(ApiError):  # it may be over by itself
        server.api.call("POST", f"/v1/conversations/{conversation}/interrupt")
    talk.end()

    first = next(event for event in talk.events if event["type"] == "file_synced")
    assert first["data"]["uploaded"] > 0
    assert first["id"] < talk.events[-2]["id"], "only at the turn's end"
    # and whatever became of the turn, the next one has the files
    (answer,) = data_of(server.turn(conversation, "what is there?"), "tool_result")
    assert old <= set(answer["text"].split())
