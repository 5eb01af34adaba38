"""The host's conversation with `workspace_agent`, over `agent.sock`.

| call | answer |
|---|---|
| `GET /health` | `AgentHealth` |
| `POST /turns` with `RunTurn` | SSE of `AgentEvent`, numbered from 1; 409 while a turn runs |
| `GET /turns/{turn_id}/events?after=N` | the same stream from N+1 on; N is thereby acknowledged |
| `POST /turns/{turn_id}/ack` with `Acknowledge` | 204; the agent forgets events up to `seq` |
| `POST /turns/{turn_id}/interrupt` | 202 |
| `POST /connect` with `AgentOptions` | 204 when the CLI runs and waits; 409 once a turn ran |
| `POST /disconnect` | 204 when the CLI is ended and the home empty again; 409 once a turn ran |
| `POST /exec` with `RunCommand` | SSE of `CommandFrame` (`hakoiri.wire.command`) |
| `POST /probe` with `ProbeRequest` | `ProbeReport`; 409 while a turn runs or ever ran |
| `POST /shutdown` | 202; the agent ends within its grace |

Each SSE block carries `id:` (the number), `event:` (the type) and `data:` (the event as JSON).
Closing the stream does not stop the turn. The stream ends after `result` or `error`.
"""

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from hakoiri.wire import box
from hakoiri.wire.messages import (
    MESSAGE_TEXT_LIMIT_CHARS,
    Identifier,
    Message,
    SessionId,
    ShortText,
)

EVENT_LINE_LIMIT_BYTES = 8 * 1024 * 1024
"""One SSE line from a container; a longer one ends the turn with an error."""

BUFFER_LIMIT_BYTES = 16 * 1024 * 1024
"""Unacknowledged events the agent keeps; beyond it, it stops reading from the model."""

AGENT_KILLED = "agent-killed"
"""Code of the `error` that ends a turn whose process in the container was killed, mostly for want
of memory: the container is to be replaced, and the turn taken up."""

UNKNOWN_TURN = "unknown-turn"
"""Code of the problem that answers a call about a turn that is neither running nor the last."""

AGENT_SOCKET_NAME: Final = box.AGENT_SOCKET_NAME
AGENT_KEEPS_IDLE_S = 60
"""So long the agent holds a connection open on which nothing is asked."""

HOST_KEEPS_IDLE_S = 15.0
"""So long the host uses such a connection again: far less than the agent holds it.

An agent that was frozen finds all its timers run out when it is thawed. It then closes what was
idle for too long by its own clock, and a request on such a connection would be lost.
"""

PROXY_MOUNT: Final = box.PROXY_MOUNT
"""Where the container finds the directory of its proxy socket."""

PROXY_SOCKET_NAME: Final = box.PROXY_SOCKET_NAME
CA_BUNDLE_NAME: Final = box.CA_BUNDLE_NAME
"""Beside the socket: the certificates that clients in the container trust."""
RELAY_PORT = 3128
"""Inside the container, 127.0.0.1:3128 is the way to `proxy.sock`."""

PermissionMode = Literal["default", "acceptEdits", "plan", "bypassPermissions"]


class AgentOptions(Message):
    """How the agent works in this conversation; absent means the agent's own default."""

    model: ShortText | None = None
    system_prompt: Annotated[str, StringConstraints(max_length=200_000)] | None = None
    allowed_tools: list[ShortText] | None = Field(default=None, max_length=200)
    permission_mode: PermissionMode = "bypassPermissions"
    max_turns: int | None = Field(default=None, ge=1, le=10_000)


class RunTurn(Message):
    """Run one turn; `session_id` resumes the agent's memory where there is one.

    `is_taken_up`: the turn may have begun before, in a container that was lost. If the agent's
    memory holds the message, it goes on from there and is not given the message again.
    """

    turn_id: Identifier
    text: Annotated[str, StringConstraints(min_length=1, max_length=MESSAGE_TEXT_LIMIT_CHARS)]
    session_id: SessionId | None = None
    is_taken_up: bool = False
    options: AgentOptions = AgentOptions()


class Acknowledge(Message):
    """Events up to `seq` are stored by the host."""

    seq: int = Field(ge=0)


class AgentHealth(Message):
    """The agent answers; `turn_id` names the turn that runs, if any."""

    state: Literal["ready", "running", "stopping"]
    turn_id: Identifier | None = None
    version: ShortText
