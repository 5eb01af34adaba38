import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    CLIConnectionError,
    CLIJSONDecodeError,
    Message,
    ResultMessage,
    SystemMessage,
)

from hakoiri.wire.agent import AgentOptions, RunTurn
from hakoiri.wire.events import AgentEvent, Error
from hakoiri.workspace_agent.errors import AgentError, ConnectError
from hakoiri.workspace_agent.sdk_client import (
    BEGUN_AGAIN,
    CONTINUED,
    GO_ON,
    NOT_REMEMBERED,
    SdkAgent,
)
from hakoiri.workspace_agent.sdk_options import CLI_LINE_LIMIT_BYTES
from hakoiri.workspace_agent.transcripts import message_id

pytestmark = pytest.mark.anyio

SESSION = "0a1b-2c3d"


class Cli:
    """All the clients that were made, and what each of their turns is to say."""

    def __init__(self, *turns: list[Message] | Exception) -> None:
        self.turns = list(turns)
        self.clients: list[ScriptedClient] = []

    def make(self, options: ClaudeAgentOptions) -> Any:
        self.clients.append(ScriptedClient(self, options))
        return self.clients[-1]

    @property
    def calls(self) -> list[list[str]]:
        return [client.calls for client in self.clients]


class ScriptedClient:
    def __init__(self, cli: Cli, options: ClaudeAgentOptions) -> None:
        self.cli = cli
        self.options = options
        self.calls: list[str] = []
        self.dead = False
        self.prompt: dict[str, Any] = {}

    async def connect(self) -> None:
        self.calls.append("connect")

    async def query(self, prompt: AsyncIterator[dict[str, Any]]) -> None:
        if self.dead:
            raise CLIConnectionError("terminated")
        self.prompt = await anext(prompt)
        self.calls.append("query")

    async def receive_messages(self) -> AsyncIterator[Message]:
        turn = self.cli.turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        for message in turn:
            if isinstance(message, ResultMessage):
                message.user_message_uuids = [self.prompt["uuid"]]
            yield message

    async def interrupt(self) -> None:
        self.calls.append("interrupt")

    async def disconnect(self) -> None:
        self.calls.append("disconnect")


def turn(**fields: Any) -> list[Message]:
    shape: dict[str, Any] = {
        "subtype": "success",
        "duration_ms": 1,
        "duration_api_ms": 1,
        "is_error": False,
        "num_turns": 1,
        "session_id": SESSION,
        "result": "done",
    }
    init = SystemMessage(subtype="init", data={"session_id": SESSION})
    return [init, ResultMessage(**(shape | fields))]


async def run(agent: SdkAgent, **fields: Any) -> list[AgentEvent]:
    request = RunTurn(turn_id="t1", text="/help me", **fields)
    return [event async for event in agent.run(request)]


def agent_of(cli: Cli, home: Path = Path("/nonexistent")) -> SdkAgent:
    return SdkAgent(workspace=Path("/workspace"), home=home, make_client=cli.make)


async def test_a_turn_is_asked_with_an_id_and_ends_with_its_result() -> None:
    cli = Cli(turn())
    events = await run(agent_of(cli))
    assert [event.type for event in events] == ["session_started", "result"]
    (client,) = cli.clients
    assert client.prompt["message"] == {"role": "user", "content": "/help me"}
    assert client.options.cwd == Path("/workspace")


async def test_the_next_turn_of_the_session_uses_the_same_process() -> None:
    cli = Cli(turn(), turn())
    agent = agent_of(cli)
    await run(agent)
    await run(agent, session_id=SESSION)
    assert cli.calls == [["connect", "query", "query"]]
    await agent.close()
    assert cli.calls == [["connect", "query", "query", "disconnect"]]


@pytest.mark.parametrize(
    "fields",
    [
        {"session_id": None},
        {"session_id": "ffff"},
        {"session_id": SESSION, "options": AgentOptions(model="other")},
    ],
    ids=["a new session", "another session", "other options"],
)
async def test_another_session_or_other_options_start_another_process(
    fields: dict[str, Any],
) -> None:
    cli = Cli(turn(), turn())
    agent = agent_of(cli)
    await run(agent)
    await run(agent, **fields)
    assert cli.calls == [["connect", "query", "disconnect"], ["connect", "query"]]
    assert cli.clients[1].options.resume == fields["session_id"]


async def test_a_process_that_died_between_turns_is_started_again_with_the_session() -> None:
    cli = Cli(turn(), turn())
    agent = agent_of(cli)
    await run(agent)
    cli.clients[0].dead = True
    events = await run(agent, session_id=SESSION)
    assert events[-1].type == "result"
    assert cli.clients[1].options.resume == SESSION


