from tests.unit.host.conversations.scripted import NOW

from hakoiri.host.conversations import known_owners
from hakoiri.host.conversations.known_owners import KnownOwners, Owner
from hakoiri.host.conversations.model import Conversation, ConversationKind
from hakoiri.wire.agent import AgentOptions


def conversation(name: str, *, tenant: str = "shop") -> Conversation:
    return Conversation(
        id=name,
        tenant=tenant,
        kind=ConversationKind.AGENT,
        workspace_id=f"w-{name}",
        policy="default",
        options=AgentOptions(),
        created_at=NOW,
        turn=0,
        running=False,
        last_event=0,
    )


def test_whose_it_is_is_known_once_it_was_looked_at() -> None:
    owners = KnownOwners()
    assert owners.of("v1") is None
    owners.remember(conversation("v1"))
    assert owners.of("v1") == Owner("shop", "w-v1")


def test_only_so_many_are_remembered() -> None:
    owners = KnownOwners()
    for number in range(known_owners.REMEMBERED_LIMIT + 1):
        owners.remember(conversation(str(number)))
    assert owners.of("0") is None
    assert owners.of(str(known_owners.REMEMBERED_LIMIT)) is not None
