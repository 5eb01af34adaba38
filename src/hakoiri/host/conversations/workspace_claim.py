"""Bringing a workspace to life for something other than a turn."""

from hakoiri.host.containers.model import Claim, ContainerDirectories
from hakoiri.host.conversations.live_tree import live_tree
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.patient_call import PatientCall
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.ports import Containers, ConversationStore, WorkspaceFiles
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
    ) -> None:
        self._store = store
        self._policies = policies
        self._containers = containers
        self._files = files

    async def take(self, workspace: Workspace, *, holder: str) -> Claim:
        """Return the container, held by `holder`.

        Raises `NoSuchPolicyError`, `ContainersError`, `FilesError`, `StoreError`.
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
        claim = await PatientCall().run(
            self._containers.claim(
                workspace_id=workspace.id,
                tenant=workspace.tenant,
                policy=policy,
                prepare=prepare,
                holder=holder,
            )
        )
        try:
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

    async def _effective(self, workspace: Workspace) -> Policy:
        return await self._policies.effective(tenant=workspace.tenant, name=workspace.policy)
