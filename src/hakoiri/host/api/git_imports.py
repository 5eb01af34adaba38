"""Git repositories into workspaces over HTTP: as one document, or as events while it clones.

The import belongs to its request: when the client goes away it is stopped, and nothing of it stays.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Final, Self

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, StringConstraints, model_validator
from starlette.types import Receive, Scope, Send

from hakoiri.host.api.client_leaving import unless_left
from hakoiri.host.api.command_answers import problem_of_command
from hakoiri.host.api.commands import CLIENT_LEFT
from hakoiri.host.api.events import KEEPALIVE_S, STREAM_HEADERS
from hakoiri.host.api.problems import RefusedError, problem_of
from hakoiri.host.api.workspace_places import Place, places
from hakoiri.host.containers.ports import AgentUnreachableError, ContainersError
from hakoiri.host.conversations.git_import import GitImport, GitImported, RunningImport
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.ports import ConversationsError
from hakoiri.host.conversations.workspace_service import WorkspaceService
from hakoiri.host.files.paths import bytes_of, check_path
from hakoiri.host.files.ports import FilesError
from hakoiri.wire.git_import import CloneProgress, GitSource, directory_of
from hakoiri.wire.messages import Message
from hakoiri.wire.problems import Problem
from hakoiri.wire.sse import COMMENT_KEEPALIVE, encode_block

TIMEOUT_S: Final = 900.0
TIMEOUT_MAX_S: Final = 7200.0


class GitRepository(GitSource):
    """What is cloned, and to where: a new or an empty directory, by default of its own name.

    `path` is written as the list of files shows it.
    """

    path: Annotated[str, StringConstraints(min_length=1, max_length=16_384)] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=TIMEOUT_MAX_S, allow_inf_nan=False)] = TIMEOUT_S

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if self.path is None and directory_of(self.url) is None:
            raise ValueError("path: the URL's last part is no plain name; say where to")
        return self

    @property
    def place(self) -> str:
        """The directory, as the list of files shows it."""
        return self.path if self.path is not None else directory_of(self.url) or ""

    def source(self) -> GitSource:
        """Return what is to be cloned, without where to."""
        return GitSource(url=self.url, ref=self.ref, depth=self.depth)


class NewImport(Message):
    """What is to be imported."""

    git: GitRepository


class ImportedRepository(BaseModel):
    """Where it lies, and the commit that was checked out; no recovery point while a turn runs."""

    recovery_point: str | None
    path: str
    commit: str


def router(*, workspaces: WorkspaceService, imports: GitImport) -> APIRouter:
    """`…/import` in both places."""
    routes = APIRouter()
    for place in places(workspaces):
        _add(routes, place, imports)
    return routes


def _add(routes: APIRouter, place: Place, imports: GitImport) -> None:
    @routes.post(
        f"{place.path}/import",
        operation_id=place.operation("import_repository"),
        response_model=ImportedRepository,
        responses={
            200: {
                "description": "What was imported; or, for `Accept: text/event-stream`, events "
                "`progress`, then `imported` or `error`",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }
        },
    )
    async def import_repository(
        workspace: Annotated[Workspace, Depends(place.find)],
        new: NewImport,
        request: Request,
        accept: Annotated[str, Header()] = "",
    ) -> Response | ImportedRepository:
        """Clone a git repository in the workspace's container, under its policy."""
        git = new.git
        target = check_path(bytes_of(git.place))

        async def start() -> RunningImport:
            return await imports.start(workspace, git.source(), target, timeout_s=git.timeout_s)

        if "text/event-stream" in accept.lower():
            running = await unless_left(request.receive, start)
            if running is None:
                return Response(status_code=CLIENT_LEFT)
            return ImportEvents(running, path=git.place)

        async def whole() -> ImportedRepository:
            return await _collected(await start(), git.place)

        done = await unless_left(request.receive, whole)
        return done if done is not None else Response(status_code=CLIENT_LEFT)


async def _collected(running: RunningImport, path: str) -> ImportedRepository:
    try:
        async with aclosing(running.told(idle_s=KEEPALIVE_S)) as told:
            async for one in told:
                if isinstance(one, GitImported):
                    return _document(one, path)
        raise AgentUnreachableError("the import's stream ended before its end was told")
    except ContainersError as error:
        raise RefusedError(problem_of_command(error)) from error
    finally:
        await running.end()


class ImportEvents(StreamingResponse):
    """Events `progress`, then `imported`, or `error` with a problem's code and text."""

    def __init__(self, running: RunningImport, *, path: str) -> None:
        self._running = running
        super().__init__(
            _blocks(running, path), media_type="text/event-stream", headers=STREAM_HEADERS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the import or the client is gone."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._running.end()


async def _blocks(running: RunningImport, path: str) -> AsyncGenerator[bytes, None]:
    numbers = iter(range(1, 2**63))

    def block(event: str, data: str) -> bytes:
        return encode_block(number=next(numbers), event=event, data=data)

    try:
        async with aclosing(running.told(idle_s=KEEPALIVE_S)) as told:
            async for one in told:
                if one is None:
                    yield COMMENT_KEEPALIVE
                elif isinstance(one, CloneProgress):
                    yield block("progress", one.model_dump_json(exclude={"type"}))
                else:
                    await running.end()
                    yield block("imported", _document(one, path).model_dump_json())
    except ContainersError as error:
        yield block("error", _told(problem_of_command(error)))
    except (ConversationsError, FilesError) as error:
        await running.end()  # who reads it finds nothing left over
        yield block("error", _told(problem_of(error)))


def _told(problem: Problem) -> str:
    return json.dumps({"code": problem.code, "text": problem.detail})


def _document(done: GitImported, path: str) -> ImportedRepository:
    return ImportedRepository(recovery_point=done.recovery_point, path=path, commit=done.commit)
