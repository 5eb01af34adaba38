"""A command in a turn puts something else in the place of its honest agent's socket."""

import pytest
from tests.e2e.running import data_of
from tests.escape.conftest import Tell
from tests.escape.installation import Installation
from tests.escape.neighbours import answer_of

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.attack("taken-over-agent")]

SILENT = (
    "import socket, time; s = socket.socket(1); s.bind('agent.sock'); s.listen(); time.sleep(99)"
)
SWAPS = {
    "nothing": "true",
    "a link to the engine's socket": "ln -s /var/run/docker.sock agent.sock",
    "a FIFO": "mkfifo agent.sock",
    "a directory": "mkdir agent.sock",
    "a socket that never answers": f'setsid python3 -c "{SILENT}" > /dev/null 2>&1 & sleep 1',
}


@pytest.mark.parametrize("swap", SWAPS)
def test_the_next_turn_goes_on_or_gets_a_new_container(
    place: Installation, swap: str, tell: Tell
) -> None:
    server = place.server
    conversation = server.conversation()
    command = f"(cd /run/hakoiri/agent && rm -f agent.sock && {{ {SWAPS[swap]}; }}); echo swapped"
    events = server.turn(conversation, f"run: {command}")
    assert data_of(events, "tool_result")[0]["text"].strip().endswith("swapped")
    swapped = events[-1]["type"]
    answer = answer_of(place, conversation)
    server.api.call("DELETE", f"/v1/conversations/{conversation}")
    tell(
        f"{swap} in place of a live agent's socket",
        command=command,
        expected="that turn ends well, and the next one gives its right answer",
        seen=f"that turn: {swapped}; the next: {answer}",
        held=swapped == "result" and answer == "right",
    )
