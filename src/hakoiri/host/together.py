"""Whether there are other servers on the same database, and what then is shared with them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hakoiri.host.adapters.pool_file import PoolFile
from hakoiri.host.adapters.sql.claim_store import SqlClaimStore
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.containers.given_up import GivenUp
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import ClaimStore, PoolStore
from hakoiri.host.containers.shared_claims import SharedClaims
from hakoiri.host.conversations.point_ports import StillContainers
from hakoiri.host.conversations.shared_containers import SharedContainers
from hakoiri.host.coordination.in_process import InProcessHub
from hakoiri.host.coordination.ports import Coordination, Topic
from hakoiri.host.settings import Settings
from hakoiri.host.telemetry.coordination_metrics import CoordinationMetrics


@dataclass(frozen=True, slots=True)
class Together:
    """`coordination` is to be opened (`async with`) before anything else of this is used."""

    coordination: Coordination
    claims: ClaimStore
    pool_store: PoolStore
    shared_claims: SharedClaims | None = None
    """The claims, where other servers have some, too."""

    async def is_elsewhere(self, workspace_id: str) -> bool:
        """Whether a workspace is live on another server."""
        return self.shared_claims is not None and await self.shared_claims.is_elsewhere(
            workspace_id
        )

    def containers(self, own: Orchestrator) -> StillContainers:
        """Return the containers of all servers, given this one's."""
        if self.shared_claims is None:
            return own
        return SharedContainers(
            own,
            is_elsewhere=self.is_elsewhere,
            fanout=self.coordination.fanout,
            let_go_if_lost=GivenUp(orchestrator=own, claims=self.shared_claims).check,
        )


def make_together(
    settings: Settings,
    *,
    instance: str,
    database: Database,
    metrics: CoordinationMetrics,
    clock: Callable[[], datetime],
) -> Together:
    """Return what the settings want: one server alone, or several through Redis.

    Raises `CoordinationError` for credentials that cannot be read.
    """
    claims = SqlClaimStore(database, clock=clock)
    pool_file = PoolFile(settings.data_dir)
    if settings.redis_url is None:
        return Together(InProcessHub().server(instance), claims, pool_file)
    # A tenth of the server's start: for who has a Redis alone.
    from hakoiri.host.adapters.redis.opening import open_redis  # noqa: PLC0415
    from hakoiri.host.adapters.redis.pool_store import RedisPoolStore  # noqa: PLC0415

    coordination = open_redis(
        settings.redis_url, settings.coordination, holder=instance, metrics=metrics
    )
    shared = SharedClaims(claims, instance=instance)
    pool_store = RedisPoolStore(
        coordination.link,
        namespace=settings.coordination.namespace,
        directory=settings.data_dir,
        own=pool_file,
        changed=lambda: coordination.fanout.announce(Topic.POOL),
    )
    return Together(coordination, shared, pool_store, shared)
