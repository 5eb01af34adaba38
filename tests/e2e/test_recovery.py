"""Containers that die in a turn: the turn goes on in another, with what the dead one left."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.talk import Talk
from tests.e2e.test_failures import is_gapless, is_usable
from tests.engine import TestEngine
from tests.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.root]

SLOW = " ".join(f"word{number}" for number in range(60))
SCRIPT = (
    RUN
    + f"""
  - name: slow
    when: {{ regex: '^speak slowly' }}
    replies:
      - say: {SLOW}
        delta_delay_s: 0.1
"""
)
MEMORY_MIB = 400
BOMB = "echo before > before; head -c 2G /dev/zero > /tmp/bomb; sleep 60"
"""A tmpfs is the container's memory, and no process is the one to be killed for it."""


@pytest.fixture(scope="module")
def server(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path_factory.mktemp("recovery"),
        docker_host=engine.docker_host,
        script=SCRIPT,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_CONTAINER__MEMORY_MIB": str(MEMORY_MIB),
            "HAKOIRI_CONTAINER__TMP_MIB": "4096",
        },
    ) as running:
        yield running


def recovered(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return data_of(events, "container_recovered")


def workspace_of(server: Hakoiri, conversation: str) -> Path:
    """Where the files of the conversation's live container lie on this host."""
    mark = f"mark-{conversation}"
    found = [server.tree / box / "workspace" for box in server.boxes()]
    (path,) = [path for path in found if (path / mark).exists()]
    return path


def kill_container(server: Hakoiri, conversation: str) -> None:
    """Kill the container that holds this conversation's files."""
    server.docker("kill", f"hakoiri-{workspace_of(server, conversation).parent.name}")


def said_to_the_model(server: Hakoiri, text: str) -> list[int]:
    """How often each model request of the conversation holds the message in its history."""
    return [
        entry["user_texts"].count(text)
        for entry in server.model_requests()
        if text in entry["user_texts"]
    ]


def marked(conversation: str, command: str) -> str:
    return f"run: touch mark-{conversation}; {command}"


def test_a_container_that_is_killed_in_a_turn_is_replaced_and_the_turn_ends_well(
    server: Hakoiri,
) -> None:
    conversation = server.conversation()
    server.turn(conversation, marked(conversation, "echo saved > saved"))
    text = marked(conversation, "echo before > before; sleep 60")
    talk = Talk(server, conversation, text)
    talk.until_tool_runs()
    until((workspace_of(server, conversation) / "before").exists)
    kill_container(server, conversation)
    last = talk.end()
    assert last["type"] == "result", last
    assert "interrupted" in last["data"]["text"], "it went on after the tool call that broke off"
    (told,) = recovered(talk.events)
    assert told["generation"] == 2
    assert "exit code 137" in told["reason"]
    assert told["lost_paths"] == []
    (saved,) = [event for event in talk.events if event["type"] == "file_synced"][:1]
    assert told["restored_seq"] == saved["id"] - 1
    assert [data["code"] for data in data_of(talk.events, "notice")] == ["turn-continued"]
    assert set(said_to_the_model(server, text)) == {1}
    messages = data_of(server.log(conversation), "user_message")
    assert [data["text"] for data in messages].count(text) == 1
    after = server.turn(conversation, "run: cat saved before")
    assert data_of(after, "tool_result")[0]["text"].split() == ["saved", "before"]
    assert is_gapless(server, conversation)


def test_an_answer_that_was_cut_is_given_whole_after_the_kill(server: Hakoiri) -> None:
    conversation = server.conversation()
    server.turn(conversation, marked(conversation, "true"))
    text = f"speak slowly to {conversation}"
    talk = Talk(server, conversation, text)
    until(lambda: len(data_of(list(talk.events), "text_delta")) > 3)
    kill_container(server, conversation)
    last = talk.end()
    assert last["type"] == "result", last
    assert last["data"]["text"] == SLOW
    assert len(recovered(talk.events)) == 1
    assert set(said_to_the_model(server, text)) == {1}
    assert is_gapless(server, conversation)


def test_a_first_turn_that_is_killed_before_anything_was_saved_goes_on(server: Hakoiri) -> None:
    conversation = server.conversation()
    text = marked(conversation, "sleep 60")
    talk = Talk(server, conversation, text)
    talk.until_tool_runs()
    until(lambda: is_live(server, conversation))
    kill_container(server, conversation)
    assert talk.end()["type"] == "result"
    assert set(said_to_the_model(server, text)) == {1}
    assert server.turn(conversation, "hello")[-1]["data"]["text"] == "You said: hello"


def is_live(server: Hakoiri, conversation: str) -> bool:
    mark = f"mark-{conversation}"
    return any((server.tree / box / "workspace" / mark).exists() for box in server.boxes())


def test_a_container_without_memory_is_replaced(server: Hakoiri) -> None:
    conversation = server.conversation()
    server.turn(conversation, "hello")
    text = f"run: {BOMB}"
    talk = Talk(server, conversation, text)
    last = talk.end()
    assert last["type"] == "result", last
    assert recovered(talk.events)
    assert set(said_to_the_model(server, text)) == {1}
    after = server.turn(conversation, "run: cat before")
    assert data_of(after, "tool_result")[0]["text"].strip() == "before"
    assert is_gapless(server, conversation)


def test_the_third_death_in_a_turn_is_an_error(server: Hakoiri) -> None:
    conversation = server.conversation()
    server.turn(conversation, marked(conversation, "true"))
    text = f"speak slowly until {shlex.quote(conversation)} dies thrice"
    talk = Talk(server, conversation, text)
    for death in range(1, 4):
        until(lambda: len(data_of(list(talk.events), "text_delta")) > 0)
        until(lambda: len(recovered(list(talk.events))) == death - 1)  # noqa: B023 - waited for here
        until(lambda: talk.events[-1]["type"] == "text_delta")
        kill_container(server, conversation)
    last = talk.end()
    assert (last["type"], last["data"]["code"]) == ("error", "container-lost")
    assert [told["generation"] for told in recovered(talk.events)] == [2, 3]
    assert set(said_to_the_model(server, text)) == {1}
    assert is_usable(server, conversation)
    assert is_gapless(server, conversation)
