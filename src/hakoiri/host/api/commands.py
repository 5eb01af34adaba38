"""Commands over HTTP: run in a workspace's container, answered as one document or as events.

The command belongs to its request: when the client goes away it is killed.
"""

from typing import Annotated, Final, Literal, Self

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, Field, model_validator

from hakoiri.host.api.client_leaving import unless_left
from hakoiri.host.api.command_answers import CommandDocument, CommandEvents
from hakoiri.host.api.problems import RefusedError
from hakoiri.host.api.workspace_places import Place, places
from hakoiri.host.conversations.command_service import CommandService
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.workspace_services import WorkspaceServices
from hakoiri.wire.base64_text import decode, encode
from hakoiri.wire.command import RunCommand, Start
from hakoiri.wire.command_limits import OUTPUT_LIMIT_MAX_BYTES, STDIN_LIMIT_BYTES, TIMEOUT_MAX_S
from hakoiri.wire.problems import Problem

TIMEOUT_S: Final = 300
OUTPUT_LIMIT_BYTES: Final = 1024 * 1024
DOCUMENT_LIMIT_BYTES: Final = 8 * 1024 * 1024
"""What an answer in one document may hold; events may carry more."""

CLIENT_LEFT: Final = 499
"""Sent to nobody."""


class NewCommand(Start):
    """What is to be run.

    With the encoding `text`, input and output are text in UTF-8, and what is not is replaced by
    U+FFFD; with `base64` they are exact. Output over the limit is dropped, and the exit says so.
    """

    stdin: str | None = None
    encoding: Literal["text", "base64"] = "text"
    timeout_s: Annotated[float, Field(gt=0, le=TIMEOUT_MAX_S, allow_inf_nan=False)] = TIMEOUT_S
    output_limit_bytes: Annotated[int, Field(ge=0, le=OUTPUT_LIMIT_MAX_BYTES)] = OUTPUT_LIMIT_BYTES

    @model_validator(mode="after")
    def _stdin_fits(self) -> Self:
        if len(self.stdin_bytes()) > STDIN_LIMIT_BYTES:
            raise ValueError(f"stdin: it may have {STDIN_LIMIT_BYTES} bytes; send more as a file")
        return self

    def stdin_bytes(self) -> bytes:
        """Return the input; empty where there is none."""
        if self.encoding == "text":
            return (self.stdin or "").encode()
        try:
            return decode(self.stdin or "")
        except ValueError as error:
            raise ValueError(f"stdin: {error}") from error

    def command(self) -> RunCommand:
        """Return it as the agent takes it."""
        return RunCommand(
            argv=self.argv,
            environment=self.environment,
            directory=self.directory,
            stdin=None if self.stdin is None else encode(self.stdin_bytes()),
            timeout_s=self.timeout_s,
            output_limit_bytes=self.output_limit_bytes,
        )


class CommandResult(BaseModel):
    """How a command ended, and what it wrote: an exit code, or the signal that ended it."""

    exit_code: int | None
    signal: int | None
    timed_out: bool
    output_cut: bool
    stdout: str
    stderr: str


def router(*, services: WorkspaceServices) -> APIRouter:
    """`…/exec` in both places."""
    routes = APIRouter()
    for place in places(services.workspaces):
        _add(routes, place, services.commands)
    return routes


def _add(routes: APIRouter, place: Place, commands: CommandService) -> None:
    @routes.post(
        f"{place.path}/exec",
        operation_id=place.operation("run_command"),
        response_model=CommandResult,
        responses={
            200: {
                "description": "The result; or, for `Accept: text/event-stream`, events `stdout` "
                "and `stderr`, then `exit`, or `error` if the container is lost",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }
        },
    )
    async def run_command(
        workspace: Annotated[Workspace, Depends(place.find)],
        new: NewCommand,
        request: Request,
        accept: Annotated[str, Header()] = "",
    ) -> Response:
        """Run a command in the workspace's container; it is killed when the client goes away."""
        wants_events = "text/event-stream" in accept.lower()
        if not wants_events and new.output_limit_bytes > DOCUMENT_LIMIT_BYTES:
            raise _too_much_for_a_document()
        # it may have to wait for a container; nobody waits for a client that went away
        running = await unless_left(
            request.receive, lambda: commands.start(workspace, new.command())
        )
        if running is None:
            return Response(status_code=CLIENT_LEFT)
        if wants_events:
            return CommandEvents(running, encoding=new.encoding)
        return CommandDocument(running, encoding=new.encoding)


def _too_much_for_a_document() -> RefusedError:
    return RefusedError(
        Problem.of(
            "invalid-request",
            title="The request is not valid",
            status=422,
            detail=f"output_limit_bytes: at most {DOCUMENT_LIMIT_BYTES} in one document; "
            "for more, send Accept: text/event-stream",
        )
    )
