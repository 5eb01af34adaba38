"""Bringing a workspace to life for something other than a turn."""

from collections.abc import Sequence

from hakoiri.host.containers.model import Claim, ContainerDirectories
from hakoiri.host.conversations.live_tree import live_tree
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.patient_call import PatientCall
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.ports import Containers, ConversationStore, WorkspaceFiles
from hakoiri.host.conversations.runtime_choice import choose_runtime
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import Policy


class WorkspaceClaim:
    """Claims containers under the workspace's policy, with its files restored."""

    def __init__(
        self,
        *,
        store: ConversationStore,
        policies: PolicyService,
        containers: Containers,
        files: WorkspaceFiles,
        runtimes: Sequence[Runtime],
    ) -> None:
        """`runtimes` are those containers may have, the usual one first."""
        self._store = store
        self._policies = policies
        self._containers = containers
        self._files = files
        self._runtimes = runtimes

    async def take(self, workspace: Workspace, *, holder: str) -> Claim:
        """Return the container, held by `holder`.

        Raises `NoSuchPolicyError`, `RuntimeNotAllowedError`, `ContainersError`, `FilesError`,
        `StoreError`.
        """

        async def prepare(directories: ContainerDirectories) -> None:
            restored = await self._files.restore(
                tenant=workspace.tenant,
                workspace_id=workspace.id,
                tree=live_tree(directories),
            )
            # A turn that finds the container live goes on with the session that is recorded: that
            # must be the one whose memory came back.
            session_id = restored.session_id if restored else None
            await self._store.set_session_id(workspace.id, session_id)

        policy = await self._effective(workspace)
        runtime = choose_runtime(
            await self._asked_runtime(workspace), policy=policy, allowed=self._runtimes
        )
        restores = await self._files.has_recovery_point(workspace.id)
        claim = await PatientCall().run_within_scope(
            self._containers.claim(
                workspace_id=workspace.id,
                tenant=workspace.tenant,
                policy=policy,
                prepare=prepare,
                runtime=runtime,
                restores=restores,
                holder=holder,
            )
        )
        try:
            if claim.start != "live" and not restores:  # then nothing was prepared
                await self._store.set_session_id(workspace.id, None, generation=claim.generation)
            # It may have been replaced while the container started, when nobody could rebind.
            newest = await self._effective(workspace)
            if newest != policy:
                await self._containers.rebind(
                    workspace_id=workspace.id, tenant=workspace.tenant, policy=newest
                )
        except BaseException:
            await self._containers.release(workspace.id, holder=holder)
            raise
        return claim

    async def _asked_runtime(self, workspace: Workspace) -> Runtime | None:
        """Return the runtime that the workspace's conversation asks for, if it has one."""
        if workspace.conversation_id is None:
            return None
        conversation = await self._store.get(
            tenant=workspace.tenant, conversation_id=workspace.conversation_id
        )
        return conversation.runtime

    async def _effective(self, workspace: Workspace) -> Policy:
        return await self._policies.effective(tenant=workspace.tenant, name=workspace.policy)
