"""The one place that maps errors to HTTP: RFC 9457 problem documents with stable types."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from hakoiri.host.containers.pool_service import PoolRefusedError
from hakoiri.host.containers.ports import (
    CapacityError,
    ContainersError,
    PolicyRefusedError,
    PoolStoreError,
    StoppingError,
    TooManyCommandsError,
    WorkspaceGoneError,
    WorkspaceInUseError,
)
from hakoiri.host.conversations.audit_view import AuditCursorError, AuditUnavailableError
from hakoiri.host.conversations.git_import import (
    GitImportError,
    GitNotAllowedError,
    GitTimeoutError,
    ImportRunningError,
)
from hakoiri.host.conversations.keys import NoSuchKeyError
from hakoiri.host.conversations.point_ports import (
    HeadMovedError,
    PointInUseError,
    TooManyKeptError,
)
from hakoiri.host.conversations.ports import (
    InvalidOptionError,
    NoSuchConversationError,
    NoSuchPolicyError,
    NoSuchWorkspaceError,
    NoTurnRunningError,
    ServerStoppingError,
    StoreError,
    TurnRunningError,
    WorkspaceOwnedError,
)
from hakoiri.host.conversations.runtime_choice import RuntimeNotAllowedError
from hakoiri.host.coordination.ports import CoordinationError, UnsettledError
from hakoiri.host.files.archive_limits import ArchiveRefusedError
from hakoiri.host.files.paths import PathError
from hakoiri.host.files.ports import (
    EditRefusedError,
    FilesError,
    NoSpaceError,
    NoSuchFileError,
    NoSuchPointError,
)
from hakoiri.wire.problems import (
    AUDIT_TITLE,
    AUDIT_UNAVAILABLE,
    PROBLEM_MEDIA_TYPE,
    Problem,
)


class RefusedError(Exception):
    """The API itself refuses a request with this problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Meaning:
    code: str
    status: int
    title: str
    is_detail_told: bool = True


# The first class that fits counts: an error of the database belongs to every room. What the engine
# and the stores say of themselves stays inside; /ready tells it to operators.
MEANINGS: Final[tuple[tuple[type[Exception], _Meaning], ...]] = (
    (StoreError, _Meaning("store-unavailable", 503, "The database does not answer", False)),  # noqa: FBT003
    (NoSuchConversationError, _Meaning("no-such-conversation", 404, "No such conversation")),
    (NoSuchWorkspaceError, _Meaning("no-such-workspace", 404, "No such workspace")),
    (WorkspaceOwnedError, _Meaning("workspace-owned", 409, "The workspace is a conversation's")),
    (NoSuchPolicyError, _Meaning("no-such-policy", 404, "No such policy")),
    (NoSuchKeyError, _Meaning("no-such-key", 404, "No such key")),
    (TurnRunningError, _Meaning("turn-running", 409, "A turn is running")),
    (NoTurnRunningError, _Meaning("no-turn-running", 409, "No turn is running")),
    (AuditCursorError, _Meaning("invalid-request", 422, "The request is not valid")),
    (AuditUnavailableError, _Meaning(AUDIT_UNAVAILABLE, 503, AUDIT_TITLE)),
    (RuntimeNotAllowedError, _Meaning("runtime-not-allowed", 422, "The runtime is not allowed")),
    (InvalidOptionError, _Meaning("invalid-request", 422, "The request is not valid")),
    (PoolRefusedError, _Meaning("invalid-request", 422, "The request is not valid")),
    (PoolStoreError, _Meaning("pool-not-stored", 503, "The setting cannot be kept")),
    (PolicyRefusedError, _Meaning("policy-refused", 422, "The proxy refuses the policy")),
    (TooManyCommandsError, _Meaning("too-many-commands", 429, "Too many commands run")),
    (WorkspaceInUseError, _Meaning("workspace-in-use", 409, "The workspace is in use")),
    (HeadMovedError, _Meaning("workspace-changed", 409, "The workspace has changed meanwhile")),
    (PointInUseError, _Meaning("recovery-point-in-use", 409, "The recovery point is needed")),
    (TooManyKeptError, _Meaning("too-many-kept", 409, "Too many recovery points are kept")),
    (CapacityError, _Meaning("capacity", 503, "All containers are in use")),
    (StoppingError, _Meaning("server-stopping", 503, "The server is stopping")),
    (WorkspaceGoneError, _Meaning("workspace-gone", 409, "The workspace was killed")),
    (ServerStoppingError, _Meaning("server-stopping", 503, "The server is stopping")),
    (ContainersError, _Meaning("containers-unavailable", 503, "Containers do not answer", False)),  # noqa: FBT003
    (UnsettledError, _Meaning("unsettled", 503, "The servers have not agreed yet")),
    (CoordinationError, _Meaning("coordination-away", 503, "The servers cannot agree", False)),  # noqa: FBT003
    (NoSuchPointError, _Meaning("no-such-recovery-point", 404, "No such recovery point")),
    (NoSuchFileError, _Meaning("no-such-file", 404, "No such file")),
    (ArchiveRefusedError, _Meaning("archive-refused", 422, "The archive is not taken")),
    (GitNotAllowedError, _Meaning("git-not-allowed", 403, "The policy does not let it through")),
    (ImportRunningError, _Meaning("import-running", 409, "An import is running")),
    (GitTimeoutError, _Meaning("git-timeout", 504, "The clone took too long")),
    (GitImportError, _Meaning("git-import-failed", 502, "The repository was not imported")),
    (PathError, _Meaning("invalid-request", 422, "The request is not valid")),
    (EditRefusedError, _Meaning("edit-refused", 409, "The file cannot be changed so")),
    (NoSpaceError, _Meaning("no-space", 507, "The workspace is full")),
    (FilesError, _Meaning("files-unavailable", 503, "The files cannot be read", False)),  # noqa: FBT003
)

