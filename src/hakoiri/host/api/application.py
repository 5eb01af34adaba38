"""The HTTP application: its routes and the layers around them, in one visible place."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware

from hakoiri.host.api import audit as audit_routes
from hakoiri.host.api import collection as collection_routes
from hakoiri.host.api import commands as command_routes
from hakoiri.host.api import conversations as conversation_routes
from hakoiri.host.api import events as event_routes
from hakoiri.host.api import files as file_routes
from hakoiri.host.api import git_imports as git_import_routes
from hakoiri.host.api import health as health_routes
from hakoiri.host.api import keys as key_routes
from hakoiri.host.api import metrics as metric_routes
from hakoiri.host.api import point_files as point_file_routes
from hakoiri.host.api import policies as policy_routes
from hakoiri.host.api import pool as pool_routes
from hakoiri.host.api import problems
from hakoiri.host.api import recovery_points as point_routes
from hakoiri.host.api import usage as usage_routes
from hakoiri.host.api import workspaces as workspace_routes
from hakoiri.host.api.audit_guard import AuditGuard, Hindrance
from hakoiri.host.api.authentication import Authentication
from hakoiri.host.api.files import StoredFiles
from hakoiri.host.api.health import Degraded, Readiness
from hakoiri.host.api.last_requests import EndableRequests, LastRequests
from hakoiri.host.api.metrics import Figures
from hakoiri.host.api.openapi_page import complete
from hakoiri.host.api.request_guard import BodyGuard, HostGuard
from hakoiri.host.api.request_tracing import RequestTracing, Traces
from hakoiri.host.api.uploads import Uploads
from hakoiri.host.api.usage import UsageOf
from hakoiri.host.containers.box_probe import Told
from hakoiri.host.containers.confinement import Confinement
from hakoiri.host.containers.pool_service import PoolService
from hakoiri.host.conversations.archive_import import ArchiveImport
from hakoiri.host.conversations.audit_view import FindAudited
from hakoiri.host.conversations.conversation_service import ConversationService
from hakoiri.host.conversations.execute_service import ExecuteService
from hakoiri.host.conversations.git_import import GitImport
from hakoiri.host.conversations.keys import KeyRing
from hakoiri.host.conversations.point_services import PointServices
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.workspace_services import WorkspaceServices


def create_app(
    *,
    service: ExecuteService,
    conversations: ConversationService,
    keys: KeyRing,
    policies: PolicyService,
    files: StoredFiles,
    workspaces: WorkspaceServices,
    points: PointServices,
    uploads: Uploads,
    imports: ArchiveImport,
    git_imports: GitImport,
    collection: collection_routes.Collection,
    readiness: Readiness,
    degraded: Degraded,
    box_probe: Callable[[], Told],
    confinement: Confinement,
    pool: PoolService,
    figures: Figures,
    workspace_figures: Figures,
    usage_of: UsageOf,
    find_audited: FindAudited,
    hindrance: Hindrance,
    require_keys: bool,
    requests: LastRequests,
    traces: Traces | None = None,
) -> FastAPI:
    """Build the application. Without `require_keys` it must be served on loopback only.

    `requests` can end those that are under way. With `traces`, requests begin traces.
    """
    app = FastAPI(
        title="Hakoiri",
        summary="Runs AI agents that nobody has to trust.",
        version="1",
        docs_url=None,  # the pages would load scripts from elsewhere
        redoc_url=None,
        responses=problems.DOCUMENTED,
        redirect_slashes=False,
        # What this server tells of itself it tells through its own metrics and log.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        middleware=[  # the outermost first: a stranger's body is not even read
            Middleware(EndableRequests, requests=requests),
            Middleware(HostGuard, only_loopback=not require_keys),
            Middleware(Authentication, keys=keys, require_keys=require_keys),
            # who is refused above fills no trace
            *([Middleware(RequestTracing, traces=traces)] if traces is not None else []),
            Middleware(BodyGuard),
            Middleware(AuditGuard, hindrance=hindrance),
        ],
    )
    problems.install(app)
    app.include_router(
        health_routes.router(
            readiness=readiness,
            degraded=degraded,
            box_probe=box_probe,
            confinement=confinement,
            pool=pool.report,
        )
    )
    app.include_router(metric_routes.router(figures=figures, workspaces=workspace_figures))
    app.include_router(conversation_routes.router(service=service, conversations=conversations))
    app.include_router(event_routes.router(conversations=conversations))
    app.include_router(workspace_routes.router(workspaces=workspaces.workspaces))
    app.include_router(usage_routes.router(workspaces=workspaces.workspaces, usage_of=usage_of))
    app.include_router(command_routes.router(services=workspaces))
    app.include_router(
        file_routes.router(services=workspaces, files=files, uploads=uploads, imports=imports)
    )
    app.include_router(
        git_import_routes.router(workspaces=workspaces.workspaces, imports=git_imports)
    )
    app.include_router(collection_routes.router(collection=collection))
    app.include_router(point_routes.router(workspaces=workspaces.workspaces, services=points))
    app.include_router(
        point_file_routes.router(workspaces=workspaces.workspaces, points=points.points)
    )
    app.include_router(policy_routes.router(policies=policies))
    app.include_router(pool_routes.router(pool=pool))
    app.include_router(audit_routes.router(find=find_audited))
    app.include_router(key_routes.router(keys=keys))
    _complete_page(app, require_keys=require_keys)
    return app


def _complete_page(app: FastAPI, *, require_keys: bool) -> None:
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            complete(generate(), require_keys=require_keys)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
