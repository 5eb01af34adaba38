import hashlib

import anyio
import pytest
from tests.unit.host.conversations.scripted import World

from hakoiri.audit.testing import MemoryAudit
from hakoiri.host.containers.ports import EngineError, PolicyRefusedError
from hakoiri.host.conversations.model import Conversation
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.ports import NoSuchPolicyError
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.policy import DENY_ALL, Policy, Rule

pytestmark = pytest.mark.anyio

OPEN = Policy(rules=[Rule(host="example.com")])
WIDER = Policy(rules=[Rule(host="example.org")])


async def under(world: World, name: str, count: int) -> list[Conversation]:
    await world.policy_store.set_policy(tenant="default", name=name, policy=OPEN)
    return [
        await world.conversations.create(
            tenant="default", kind=item.kind, policy=name, options=AgentOptions()
        )
        for item in [await world.conversation()] * count
    ]


async def test_the_default_policy_counts_until_a_tenant_has_its_own() -> None:
    world = World(default_policy=OPEN)
    assert await world.policies.effective(tenant="red", name="default") == OPEN
    await world.policies.replace(tenant="red", name="default", policy=WIDER)
    assert await world.policies.effective(tenant="red", name="default") == WIDER
    assert await world.policies.list(tenant="red") == {"default": WIDER}
    assert await world.policies.list(tenant="blue") == {"default": OPEN}
    with pytest.raises(NoSuchPolicyError):
        await world.policies.effective(tenant="red", name="web")


async def test_a_change_reaches_the_workspaces_under_the_policy_and_no_others() -> None:
    world = World()
    made = await under(world, "web", 2)
    await world.policies.replace(tenant="default", name="web", policy=WIDER)
    assert world.containers.log == [f"rebind {item.workspace_id}" for item in made]
    assert world.containers.policies == [WIDER, WIDER]


async def test_a_refusal_puts_the_former_policy_back_everywhere() -> None:
    world = World()
    await under(world, "web", 2)
    world.containers.rebind_failures = [None, PolicyRefusedError("too wide")]
    with pytest.raises(PolicyRefusedError):
        await world.policies.replace(tenant="default", name="web", policy=WIDER)
    assert world.containers.policies == [WIDER, WIDER, OPEN, OPEN]
    assert await world.policies.effective(tenant="default", name="web") == OPEN


async def test_a_refused_first_default_leaves_the_servers_default() -> None:
    world = World(default_policy=OPEN)
    await world.conversation()
    world.containers.rebind_failures = [PolicyRefusedError("too wide")]
    with pytest.raises(PolicyRefusedError):
        await world.policies.replace(tenant="default", name="default", policy=WIDER)
    assert world.containers.policies == [WIDER, OPEN]
    assert await world.policy_store.list_policies(tenant="default") == {}


async def test_a_workspace_that_cannot_be_rebound_loses_its_container() -> None:
    world = World()
    await under(world, "web", 2)
    world.containers.rebind_failures = [EngineError("away")]
    await world.policies.replace(tenant="default", name="web", policy=DENY_ALL)
    assert [entry.split()[0] for entry in world.containers.log] == ["rebind", "end", "rebind"]


async def test_two_changes_at_once_end_in_one_of_them() -> None:
    world = World()
    await under(world, "web", 1)
    async with anyio.create_task_group() as group:
        for policy in (WIDER, DENY_ALL):
            group.start_soon(
                lambda policy=policy: world.policies.replace(  # type: ignore[misc]
                    tenant="default", name="web", policy=policy
                )
            )
    stored = await world.policies.effective(tenant="default", name="web")
    assert world.containers.policies[-1] == stored


async def test_a_change_is_audited_by_the_policys_hash_and_so_is_one_that_is_refused() -> None:
    world, audit = World(), MemoryAudit()
    policies = PolicyService(
        store=world.policy_store,
        containers=world.containers,
        default_policy=DENY_ALL,
        audit=audit,
    )
    await under(world, "web", 1)
    await policies.replace(tenant="default", name="web", policy=WIDER)
    world.containers.rebind_failures = [PolicyRefusedError("too wide")]
    with pytest.raises(PolicyRefusedError):
        await policies.replace(tenant="default", name="web", policy=OPEN)
    assert audit.kinds() == ["policy_changed", "policy_changed"]
    assert [event.succeeded for event in audit.events] == [True, False]
    digest = hashlib.sha256(WIDER.model_dump_json().encode()).hexdigest()
    assert audit.events[0].details == {"name": "web", "sha256": digest}
    assert audit.events[0].tenant == "default"


async def test_other_servers_are_told_of_each_change_that_may_count() -> None:
    world = World()
    told: list[Policy] = []

    async def counting() -> Policy:
        return await service.effective(tenant="default", name="web")

    counts: list[int] = []
    service = PolicyService(
        store=world.policy_store,
        containers=world.containers,
        default_policy=DENY_ALL,
        changed=lambda: counts.append(1),
    )
    await under(world, "web", 1)
    await service.replace(tenant="default", name="web", policy=WIDER)
    told.append(await counting())
    assert (told, len(counts)) == ([WIDER], 1)
    world.containers.rebind_failures = [PolicyRefusedError("too wide"), None]
    with pytest.raises(PolicyRefusedError):
        await service.replace(tenant="default", name="web", policy=OPEN)
    assert await counting() == WIDER
    assert len(counts) == 3  # for what was stored, and for what is stored again