@pytest.mark.parametrize(
    ("failing", "code"),
    [
        (lambda: turn(is_error=True, api_error_status=529), "model-overloaded"),
        (lambda: CLIJSONDecodeError("{", ValueError("100 MB")), "agent-failed"),
        (lambda: Exception("Control request timeout"), "agent-failed"),
    ],
    ids=["the model is overloaded", "a line is too long", "the CLI does not answer"],
)
async def test_a_failed_turn_is_one_error_and_the_next_starts_a_new_process(
    failing: Callable[[], Any], code: str
) -> None:
    cli = Cli(failing(), turn())
    agent = agent_of(cli)
    *_, last = await run(agent, session_id=SESSION)
    assert isinstance(last, Error)
    assert last.code == code
    assert (await run(agent, session_id=SESSION))[-1].type == "result"
    assert len(cli.clients) == 2
    assert cli.calls[0][-1] == "disconnect"


async def test_an_interrupted_turn_leaves_the_process_for_the_next() -> None:
    cli = Cli(turn(is_error=True, terminal_reason="aborted_streaming"), turn())
    agent = agent_of(cli)
    await run(agent, session_id=SESSION)
    await agent.interrupt()
    await run(agent, session_id=SESSION)
    assert cli.calls == [["connect", "query", "interrupt", "query"]]


def remember(home: Path, turn_id: str, session: str = SESSION) -> None:
    """Put the turn's message into a transcript, as the CLI does."""
    directory = home / ".claude/projects/-workspace"
    directory.mkdir(parents=True, exist_ok=True)
    entry = {"type": "user", "uuid": message_id(turn_id), "message": {"content": "/help me"}}
    (directory / f"{session}.jsonl").write_text(json.dumps(entry) + "\n")


async def test_a_turn_is_always_asked_under_the_same_id() -> None:
    asked = []
    for _ in range(2):
        cli = Cli(turn())
        await run(agent_of(cli))
        asked.append(cli.clients[0].prompt["uuid"])
    assert asked == [message_id("t1")] * 2


@pytest.mark.parametrize("session_id", [SESSION, None], ids=["known", "not told in time"])
async def test_a_turn_that_is_remembered_goes_on_and_its_message_is_not_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session_id: str | None
) -> None:
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    remember(tmp_path, "t1")
    cli = Cli(turn())
    events = await run(agent_of(cli, tmp_path), session_id=session_id, is_taken_up=True)
    assert [event.type for event in events] == ["notice", "session_started", "result"]
    assert events[0] == CONTINUED
    (client,) = cli.clients
    assert client.prompt["message"]["content"] == GO_ON
    assert client.prompt["uuid"] != message_id("t1"), "the CLI knows that one already"
    assert client.options.resume == SESSION


async def test_a_turn_that_is_not_remembered_is_given_its_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    remember(tmp_path, "an earlier turn")
    cli = Cli(turn())
    events = await run(agent_of(cli, tmp_path), session_id=SESSION, is_taken_up=True)
    assert events[0] == BEGUN_AGAIN
    assert cli.clients[0].prompt["message"]["content"] == "/help me"
    assert cli.clients[0].options.resume == SESSION


def no_such_session(**fields: Any) -> list[Message]:
    errors = [f"No conversation found with session ID: {SESSION}"]
    return turn(is_error=True, subtype="error_during_execution", errors=errors, **fields)[1:]


@pytest.mark.parametrize("is_taken_up", [False, True], ids=["a new turn", "one that was lost"])
async def test_a_session_that_is_not_found_is_begun_anew_and_the_user_told(
    *, is_taken_up: bool
) -> None:
    cli = Cli(no_such_session(result=None), turn())
    events = await run(agent_of(cli), session_id=SESSION, is_taken_up=is_taken_up)
    assert [event.type for event in events[is_taken_up:]] == [
        "notice",
        "session_started",
        "result",
    ]
    assert events[is_taken_up] == NOT_REMEMBERED
    assert [client.options.resume for client in cli.clients] == [SESSION, None]
    assert cli.clients[1].prompt["message"]["content"] == "/help me"
    assert cli.clients[1].prompt["uuid"] == message_id("t1")
    assert cli.calls[0][-1] == "disconnect"


async def test_a_memory_that_the_cli_does_not_take_is_no_reason_to_go_on_without_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    remember(tmp_path, "t1")
    cli = Cli(no_such_session(result=None), turn())
    events = await run(agent_of(cli, tmp_path), session_id=SESSION, is_taken_up=True)
    assert events[:2] == [CONTINUED, NOT_REMEMBERED]
    assert cli.clients[1].prompt["message"]["content"] == "/help me"


async def test_a_session_that_cannot_be_begun_anew_is_one_error() -> None:
    cli = Cli(no_such_session(result=None), no_such_session(result=None))
    events = await run(agent_of(cli), session_id=SESSION)
    assert [event.type for event in events] == ["notice", "error"]
    assert len(cli.clients) == 2


async def test_what_fails_later_in_a_turn_does_not_begin_it_anew() -> None:
    cli = Cli([turn()[0], *no_such_session(result=None)])
    events = await run(agent_of(cli), session_id=SESSION)
    assert [event.type for event in events] == ["session_started", "error"]


