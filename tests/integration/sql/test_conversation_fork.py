"""A conversation's log up to a point, as another's."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from tests.integration.sql.conftest import NOW, conversation
from tests.integration.sql.points import head, listed

from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.recovery_points import SqlRecoveryPoints
from hakoiri.host.adapters.sql.workspace_heads import SqlWorkspaceHeads
from hakoiri.host.conversations.point_ports import Forking
from hakoiri.host.files.point_files import TakenOver
from hakoiri.wire.events import (
    ConversationEvent,
    EventData,
    FileSynced,
    Result,
    TextDelta,
    ToolResult,
)

pytestmark = pytest.mark.anyio

SYNCED = FileSynced(recovery_point="rp-1", uploaded=1, uploaded_bytes=1, deleted=0, kept=0)
TURN: tuple[EventData, ...] = (
    ToolResult(tool_use_id="t", text="x"),
    TextDelta(text="y"),
    SYNCED,
    Result(text="y"),
)


async def fork_at(database: Database, event_number: int) -> list[ConversationEvent]:
    """Fork the conversation `a`, which has two turns of five events, at an event."""
    store = SqlConversationStore(database)
    points = SqlRecoveryPoints(database)
    await store.create(conversation("a", policy="web"))
    for text in ("one", "two"):
        first = await store.begin_turn(conversation_id="c-a", text=text, now=NOW)
        await store.append(conversation_id="c-a", turn=first.turn, events=TURN, now=NOW)
    await SqlWorkspaceHeads(database).move_head("w-a", head(1, event_number=event_number))
    [source] = await listed(points, "w-a")
    await points.commit_fork(
        Forking(
            source=source,
            tenant="default",
            workspace_id="w-f",
            conversation_id="c-f",
            taken=TakenOver(head(9, event_number=event_number), "5e"),
            text="forked",
            now=NOW + timedelta(hours=1),
        )
    )
    return [*await store.read(conversation_id="c-f", after=0, limit=99)]


def told(events: Sequence[ConversationEvent]) -> list[tuple[int, int, str]]:
    return [(event.id, event.turn, event.type) for event in events]


FIRST_TURN = [
    (1, 1, "user_message"),
    (2, 1, "tool_result"),
    (3, 1, "text_delta"),
    (4, 1, "file_synced"),
    (5, 1, "result"),
]


async def test_from_a_turns_end_it_has_the_whole_turn_and_no_more(database: Database) -> None:
    """A turn's files are saved before its last events are told."""
    events = await fork_at(database, 3)
    assert told(events) == [*FIRST_TURN, (6, 2, "notice")]
    assert {event.conversation_id for event in events} == {"c-f"}
    assert (events[0].data, events[0].time) == ({"text": "one"}, NOW)
    assert events[-1].data == {"code": "forked", "text": "forked"}
    assert events[-1].time == NOW + timedelta(hours=1)


async def test_from_within_a_turn_the_turn_is_ended(database: Database) -> None:
    events = await fork_at(database, 7)
    assert told(events) == [
        *FIRST_TURN,
        (6, 2, "user_message"),
        (7, 2, "tool_result"),
        (8, 2, "error"),
        (9, 3, "notice"),
    ]
    assert events[-2].data["code"] == "forked"


async def test_from_before_the_first_event_it_is_empty_but_for_the_notice(
    database: Database,
) -> None:
    assert told(await fork_at(database, 0)) == [(1, 1, "notice")]


@pytest.mark.parametrize("event_number", [0, 3, 7, 10])
async def test_it_goes_on_by_itself_and_the_other_too(
    database: Database, event_number: int
) -> None:
    events = await fork_at(database, event_number)
    store = SqlConversationStore(database)
    made = await store.get(tenant="default", conversation_id="c-f")
    assert (made.running, made.last_event, made.workspace_id) == (False, len(events), "w-f")
    assert (made.policy, made.options.model, made.created_at) == (
        "web",
        "m",
        NOW + timedelta(hours=1),
    )
    mine = await store.begin_turn(conversation_id="c-f", text="three", now=NOW)
    theirs = await store.begin_turn(conversation_id="c-a", text="other", now=NOW)
    assert (mine.id, mine.turn) == (len(events) + 1, events[-1].turn)
    assert (theirs.id, theirs.turn) == (11, 3)
    await store.append(conversation_id="c-a", turn=3, events=[Result(text="z")], now=NOW)
    await store.delete(tenant="default", conversation_id="c-a")
    log = await store.read(conversation_id="c-f", after=0, limit=99)
    assert [event.id for event in log] == [*range(1, len(events) + 2)]


async def test_the_points_turn_is_that_of_the_copied_event(database: Database) -> None:
    await fork_at(database, 7)
    [point] = await listed(SqlRecoveryPoints(database), "w-f")
    assert (point.turn, point.event_number) == (2, 7)
