"""The agent: one `claude` process behind the agent SDK, kept between turns.

The process stays connected after a turn, so that the next message of the same session with the
same options does not pay its start again. It is started anew, with the session resumed, when it
died, when options changed, or after a turn that failed.

A turn that is taken up after its container was lost is never given its message twice: where the
memory holds the message, the agent is asked to go on. A session that the CLI does not find, as one
that was lost before it wrote anything of it, is begun anew, and the user told.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
import uuid
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    CLIConnectionError,
    Message,
)

from hakoiri.wire.agent import AgentOptions, RunTurn
from hakoiri.wire.events import AgentEvent, Error, Notice
from hakoiri.wire.terminal_types import TERMINAL_TYPES
from hakoiri.workspace_agent.errors import AgentError, ConnectError
from hakoiri.workspace_agent.sdk_errors import SESSION_NOT_FOUND, failure_error
from hakoiri.workspace_agent.sdk_events import EventMapper
from hakoiri.workspace_agent.sdk_options import sdk_options
from hakoiri.workspace_agent.transcript import Transcript
from hakoiri.workspace_agent.transcripts import message_id, session_that_holds

GO_ON: Final = """<system-reminder>
The container you work in was lost while you worked on the user's last message, and was replaced.
Files and this conversation were brought back as they were last saved; processes are gone. A tool
call without a result may have taken effect: look before you rely on it or run it again. Go on with
the user's last message where you left off.
</system-reminder>"""

CONTINUED: Final = Notice(
    code="turn-continued",
    text="The agent's memory holds the message, so it goes on from there. What it had said and not "
    "ended is void; what a tool had begun may be done again.",
)
BEGUN_AGAIN: Final = Notice(
    code="turn-begun-again",
    text="The agent's memory does not hold the message, so it is given it again. What was said in "
    "this turn so far is void; what tools did may be done again.",
)
NOT_REMEMBERED: Final = Notice(
    code="memory-not-found",
    text="The agent's memory of this conversation is not here, so it begins without it. Files are "
    "as they were.",
)

STDERR_LINES: Final = 50
STDERR_LINE_CHARS: Final = 1000

MakeClient = Callable[[ClaudeAgentOptions], ClaudeSDKClient]


class SdkAgent:
    """Runs turns, one after the other, all in one task (the SDK's clients want that)."""

    def __init__(
        self,
        *,
        workspace: Path,
        home: Path,
        make_client: MakeClient = ClaudeSDKClient,
        transcript: Transcript | None = None,
    ) -> None:
        """Work in the directory `workspace`; the process keeps its memory below `home`."""
        self._workspace = workspace
        self._home = home
        self._make_client = make_client
        self._transcript = transcript or Transcript()
        self._client: ClaudeSDKClient | None = None
        self._options: AgentOptions | None = None
        self._session_id: str | None = None
        self._is_fresh = False
        self._prompt_file: Path | None = None
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)

    async def run(self, request: RunTurn) -> AsyncGenerator[AgentEvent, None]:
        """Yield the turn's events, the last a `result` or `error`; failures are errors too."""
        attempt, prompt_id = request, message_id(request.turn_id)
        if request.is_taken_up:
            remembered = await self._remembered(request)
            yield CONTINUED if remembered else BEGUN_AGAIN
            if remembered is not None:
                attempt, prompt_id = remembered, str(uuid.uuid4())
        is_forgotten, is_first = False, True
        async with aclosing(self._attempt(attempt, EventMapper(prompt_id=prompt_id))) as events:
            async for event in events:
                is_forgotten = is_first and attempt.session_id is not None and _is_forgotten(event)
                is_first = False
                yield NOT_REMEMBERED if is_forgotten else event
        if is_forgotten:
            anew = request.model_copy(update={"session_id": None})
            mapper = EventMapper(prompt_id=message_id(anew.turn_id))
            async with aclosing(self._attempt(anew, mapper)) as events:
                async for event in events:
                    yield event

    async def _attempt(
        self, request: RunTurn, mapper: EventMapper
    ) -> AsyncGenerator[AgentEvent, None]:
        last: AgentEvent | None = None
        try:
            client = await self._ask(request, mapper.prompt_id)
            async with aclosing(_messages_of(client)) as messages:
                async for message in messages:
                    for event in mapper.events_of(message):
                        last = event
                        await self._transcript.wait_for(event)
                        yield event
                    if last is not None and last.type in TERMINAL_TYPES:
                        break
        except Exception as failure:  # noqa: BLE001 - the SDK raises bare exceptions too
            last = failure_error(failure, self._stderr)
            yield last
        self._session_id = mapper.session_id or self._session_id
        if not _leaves_process_sound(last):
            await self.close()

    async def connect(self, options: AgentOptions) -> None:
        """Start the process for a new session with these options. Raises `ConnectError`."""
        await self.close()
        try:
            await self._connect(options, session_id=None)
        except Exception as failure:
            await self.close()
            raise ConnectError(failure_error(failure, self._stderr).text) from failure
        self._is_fresh = True

    async def disconnect(self) -> None:
        """End the process and empty the home, in which it has written."""
        await self.close()
        await asyncio.to_thread(_empty, self._home)

    async def _remembered(self, request: RunTurn) -> RunTurn | None:
        """Return how to go on where the memory holds the turn's message; None where it does not."""
        session_id = await asyncio.to_thread(
            session_that_holds,
            message_id(request.turn_id),
            home=self._home,
            session_id=request.session_id,
        )
        if session_id is None:
            return None
        return request.model_copy(update={"text": GO_ON, "session_id": session_id})

    async def interrupt(self) -> None:
        """Ask the running turn to end. Raises `AgentError` if there is no process to ask yet."""
        if self._client is None:
            raise AgentError("the agent's process is not connected")
        await self._client.interrupt()

    async def close(self) -> None:
        """End the process. The next turn starts another."""
        client, self._client = self._client, None
        self._options, self._is_fresh = None, False
        if client is not None:
            await client.disconnect()
        if self._prompt_file is not None:
            self._prompt_file.unlink(missing_ok=True)
            self._prompt_file = None

    async def _ask(self, request: RunTurn, prompt_id: str) -> ClaudeSDKClient:
        client = self._client
        can_go_on, self._is_fresh = self._can_go_on(request), False
        if client is not None and can_go_on:
            # on CLIConnectionError it died since the last turn
            with contextlib.suppress(CLIConnectionError):
                await client.query(_prompt(request.text, prompt_id))
                return client
        await self.close()
        client = await self._connect(request.options, session_id=request.session_id)
        await client.query(_prompt(request.text, prompt_id))
        return client

    def _can_go_on(self, request: RunTurn) -> bool:
        """Whether the process has the request's session, or none yet for one that has none."""
        is_its_session = (
            self._is_fresh if request.session_id is None else request.session_id == self._session_id
        )
        return is_its_session and request.options == self._options

    async def _connect(self, options: AgentOptions, *, session_id: str | None) -> ClaudeSDKClient:
        self._stderr.clear()
        self._session_id = session_id
        client = self._make_client(
            sdk_options(
                options,
                session_id=session_id,
                system_prompt_file=self._write_prompt(options.system_prompt),
                workspace=self._workspace,
                transcript=self._transcript,
                on_stderr=lambda line: self._stderr.append(line[:STDERR_LINE_CHARS]),
            )
        )
        await client.connect()
        self._client, self._options = client, options
        return client

    def _write_prompt(self, system_prompt: str | None) -> Path | None:
        if system_prompt is None:
            return None
        with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as file:
            file.write(system_prompt)
        self._prompt_file = Path(file.name)
        return self._prompt_file


def _empty(directory: Path) -> None:
    """Remove all that is in a directory; links are removed, not followed."""
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)  # noqa: PTH108 - what `scandir` gives is a string


def _is_forgotten(event: AgentEvent) -> bool:
    return isinstance(event, Error) and event.code == SESSION_NOT_FOUND


def _leaves_process_sound(last: AgentEvent | None) -> bool:
    """Tell if the process may serve another turn after this last event."""
    if isinstance(last, Error):
        return last.code == "interrupted"
    return last is not None and last.type in TERMINAL_TYPES


async def _messages_of(client: ClaudeSDKClient) -> AsyncGenerator[Message, None]:
    async for message in client.receive_messages():
        yield message


async def _prompt(text: str, prompt_id: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the one message, with an id by which its result is known."""
    yield {
        "type": "user",
        "message": {"role": "user", "content": text},
        "parent_tool_use_id": None,
        "uuid": prompt_id,
    }
