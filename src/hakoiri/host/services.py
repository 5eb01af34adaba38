"""The services that the API speaks to, put together over what is open to the outside."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hakoiri.audit.writer import AuditLog
from hakoiri.host.adapters.chat_model import ProxiedChatModel
from hakoiri.host.adapters.chat_sockets import ChatSockets
from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.host.adapters.proxy_client import ProxyClient
from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.key_store import SqlKeyStore
from hakoiri.host.adapters.sql.policy_store import SqlPolicyStore
from hakoiri.host.adapters.sql.recovery_points import SqlRecoveryPoints
from hakoiri.host.adapters.sql.workspace_heads import SqlWorkspaceHeads
from hakoiri.host.adapters.sql.workspace_store import SqlWorkspaceStore
from hakoiri.host.conversations.archive_import import MEMBERS_LIMIT, ArchiveImport
from hakoiri.host.conversations.conversation_service import ConversationService
from hakoiri.host.conversations.event_feed import EventFeed, Recorded
from hakoiri.host.conversations.execute_service import ExecuteService
from hakoiri.host.conversations.git_import import GitImport
from hakoiri.host.conversations.keys import KeyRing
from hakoiri.host.conversations.known_owners import KnownOwners
from hakoiri.host.conversations.model import Conversation, TurnLimits
from hakoiri.host.conversations.point_ports import StillContainers
from hakoiri.host.conversations.point_services import PointServices, make_point_services
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.workspace_owners import WorkspaceOwners
from hakoiri.host.conversations.workspace_services import WorkspaceServices, make_workspace_services
from hakoiri.host.coordination.ports import Coordination, Topic
from hakoiri.host.files.archive import StoreWithArchive
from hakoiri.host.files.archive_limits import ImportLimits
from hakoiri.host.files.collection_ports import CollectableStore
from hakoiri.host.files.metered_sync import MeteredSync
from hakoiri.host.files.point_files import PointFiles
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.sync import FileSync
from hakoiri.host.settings import Settings
from hakoiri.host.store_keeping import retention_of
from hakoiri.host.telemetry.audit_log import EventAudit
from hakoiri.host.telemetry.file_audit import FileAudit
from hakoiri.host.telemetry.metrics import ServerMetrics
from hakoiri.host.together import Together
from hakoiri.wire.events import ConversationEvent
from hakoiri.wire.policy import ModelRoute, Policy


def default_policy(settings: Settings) -> Policy:
    """Return what a tenant's workspaces may reach until it says otherwise: the model alone."""
    if settings.model.provider == "anthropic":
        return Policy(model=ModelRoute(provider="anthropic", credential="anthropic"))
    # the rehearsal model stands where Bedrock would
    return Policy(
        model=ModelRoute(provider="bedrock", credential="bedrock", region=settings.model.region)
    )


@dataclass(frozen=True, slots=True)
class Edges:
    """The open ways to everything outside this process."""

    engine: DockerEngine
    proxy: ProxyClient
    database: Database
    objects: CollectableStore


@dataclass(frozen=True, slots=True)
class Services:
    """What the API speaks to."""

    execute: ExecuteService
    feed: EventFeed
    conversations: ConversationService
    policies: PolicyService
    keys: KeyRing
    files: FileSync
    workspaces: WorkspaceServices
    git_imports: GitImport
    points: PointServices
    owners: WorkspaceOwners
    chats: ChatSockets


class _OwnedConversations(SqlConversationStore):
    """The store, taking note of whose the conversations are that are looked at."""

    def __init__(self, database: Database, owners: KnownOwners) -> None:
        super().__init__(database)
        self._owners = owners

    async def get(self, *, tenant: str, conversation_id: str) -> Conversation:
        found = await super().get(tenant=tenant, conversation_id=conversation_id)
        self._owners.remember(found)
        return found


