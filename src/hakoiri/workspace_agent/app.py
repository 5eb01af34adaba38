"""The agent's HTTP interface, as `hakoiri.wire.agent` describes it."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Annotated, Final

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from hakoiri.wire.agent import Acknowledge, AgentHealth, AgentOptions, RunTurn
from hakoiri.wire.command import RunCommand
from hakoiri.wire.probe import ProbeReport, ProbeRequest
from hakoiri.wire.problems import PROBLEM_MEDIA_TYPE, Problem
from hakoiri.wire.sse import COMMENT_KEEPALIVE
from hakoiri.workspace_agent.body_limit import BodyLimit
from hakoiri.workspace_agent.command_stream import CommandStream
from hakoiri.workspace_agent.commands import Commands
from hakoiri.workspace_agent.errors import (
    AgentError,
    ConnectError,
    EventsForgottenError,
    ProbeError,
    StoppingError,
    TooManyCommandsError,
    TurnRunningError,
    UnknownTurnError,
)
from hakoiri.workspace_agent.probing import run_probe
from hakoiri.workspace_agent.turn_stream import TurnStream
from hakoiri.workspace_agent.turns import Turns
from hakoiri.workspace_agent.version import AGENT_VERSION

KEEPALIVE_S: Final = 15.0

_ANSWERS: Final[dict[type[Exception], tuple[int, str, str]]] = {
    TurnRunningError: (409, "turn-running", "A turn runs already"),
    UnknownTurnError: (404, "unknown-turn", "No such turn"),
    EventsForgottenError: (410, "events-forgotten", "The events are gone"),
    StoppingError: (503, "stopping", "The agent is stopping"),
    ConnectError: (500, "not-connected", "The agent's own process could not be started"),
    TooManyCommandsError: (429, "too-many-commands", "Too many commands run"),
    ProbeError: (500, "probe-failed", "The probe did not come to an end"),
}


def make_app(
    *,
    turns: Turns,
    commands: Commands,
    shut_down: Callable[[], None],
    keepalive_s: float = KEEPALIVE_S,
) -> FastAPI:
    """Build the interface over turns and commands; `shut_down` begins the end of the process."""
    app = FastAPI(title="Hakoiri workspace agent", version=AGENT_VERSION, openapi_url=None)
    app.add_middleware(BodyLimit)
    _add_problems(app)

    @app.get("/health")
    async def health() -> AgentHealth:
        return AgentHealth(state=turns.state, turn_id=turns.running_turn_id, version=AGENT_VERSION)

    @app.post("/turns")
    async def run_turn(request: RunTurn) -> StreamingResponse:
        return _sse(turns.start(request), after=0, keepalive_s=keepalive_s)

    @app.get("/turns/{turn_id}/events")
    async def events(turn_id: str, after: Annotated[int, Query(ge=0)] = 0) -> StreamingResponse:
        stream = turns.stream(turn_id)
        stream.check_readable(after=after)
        await stream.acknowledge(after)
        return _sse(stream, after=after, keepalive_s=keepalive_s)

    @app.post("/turns/{turn_id}/ack", status_code=204, response_class=Response)
    async def acknowledge(turn_id: str, request: Acknowledge) -> None:
        await turns.stream(turn_id).acknowledge(request.seq)

    @app.post("/turns/{turn_id}/interrupt", status_code=202, response_class=Response)
    async def interrupt(turn_id: str) -> None:
        turns.interrupt(turn_id)

    _add_box_calls(app, turns=turns, commands=commands, keepalive_s=keepalive_s)

    @app.post("/shutdown", status_code=202, response_class=Response)
    async def shutdown() -> None:
        shut_down()

    return app


def _add_box_calls(app: FastAPI, *, turns: Turns, commands: Commands, keepalive_s: float) -> None:
    """Add what is asked of the box beside turns."""

    @app.post("/connect", status_code=204, response_class=Response)
    async def connect(options: AgentOptions) -> None:
        await turns.connect(options)

    @app.post("/disconnect", status_code=204, response_class=Response)
    async def disconnect() -> None:
        await turns.disconnect()

    @app.post("/exec")
    async def run_command(request: RunCommand) -> StreamingResponse:
        command = commands.start(request)
        return CommandStream(command, end=commands.end, keepalive_s=keepalive_s)

    @app.post("/probe")
    async def probe(request: ProbeRequest) -> ProbeReport:
        turns.check_unused()
        return await run_probe(request)


def _sse(stream: TurnStream, *, after: int, keepalive_s: float) -> StreamingResponse:
    return StreamingResponse(
        _blocks(stream, after=after, keepalive_s=keepalive_s), media_type="text/event-stream"
    )


async def _blocks(stream: TurnStream, *, after: int, keepalive_s: float) -> AsyncIterator[bytes]:
    """Yield the events' blocks, and a comment whenever nothing happened for `keepalive_s`."""
    async with aclosing(stream.read(after=after, idle_s=keepalive_s)) as events:
        async for event in events:
            yield COMMENT_KEEPALIVE if event is None else event.block


def _add_problems(app: FastAPI) -> None:
    async def refuse(_request: Request, error: Exception) -> Response:
        status, code, title = _ANSWERS.get(type(error), _UNKNOWN)
        return problem(status, code, title, str(error))

    async def refuse_invalid(_request: Request, error: Exception) -> Response:
        found = error.errors() if isinstance(error, RequestValidationError) else []
        places = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in found[:10]
        )
        return problem(422, "invalid-request", "The request is not as agreed", places)

    async def refuse_http(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return problem(status, f"http-{status}", "The request cannot be served", str(error))

    app.add_exception_handler(AgentError, refuse)
    app.add_exception_handler(RequestValidationError, refuse_invalid)
    app.add_exception_handler(HTTPException, refuse_http)


_UNKNOWN: Final = (500, "agent-error", "The agent could not do it")


def problem(status: int, code: str, title: str, detail: str) -> Response:
    """Return the RFC 9457 answer."""
    document = Problem.of(code, title=title, status=status, detail=detail)
    return Response(document.model_dump_json(), status_code=status, media_type=PROBLEM_MEDIA_TYPE)
