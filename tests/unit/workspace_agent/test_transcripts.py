"""Which transcript holds a message, in files that the agent may have left in any state."""

import json
import os
from pathlib import Path

import pytest

from hakoiri.workspace_agent.transcripts import message_id, session_that_holds

MESSAGE = message_id("conversation-3")


@pytest.fixture
def projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    directory = tmp_path / ".claude/projects/-workspace"
    directory.mkdir(parents=True)
    return directory


def line(**entry: object) -> str:
    return json.dumps(entry) + "\n"


def test_each_turn_has_an_id_of_its_own() -> None:
    assert message_id("conversation-3") == MESSAGE
    assert message_id("conversation-4") != MESSAGE


def test_the_session_is_found_by_the_message(tmp_path: Path, projects: Path) -> None:
    (projects / "s1.jsonl").write_text(line(type="user", uuid="another"))
    (projects / "s2.jsonl").write_text(
        line(type="queue-operation") + line(type="user", uuid=MESSAGE)
    )
    assert session_that_holds(MESSAGE, home=tmp_path, session_id=None) == "s2"
    assert session_that_holds(MESSAGE, home=tmp_path, session_id="s2") == "s2"
    assert session_that_holds(MESSAGE, home=tmp_path, session_id="s1") is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        line(type="assistant", parentUuid=MESSAGE, uuid="x"),
        line(type="user", uuid="x", parentUuid=MESSAGE),
        line(type="user", uuid=MESSAGE)[:-3],
        f'"{MESSAGE}"\n',
        "[" * 200_000 + MESSAGE + "\n",
    ],
    ids=["empty", "its answer", "one after it", "cut off", "no object", "nested deeply"],
)
def test_what_only_names_the_message_does_not_hold_it(
    tmp_path: Path, projects: Path, content: str
) -> None:
    (projects / "s1.jsonl").write_text(content)
    assert session_that_holds(MESSAGE, home=tmp_path, session_id=None) is None


def test_no_link_and_no_pipe_is_read(tmp_path: Path, projects: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text(line(type="user", uuid=MESSAGE))
    (projects / "s1.jsonl").symlink_to(outside)
    os.mkfifo(projects / "s2.jsonl")
    assert session_that_holds(MESSAGE, home=tmp_path, session_id=None) is None


def test_without_any_memory_there_is_nothing_to_find(tmp_path: Path) -> None:
    assert session_that_holds(MESSAGE, home=tmp_path, session_id=None) is None
