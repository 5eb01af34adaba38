"""Policies of a tenant: what counts now, and how a change reaches the workspaces that are live."""

import hashlib
from collections.abc import Callable

import anyio
import structlog

from hakoiri.audit.event import AuditEvent, EventKind
from hakoiri.audit.writer import AuditLog, NoAuditLog
from hakoiri.host.containers.ports import ContainersError, PolicyRefusedError
from hakoiri.host.conversations.model import DEFAULT_POLICY, Conversation
from hakoiri.host.conversations.ports import Containers, NoSuchPolicyError, PolicyStore
from hakoiri.wire.policy import Policy

log = structlog.get_logger()


class PolicyService:
    """Reads and replaces policies. `default_policy` counts until a tenant stores its own."""

    def __init__(
        self,
        *,
        store: PolicyStore,
        containers: Containers,
        default_policy: Policy,
        audit: AuditLog | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`changed` is told when what counts may be another than before."""
        self._changed = changed
        self._audit = audit or NoAuditLog()
        self._store = store
        self._containers = containers
        self._default_policy = default_policy
        self._replacing = anyio.Lock()

    async def effective(self, *, tenant: str, name: str) -> Policy:
        """Return the policy of that name; `NoSuchPolicyError`, `StoreError`."""
        try:
            return await self._store.get_policy(tenant=tenant, name=name)
        except NoSuchPolicyError:
            if name == DEFAULT_POLICY:
                return self._default_policy
            raise

    async def of(self, conversation: Conversation) -> Policy:
        """Return the policy that counts for a conversation now."""
        return await self.effective(tenant=conversation.tenant, name=conversation.policy)

    async def list(self, *, tenant: str) -> dict[str, Policy]:
        """All policies that count for a tenant, by name."""
        return {DEFAULT_POLICY: self._default_policy} | await self._store.list_policies(
            tenant=tenant
        )

    async def replace(self, *, tenant: str, name: str, policy: Policy) -> None:
        """Store the policy and put the live workspaces under it at once.

        Raises `PolicyRefusedError` if the proxy refuses it for a live workspace; then the former
        policy counts again, everywhere. Without a live workspace the refusal comes with the turn.
        """
        async with self._replacing:
            try:
                former = await self._store.get_policy(tenant=tenant, name=name)
            except NoSuchPolicyError:
                former = None
            await self._store.set_policy(tenant=tenant, name=name, policy=policy)
            self._changed()
            try:
                await self._rebind(tenant, name, policy)
            except PolicyRefusedError:
                await self._restore(tenant, name, former)
                self._tell(tenant, name, policy, succeeded=False)
                raise
            self._tell(tenant, name, policy, succeeded=True)

    def _tell(self, tenant: str, name: str, policy: Policy, *, succeeded: bool) -> None:
        """Audit a change, with the policy's hash: its text may be long, and stands in the store."""
        digest = hashlib.sha256(policy.model_dump_json().encode()).hexdigest()
        self._audit.tell(
            AuditEvent(
                kind=EventKind.POLICY_CHANGED,
                succeeded=succeeded,
                tenant=tenant,
                actor=tenant,
                details={"name": name, "sha256": digest},
            )
        )

    async def _restore(self, tenant: str, name: str, former: Policy | None) -> None:
        if former is None:
            await self._store.delete_policy(tenant=tenant, name=name)
        else:
            await self._store.set_policy(tenant=tenant, name=name, policy=former)
        self._changed()
        if former is None and name != DEFAULT_POLICY:
            return  # nothing was live under a policy that did not exist
        await self._rebind(tenant, name, former or self._default_policy)

    async def _rebind(self, tenant: str, name: str, policy: Policy) -> None:
        """Rebind each live workspace; one that cannot be reached loses its container.

        Failing open is not an option: what cannot be put under the new policy must not go on under
        the old one. `rebind` sees to that.
        """
        for workspace_id in await self._store.workspaces_under(tenant=tenant, name=name):
            try:
                await self._containers.rebind(
                    workspace_id=workspace_id, tenant=tenant, policy=policy
                )
            except PolicyRefusedError:
                raise
            except ContainersError as error:
                await log.awarning("container given up", workspace=workspace_id, reason=str(error))
