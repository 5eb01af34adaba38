"""What goes wrong in a turn ends in one clear error; the conversation stays usable."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.talk import Talk
from tests.engine import TestEngine
from tests.waiting import until

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root]

SCRIPT = (
    RUN
    + """
  - name: rate limited
    when: { regex: '^rate limit me$' }
    replies:
      - say: never
        error: { status: 429, retry_after_s: 0 }
  - name: overloaded
    when: { regex: '^overload me$' }
    replies:
      - say: never
        error: { status: 529 }
  - name: cut
    when: { regex: '^cut me$' }
    replies:
      - say: This answer never comes to its end because the stream is cut each time.
        cut_after: 2
        delta_delay_s: 0.1  # so that what came first is read before the cut is seen
"""
)

Until = Callable[[], bool]


@pytest.fixture(scope="module")
def server(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path_factory.mktemp("failures"),
        docker_host=engine.docker_host,
        script=SCRIPT,
        settings={"HAKOIRI_CONTAINER__IMAGE": image, "HAKOIRI_MODEL__RETRIES": "2"},
    ) as running:
        yield running


def is_usable(server: Hakoiri, conversation: str) -> bool:
    last = server.turn(conversation, "run: echo still here")[-1]
    assert last["type"] == "result", last
    return True


def is_gapless(server: Hakoiri, conversation: str) -> bool:
    log = server.log(conversation)
    ends = [event["turn"] for event in log if event["type"] in {"result", "error"}]
    return [event["id"] for event in log] == list(range(1, len(log) + 1)) and ends == sorted(
        set(ends)
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("rate limit me", "model-rate-limited"),
        ("overload me", "model-overloaded"),
        ("cut me", "model-stream-cut"),
    ],
)
def test_a_model_that_keeps_failing_is_one_error_with_a_code(
    server: Hakoiri, text: str, code: str
) -> None:
    conversation = server.conversation()
    last = server.turn(conversation, text)[-1]
    assert last["type"] == "error"
    assert last["data"]["code"] == code
    assert last["data"]["text"]
    assert is_usable(server, conversation)
    assert is_gapless(server, conversation)


def test_a_tool_that_prints_a_hundred_megabytes_neither_kills_nor_fills_the_server(
    server: Hakoiri,
) -> None:
    conversation = server.conversation()
    (pid,) = server.processes("hakoiri.host")
    events = server.turn(conversation, "run: head -c 100000000 /dev/zero | tr '\\0' x")
    assert events[-1]["type"] in {"result", "error"}
    assert peak_memory_mib(pid) < 500
    assert is_usable(server, conversation)


@pytest.mark.parametrize(
    ("size", "status", "named"), [(1_100_000, 422, "text"), (10_000_000, 413, "body")]
)
def test_a_message_that_is_too_long_is_refused_and_not_recorded(
    server: Hakoiri, size: int, status: int, named: str
) -> None:
    conversation = server.conversation()
    with pytest.raises(ApiError) as refused:
        server.turn(conversation, "x" * size)
    problem = refused.value.problem
    assert problem is not None
    assert problem.status == status
    assert named in problem.detail
    assert server.api.call("GET", f"/v1/conversations/{conversation}")["last_event"] == 0
    assert is_usable(server, conversation)


def test_a_second_message_while_a_turn_runs_is_a_conflict_and_not_recorded(
    server: Hakoiri,
) -> None:
    conversation = server.conversation()
    talk = Talk(server, conversation, "run: while [ ! -e go ]; do sleep 0.1; done; echo went")
    talk.until_tool_runs()
    with pytest.raises(ApiError) as refused:
        server.turn(conversation, "hello")
    assert refused.value.problem is not None
    assert refused.value.problem.status == 409
    server.api.call("POST", f"/v1/conversations/{conversation}/interrupt")
    assert talk.end()["data"]["code"] == "interrupted"
    texts = [data["text"] for data in data_of(server.log(conversation), "user_message")]
    assert "hello" not in texts
    assert is_usable(server, conversation)


def test_a_client_that_goes_away_stops_nothing(server: Hakoiri) -> None:
    conversation = server.conversation()
    for event in server.api.send(conversation, "run: sleep 1; echo finished > finished"):
        if event["type"] == "tool_use":
            break
    until(lambda: not server.api.call("GET", f"/v1/conversations/{conversation}")["running"])
    assert server.log(conversation)[-1]["type"] == "result"
    path = f"/v1/conversations/{conversation}/workspace/files/finished"
    assert server.api.download(path) == b"finished\n"


def test_a_proxy_that_is_killed_comes_back_and_the_same_container_goes_on(
    server: Hakoiri,
) -> None:
    conversation = server.conversation()
    first = server.turn(conversation, "run: echo before")
    (old,) = server.processes("hakoiri.credential_proxy")
    os.kill(old, signal.SIGKILL)
    until(lambda: server.processes("hakoiri.credential_proxy") not in ([], [old]))
    until(lambda: is_ready(server))
    later = server.turn(conversation, "run: echo after")
    assert later[-1]["type"] == "result"
    assert container_of(later) == container_of(first)


def test_a_proxy_that_is_killed_in_a_turn_leaves_the_conversation_usable(
    server: Hakoiri,
) -> None:
    conversation = server.conversation()
    talk = Talk(server, conversation, "run: sleep 2; echo slept")
    talk.until_tool_runs()
    (old,) = server.processes("hakoiri.credential_proxy")
    os.kill(old, signal.SIGKILL)
    assert talk.end()["type"] == "result", "the CLI asks again when the proxy is back"
    assert is_usable(server, conversation)


def container_of(events: list[dict[str, Any]]) -> str:
    name: str = data_of(events, "turn_started")[0]["container"]
    return name


def is_ready(server: Hakoiri) -> bool:
    try:
        server.api.call("GET", "/ready")
    except ApiError:
        return False
    return True


def peak_memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
