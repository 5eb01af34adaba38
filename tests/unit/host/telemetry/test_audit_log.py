from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hakoiri.audit.event import AuditEvent, EventKind
from hakoiri.audit.segments import read_chain
from hakoiri.audit.testing import MemoryAudit
from hakoiri.host.telemetry.audit_log import EventAudit, audit_event, audit_log
from hakoiri.wire.events import (
    ContainerRecovered,
    ConversationEvent,
    Error,
    EventData,
    Notice,
    Result,
    TextDelta,
    TurnStarted,
)

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
SAID = "planted words"


def event(data: EventData) -> ConversationEvent:
    return ConversationEvent.of(number=4, time=AT, conversation_id="v1", turn=2, data=data)


def test_a_turn_is_told_from_its_start_to_its_end() -> None:
    began = audit_event(event(TurnStarted(container="c1", generation=3, start="cold")))
    failed = audit_event(event(Error(code="agent-lost", text=SAID)))
    assert began == AuditEvent(
        kind=EventKind.TURN_STARTED,
        conversation="v1",
        container="c1",
        details={"turn": 2, "generation": 3, "start": "cold"},
    )
    assert failed == AuditEvent(
        kind=EventKind.TURN_ENDED,
        succeeded=False,
        conversation="v1",
        details={"turn": 2, "ended": "error", "code": "agent-lost"},
    )


def test_of_what_was_lost_only_numbers_are_told() -> None:
    lost = ContainerRecovered(generation=2, reason="gone", restored_seq=3, lost_paths=[SAID, SAID])
    told = audit_event(event(lost))
    assert told is not None
    assert told.details["lost_paths"] == 2
    assert SAID not in str(told)


def test_a_disk_that_is_nearly_full_is_a_quota_that_was_hit() -> None:
    told = audit_event(event(Notice(code="workspace-nearly-full", text=SAID)))
    assert told is not None
    assert (told.kind, told.succeeded) == (EventKind.QUOTA_HIT, False)
    assert told.details == {"turn": 2, "kind": "disk"}
    assert audit_event(event(Notice(code="something-else", text=SAID))) is None


@dataclass(frozen=True)
class Theirs:
    tenant: str
    workspace: str | None


def test_events_are_their_tenants_as_far_as_it_is_known() -> None:
    audit = MemoryAudit()
    owners = {"v1": Theirs("shop", "w1")}
    EventAudit(audit, owner_of=owners.get).recorded([event(Result(text=SAID))])
    EventAudit(audit).recorded([event(Result(text=SAID))])
    assert [(one.tenant, one.workspace) for one in audit.events] == [("shop", "w1"), (None, None)]


def test_what_was_said_is_not_told() -> None:
    assert audit_event(event(TextDelta(text=SAID))) is None


def test_events_reach_the_log(tmp_path: Path) -> None:
    with audit_log(tmp_path) as audit:
        EventAudit(audit).recorded(
            [
                event(TurnStarted(container="c1", generation=1, start="live")),
                event(TextDelta(text=SAID)),
                event(Result(text=SAID)),
            ]
        )
    lines = list(read_chain(tmp_path))
    assert [b"turn_started" in lines[1], b"turn_ended" in lines[2]] == [True, True]
    assert len(lines) == 4
    assert SAID.encode() not in b"".join(lines)


def test_without_a_directory_there_is_no_log() -> None:
    with audit_log(None) as audit:
        audit.tell(AuditEvent(kind=EventKind.TURN_ENDED))
        assert audit.failure is None
