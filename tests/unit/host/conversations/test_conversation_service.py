import pytest
from tests.unit.host.conversations.scripted import World

from hakoiri.host.conversations.model import ConversationKind
from hakoiri.host.conversations.ports import InvalidOptionError, NoSuchConversationError
from hakoiri.host.conversations.runtime_choice import RuntimeNotAllowedError
from hakoiri.wire.agent import AgentOptions

pytestmark = pytest.mark.anyio


async def test_an_agent_gets_a_workspace_and_a_chat_gets_none() -> None:
    world = World()
    agent = await world.conversation(ConversationKind.AGENT)
    chat = await world.conversation(ConversationKind.CHAT)
    assert agent.workspace_id
    assert chat.workspace_id is None
    assert len({agent.id, chat.id}) == 2


async def test_ids_leave_room_for_the_turns_number() -> None:
    """`<conversation>-<turn>` names a turn towards the agent and is an identifier too."""
    conversation = await World().conversation()
    assert len(f"{conversation.id}-{2**31}") <= 63


@pytest.mark.parametrize(
    "options",
    [
        AgentOptions(allowed_tools=["Bash"]),
        AgentOptions(permission_mode="plan"),
        AgentOptions(max_turns=1),
    ],
)
async def test_a_chat_has_no_options_of_agents(options: AgentOptions) -> None:
    with pytest.raises(InvalidOptionError, match="a chat has no tools"):
        await World().conversations.create(
            tenant="default", kind=ConversationKind.CHAT, policy="default", options=options
        )


async def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(InvalidOptionError, match="policy: there is no policy 'web'"):
        await World().conversations.create(
            tenant="default", kind=ConversationKind.AGENT, policy="web", options=AgentOptions()
        )


async def test_pages_of_another_tenants_conversation_are_refused_at_once() -> None:
    world = World()
    conversation = await world.conversation(tenant="other")
    with pytest.raises(NoSuchConversationError):
        await world.conversations.pages(
            tenant="default", conversation_id=conversation.id, after=0, idle_timeout_s=1
        )
    assert await world.conversations.list(tenant="default", limit=5, before=None) == []


async def test_a_runtime_that_is_not_allowed_is_refused_when_it_is_asked_for() -> None:
    with pytest.raises(RuntimeNotAllowedError, match="this server does not allow runsc"):
        await World().conversations.create(
            tenant="default",
            kind=ConversationKind.AGENT,
            policy="default",
            options=AgentOptions(),
            runtime="runsc",
        )


async def test_a_chat_has_no_runtime() -> None:
    with pytest.raises(InvalidOptionError, match="runtime: a chat has no container"):
        await World().conversations.create(
            tenant="default",
            kind=ConversationKind.CHAT,
            policy="default",
            options=AgentOptions(),
            runtime="runc",
        )
