from tests.unit.host.conversations.scripted import NOW

from hakoiri.host.conversations import known_owners
from hakoiri.host.conversations.known_owners import KnownOwners, Owner
from hakoiri.host.conversations.model import Conversation, ConversationKind
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.events import ConversationEvent, Error, EventData, TextDelta


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


def event(name: str, data: EventData) -> ConversationEvent:
    return ConversationEvent.of(number=1, time=NOW, conversation_id=name, turn=1, data=data)


def look_at_others(owners: KnownOwners) -> None:
    for number in range(known_owners.LOOKED_AT_LIMIT + 1):
        owners.remember(conversation(f"other-{number}"))


def test_only_so_many_looks_are_remembered() -> None:
    owners = KnownOwners()
    owners.remember(conversation("v1"))
    look_at_others(owners)
    assert owners.of("v1") is None
    assert owners.of(f"other-{known_owners.LOOKED_AT_LIMIT}") is not None


def test_a_turn_keeps_its_owner_until_its_last_event_was_told() -> None:
    owners = KnownOwners()
    owners.remember(conversation("v1"))
    owners.recorded([event("v1", TextDelta(text="a"))])
    look_at_others(owners)
    owners.recorded([event("v1", TextDelta(text="b"))])
    assert owners.of("v1") == Owner("shop", "w-v1")
    owners.recorded([event("v1", Error(code="internal", text="it failed"))])
    assert owners.of("v1") is None


def test_a_turn_of_nobody_known_is_not_kept() -> None:
    owners = KnownOwners()
    owners.recorded([event("v1", TextDelta(text="a"))])
    assert owners.of("v1") is None