async def test_before_there_is_a_process_nobody_can_be_interrupted() -> None:
    with pytest.raises(AgentError):
        await agent_of(Cli()).interrupt()


async def test_a_turn_that_says_no_last_word_leaves_no_process() -> None:
    cli = Cli([SystemMessage(subtype="init", data={"session_id": SESSION})])
    events = await run(agent_of(cli))
    assert [event.type for event in events] == ["session_started"]
    assert cli.calls[0][-1] == "disconnect"


def content_of(path: str) -> str | None:
    return Path(path).read_text() if Path(path).exists() else None


async def test_the_system_prompt_lies_in_a_file_only_while_the_process_lives() -> None:
    cli = Cli(turn())
    agent = agent_of(cli)
    await run(agent, options=AgentOptions(system_prompt="quack " * 30_000))
    prompt: Any = cli.clients[0].options.system_prompt
    assert content_of(prompt["path"]) == "quack " * 30_000
    await agent.close()
    assert content_of(prompt["path"]) is None


# A CLI that answers the SDK's handshake, and any message with a line that is too long.
HUGE_LINE_CLI = (
    f"""\
#!/usr/bin/env python3
LIMIT = {CLI_LINE_LIMIT_BYTES}
"""
    """\
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "control_request":
        answer = {"subtype": "success", "request_id": message["request_id"], "response": {}}
        print(json.dumps({"type": "control_response", "response": answer}), flush=True)
    else:
        print("nearly out of memory", file=sys.stderr, flush=True)
        sys.stdout.write('{"type": "user", "message": "')
        sys.stdout.write("x" * LIMIT)
        print('"}', flush=True)
"""
)


async def test_a_line_over_the_limit_from_the_real_transport_is_one_clear_error(
    tmp_path: Path,
) -> None:
    cli = tmp_path / "claude"
    cli.write_text(HUGE_LINE_CLI)
    cli.chmod(0o755)

    def make(options: ClaudeAgentOptions) -> ClaudeSDKClient:
        return ClaudeSDKClient(replace(options, cli_path=cli, cwd=tmp_path))

    events = await run(SdkAgent(workspace=tmp_path, home=tmp_path, make_client=make))
    (error,) = events
    assert isinstance(error, Error)
    assert error.code == "agent-failed"
    assert "longer than a message may be" in error.text


async def test_a_process_connected_ahead_serves_the_first_turn_with_its_options() -> None:
    cli = Cli(turn(), turn())
    agent = agent_of(cli)
    await agent.connect(AgentOptions(model="m"))
    await run(agent, options=AgentOptions(model="m"))
    await run(agent, options=AgentOptions(model="m"), session_id=SESSION)
    assert cli.calls == [["connect", "query", "query"]]


@pytest.mark.parametrize(
    "fields",
    [{"options": AgentOptions(model="other")}, {"session_id": SESSION}],
    ids=["other options", "a session to resume"],
)
async def test_a_process_connected_ahead_is_dropped_where_it_does_not_fit(
    fields: dict[str, Any],
) -> None:
    cli = Cli(turn())
    agent = agent_of(cli)
    await agent.connect(AgentOptions())
    await run(agent, **fields)
    assert cli.calls == [["connect", "disconnect"], ["connect", "query"]]
    assert cli.clients[1].options.resume == fields.get("session_id")


async def test_only_the_first_turn_may_find_a_process_without_a_session() -> None:
    cli = Cli(turn(), turn())
    agent = agent_of(cli)
    await agent.connect(AgentOptions())
    await run(agent)
    await run(agent)
    assert cli.calls == [["connect", "query", "disconnect"], ["connect", "query"]]


async def test_disconnecting_ends_the_process_and_empties_the_home(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    (home / ".claude" / "deep").mkdir(parents=True)
    (home / ".claude.json").write_text("{}")
    outside.mkdir()
    (outside / "kept").write_text("")
    (home / "link").symlink_to(outside)
    cli = Cli()
    agent = SdkAgent(workspace=tmp_path, home=home, make_client=cli.make)
    await agent.connect(AgentOptions())
    await agent.disconnect()
    assert cli.calls == [["connect", "disconnect"]]
    assert list(home.iterdir()) == []
    assert (outside / "kept").exists()


async def test_a_process_that_cannot_be_connected_ahead_says_why_and_leaves_none(
    tmp_path: Path,
) -> None:
    class Failing(ScriptedClient):
        async def connect(self) -> None:
            raise CLIConnectionError("no such program")

    def make(options: ClaudeAgentOptions) -> Any:
        return Failing(Cli(), options)

    agent = SdkAgent(workspace=tmp_path, home=tmp_path, make_client=make)
    with pytest.raises(ConnectError, match="no such program"):
        await agent.connect(AgentOptions())
    with pytest.raises(AgentError):
        await agent.interrupt()