def make_services(
    settings: Settings,
    edges: Edges,
    containers: StillContainers,
    metrics: ServerMetrics,
    audit: AuditLog,
    *,
    leaves: Callable[[], bool],
    saved: Callable[[str, float], None],
    together: Together,
) -> Services:
    """Put them together over the open edges; `leaves` says whether turns stay when they end.

    `saved` is told of each workspace that was saved, and when that save began; `together` is what
    there is of other servers.
    """
    database, coordination = edges.database, together.coordination
    owners = KnownOwners()
    store = _OwnedConversations(database, owners)
    audited = EventAudit(audit, owner_of=owners.of)

    def recorded(events: Sequence[ConversationEvent]) -> None:
        audited.recorded(events)
        owners.recorded(events)
        metrics.turns.recorded(events)

    feed = EventFeed(store=store, recorded=told_to_others(recorded, coordination))
    metrics.watch_subscribers(lambda: feed.watchers)
    policies = PolicyService(
        store=SqlPolicyStore(database),
        containers=containers,
        default_policy=default_policy(settings),
        audit=audit,
        changed=lambda: coordination.fanout.announce(Topic.POLICIES),
    )
    objects = StoreWithArchive(edges.objects)
    files = MeteredSync(
        metrics=metrics.sync,
        audit=FileAudit(audit),
        saved=saved,
        clock_s=time.monotonic,
        store=objects,
        heads=SqlWorkspaceHeads(database, retention=retention_of(settings)),
        limits=ScanLimits(**settings.files.model_dump()),
        clock=now,
    )
    chats = ChatSockets(proxy=edges.proxy, policy_of=policies.of)
    execute = ExecuteService(
        store=store,
        feed=feed,
        policies=policies,
        containers=containers,
        files=files,
        chat_model=ProxiedChatModel(
            provider="anthropic" if settings.model.provider == "anthropic" else "bedrock",
            sockets=chats,
        ),
        limits=TurnLimits(**settings.turn.model_dump()),
        clock=now,
        runtimes=settings.container.allowed_runtimes,
        default_model=settings.model.name,
        turn_ended=metrics.turn_ended,
        recovered=metrics.recovered,
        leaves_turns=leaves,
        coordination=coordination,
        is_elsewhere=together.is_elsewhere,
    )
    workspace_store = SqlWorkspaceStore(database)
    workspaces = make_workspace_services(
        store=workspace_store,
        conversations=store,
        policies=policies,
        containers=containers,
        files=files,
        editable=files,
        clock=now,
        monotonic=time.monotonic,
        runtimes=settings.container.allowed_runtimes,
        audit=audit,
    )
    return Services(
        execute=execute,
        feed=feed,
        conversations=ConversationService(
            store=store,
            feed=feed,
            policies=policies,
            clock=now,
            runtimes=settings.container.allowed_runtimes,
        ),
        policies=policies,
        keys=KeyRing(store=SqlKeyStore(database), clock=now, audit=audit),
        files=files,
        workspaces=workspaces,
        git_imports=GitImport(
            commands=workspaces.commands,
            edits=workspaces.edits,
            policies=policies,
            containers=containers,
            proxy=edges.proxy,
            audit=audit,
        ),
        points=make_point_services(
            points=SqlRecoveryPoints(database, retention=retention_of(settings)),
            files=PointFiles(store=objects, manifests=files.manifests, clock=now),
            store=workspace_store,
            containers=containers,
            saves=files,
            saver=workspaces.saver,
            feed=feed,
            clock=now,
            audit=audit,
        ),
        owners=WorkspaceOwners(store=workspace_store, policies=policies, files=files),
        chats=chats,
    )


def make_import(settings: Settings, services: Services) -> ArchiveImport:
    """Return what unpacks archives, within the bounds of a recovery point."""
    given = settings.files
    return ArchiveImport(
        edits=services.workspaces.edits,
        files=services.files,
        limits=ImportLimits(
            members=min(MEMBERS_LIMIT, given.limit_entries),
            file_bytes=given.file_limit_bytes,
            total_bytes=given.limit_bytes,
            depth=given.depth_limit,
        ),
        directory=settings.data_dir,
    )


def told_to_others(recorded: Recorded, coordination: Coordination) -> Recorded:
    """Return what records events, and lets the other servers know where there are any."""
    if not coordination.is_shared:
        return recorded

    def both(events: Sequence[ConversationEvent]) -> None:
        recorded(events)
        if events:
            coordination.fanout.announce(Topic.EVENTS, events[0].conversation_id)

    return both


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)
