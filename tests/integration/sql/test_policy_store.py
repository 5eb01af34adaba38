"""The contract of `PolicyStore`, on SQLite and in memory."""

import pytest
from tests.integration.sql.conftest import NOW, conversation

from hakoiri.host.conversations.model import ConversationKind, Workspace
from hakoiri.host.conversations.ports import (
    ConversationStore,
    NoSuchPolicyError,
    PolicyStore,
    WorkspaceStore,
)
from hakoiri.wire.policy import DENY_ALL, Policy, Rule

pytestmark = pytest.mark.anyio

OPEN = Policy(rules=[Rule(host="example.com", ports=[443, 8443])])


async def test_a_policy_is_kept_and_replaced(policies: PolicyStore) -> None:
    await policies.set_policy(tenant="default", name="web", policy=DENY_ALL)
    await policies.set_policy(tenant="default", name="web", policy=OPEN)
    assert await policies.get_policy(tenant="default", name="web") == OPEN
    assert await policies.list_policies(tenant="default") == {"web": OPEN}


async def test_policies_of_other_tenants_are_not_seen(policies: PolicyStore) -> None:
    await policies.set_policy(tenant="other", name="web", policy=OPEN)
    with pytest.raises(NoSuchPolicyError):
        await policies.get_policy(tenant="default", name="web")
    assert await policies.list_policies(tenant="default") == {}


async def test_a_deleted_policy_is_gone(policies: PolicyStore) -> None:
    await policies.set_policy(tenant="default", name="web", policy=OPEN)
    await policies.delete_policy(tenant="default", name="web")
    await policies.delete_policy(tenant="default", name="web")
    assert await policies.list_policies(tenant="default") == {}


async def test_the_workspaces_under_a_policy_are_found(
    policies: PolicyStore, conversations: ConversationStore, workspaces: WorkspaceStore
) -> None:
    await conversations.create(conversation("a", policy="web"))
    await conversations.create(conversation("b", policy="default"))
    await conversations.create(conversation("c", policy="web", tenant="other"))
    await conversations.create(conversation("d", policy="web", kind=ConversationKind.CHAT))
    alone = Workspace("w-alone", "default", "web", conversation_id=None, created_at=NOW)
    await workspaces.create_workspace(alone)
    assert sorted(await policies.workspaces_under(tenant="default", name="web")) == [
        "w-a",
        "w-alone",
    ]
