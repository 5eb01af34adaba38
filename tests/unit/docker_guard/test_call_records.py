import io
import json

import pytest

from hakoiri.audit.event import AuditEvent, EventKind
from hakoiri.audit.testing import MemoryAudit
from hakoiri.docker_guard.call_log import CallLog
from hakoiri.docker_guard.call_records import CallRecords, audit_event
from hakoiri.docker_guard.calls import ActOnContainer, AskRuntimes, Call, CreateContainer

ID = "c" + "0" * 16


def told(call: Call | None, status: int, code: str | None = None) -> AuditEvent | None:
    return audit_event(
        call, method="POST", target="/x", status=status, code=code, reason="why", uid=901
    )


def test_a_container_made_and_removed_is_told_with_who_asked() -> None:
    made = told(CreateContainer(ID), 201)
    gone = told(ActOnContainer(f"hakoiri-{ID}", "remove"), 204)
    assert made is not None
    assert gone is not None
    assert (made.kind, made.container, made.actor) == (
        EventKind.CONTAINER_CREATED,
        ID,
        "uid:901",
    )
    assert (gone.kind, gone.container) == (EventKind.CONTAINER_REMOVED, ID)


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (AskRuntimes(), 200),
        (ActOnContainer(f"hakoiri-{ID}", "start"), 204),
        (ActOnContainer(f"hakoiri-{ID}", "remove"), 404),
        (CreateContainer(ID), 409),
    ],
)
def test_what_makes_or_removes_nothing_is_not_told(call: Call, status: int) -> None:
    assert told(call, status) is None


@pytest.mark.parametrize("call", [None, AskRuntimes(), CreateContainer(ID)])
def test_what_is_refused_is_told_with_the_reason(call: Call | None) -> None:
    event = told(call, 403, code="call-not-allowed")
    assert event is not None
    assert (event.kind, event.succeeded) == (EventKind.ENGINE_CALL_REFUSED, False)
    assert event.details == {
        "method": "POST",
        "target": "/x",
        "code": "call-not-allowed",
        "reason": "why",
    }


def test_each_call_is_a_line_of_the_log_and_the_audited_ones_an_event() -> None:
    stream, audit = io.StringIO(), MemoryAudit()
    records = CallRecords(log=CallLog(stream), audit=audit)
    records.answered(AskRuntimes(), method="GET", target="/info", status=200, uid=901)
    records.answered(CreateContainer(ID), method="POST", target="/c", status=201, uid=901)
    assert len([json.loads(line) for line in stream.getvalue().splitlines()]) == 2
    assert audit.kinds() == ["container_created"]