HTTP_CODES: Final = {400: "malformed-request", 404: "not-found", 405: "method-not-allowed"}
INTERNAL: Final = Problem.of(
    "internal", title="The server failed", status=500, detail="The server's log says why."
)
SHOWN_ERRORS: Final = 10
RETRY_AFTER_S: Final = "5"
"""A connection that comes back is tried again within that."""

DOCUMENTED: Final[dict[int | str, dict[str, Any]]] = {
    "default": {
        "description": "A problem; its `type` is stable",
        "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
"""For every route: what else may come is a problem document."""


def problem_response(problem: Problem, *, headers: dict[str, str] | None = None) -> Response:
    """Return the problem as a response."""
    return Response(
        problem.model_dump_json(),
        status_code=problem.status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers={"Cache-Control": "no-store"} | (headers or {}),
    )


async def send_problem(
    problem: Problem,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    headers: dict[str, str] | None = None,
) -> None:
    """Answer a request with a problem, from outside of the application."""
    await problem_response(problem, headers=headers)(scope, receive, send)


def problem_of(error: Exception) -> Problem:
    """Return what a client may know of an error."""
    if isinstance(error, RefusedError):
        return error.problem
    for kind, meaning in MEANINGS:
        if isinstance(error, kind):
            detail = str(error) if meaning.is_detail_told else "Try again later; see /ready."
            return Problem.of(
                meaning.code, title=meaning.title, status=meaning.status, detail=detail
            )
    return INTERNAL


def install(app: FastAPI) -> None:
    """Let the application answer every error with a problem."""

    async def refuse(request: Request, error: Exception) -> Response:
        del request
        return problem_response(problem_of(error), headers=_retry_header(error))

    async def invalid(request: Request, error: Exception) -> Response:
        del request
        detail = _describe(error) if isinstance(error, RequestValidationError) else ""
        return problem_response(
            Problem.of(
                "invalid-request", title="The request is not valid", status=422, detail=detail
            )
        )

    async def http(request: Request, error: Exception) -> Response:
        del request
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = dict(getattr(error, "headers", None) or {})
        code = HTTP_CODES.get(status, "http-error")
        title = str(getattr(error, "detail", "")) or "The request failed"
        detail = _way_out(status, headers)
        return problem_response(
            Problem.of(code, title=title, status=status, detail=detail), headers=headers
        )

    kinds: list[type[Exception]] = [RefusedError, *(kind for kind, _ in MEANINGS), Exception]
    for kind in kinds:
        app.add_exception_handler(kind, refuse)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def _retry_header(error: Exception) -> dict[str, str]:
    """Tell when to come again, where that is known (RFC 9110, 10.2.3: seconds)."""
    if isinstance(error, CapacityError) and error.retry_after_s is not None:
        return {"Retry-After": str(error.retry_after_s)}
    return {"Retry-After": RETRY_AFTER_S} if isinstance(error, CoordinationError) else {}


def _describe(error: RequestValidationError) -> str:
    """Name the fields and what is wrong, never the value."""
    lines = []
    for item in error.errors()[:SHOWN_ERRORS]:
        if item["type"] == "json_invalid":
            why = item.get("ctx", {}).get("error", "it cannot be read")
            lines.append(f"the body is not JSON: {why}, at character {item['loc'][-1]}")
            continue
        place = ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0])
        lines.append(f"{place[:200]}: {_fault(item)}")
    return "; ".join(lines)


def _fault(item: Mapping[str, Any]) -> str:
    """Return pydantic's message in our words."""
    if item["type"] == "extra_forbidden":
        return "there is no such field"
    return str(item["msg"]).removeprefix("Value error, ")


def _way_out(status: int, headers: Mapping[str, str]) -> str:
    """Tell what to ask for in place of a path or a method that there is not."""
    if status == HTTPStatus.NOT_FOUND:
        return "The API has no such path; /openapi.json tells all that it has."
    allowed = {name.lower(): value for name, value in headers.items()}.get("allow")
    return f"This path takes {allowed}." if allowed else ""
