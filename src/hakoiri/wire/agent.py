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

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

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

AGENT_SOCKET_NAME = "agent.sock"
PROXY_MOUNT = "/run/hakoiri/proxy"
"""Where the container finds the directory of its proxy socket."""

PROXY_SOCKET_NAME = "proxy.sock"
CA_BUNDLE_NAME = "ca.pem"
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
    """Run one turn; `session_id` resumes the agent's memory where there is one."""

    turn_id: Identifier
    text: Annotated[str, StringConstraints(min_length=1, max_length=MESSAGE_TEXT_LIMIT_CHARS)]
    session_id: SessionId | None = None
    options: AgentOptions = AgentOptions()


class Acknowledge(Message):
    """Events up to `seq` are stored by the host."""

    seq: int = Field(ge=0)


class AgentHealth(Message):
    """The agent answers; `turn_id` names the turn that runs, if any."""

    state: Literal["ready", "running", "stopping"]
    turn_id: Identifier | None = None
    version: ShortText
