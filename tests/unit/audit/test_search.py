import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.audit.chains import AT

from hakoiri.audit.chain import GENESIS, ChainError, seal
from hakoiri.audit.event import AuditEvent, EventKind, HttpFacts, Stamp
from hakoiri.audit.search import BadTimeError, Wanted, one_line, parse_line, parse_time

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
REQUEST = AuditEvent(
    kind=EventKind.PROXY_REQUEST_BLOCKED,
    succeeded=False,
    tenant="acme",
    workspace="w1",
    container="c1",
    conversation="v1",
    http=HttpFacts("GET", "evil.example.test", 443, "/x", 403),
    details={"rule": None, "reason": "host-not-allowed"},
)


def fits(wanted: Wanted, event: AuditEvent = REQUEST) -> bool:
    raw = seal(event, Stamp("proxy", "1", 3, AT), previous=GENESIS)
    return wanted.fits(parse_line(raw), raw)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(events=frozenset({"proxy_request_blocked", "turn_ended"})),
        Wanted(tenant="acme", workspace="w1", container="c1", conversation="v1"),
        Wanted(text="evil.example.test"),
        Wanted(failed_only=True),
        Wanted(since_ms=int(AT.timestamp() * 1000), until_ms=int(AT.timestamp() * 1000)),
    ],
)
def test_a_line_that_has_all_that_is_asked_for_fits(wanted: Wanted) -> None:
    assert fits(wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(events=frozenset({"turn_ended"})),
        Wanted(tenant="acm"),
        Wanted(workspace="w2"),
        Wanted(container="c2"),
        Wanted(conversation="v2"),
        Wanted(text="example.org"),
        Wanted(since_ms=int(AT.timestamp() * 1000) + 1),
        Wanted(until_ms=int(AT.timestamp() * 1000) - 1),
    ],
)
def test_a_line_that_lacks_one_thing_does_not(wanted: Wanted) -> None:
    assert not fits(wanted)


def test_what_went_well_is_no_failure() -> None:
    well = AuditEvent(kind=EventKind.TURN_ENDED)
    assert not fits(Wanted(failed_only=True), well)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90s", NOW_MS - 90_000),
        ("15m", NOW_MS - 900_000),
        ("2h", NOW_MS - 7_200_000),
        ("7d", NOW_MS - 7 * 86_400_000),
        ("2026-11-26T12:00", NOW_MS),
        ("2026-11-26T13:00+01:00", NOW_MS),
    ],
)
def test_times_are_read(text: str, ms: int) -> None:
    assert parse_time(text, now=NOW) == ms


@given(st.text(max_size=20))
def test_any_other_text_is_refused_with_the_mend(text: str) -> None:
    try:
        told: int | str = parse_time(text, now=NOW)
    except BadTimeError as error:
        told = str(error)
    assert isinstance(told, int) or "15m" in told


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"unmapped":{}}', b'{"unmapped":1,"time":1}'])
def test_what_is_no_line_is_refused(raw: bytes) -> None:
    with pytest.raises(ChainError, match="not in the form"):
        parse_line(raw)


def test_a_line_for_people_tells_when_who_and_what() -> None:
    raw = seal(REQUEST, Stamp("proxy", "1", 3, AT), previous=GENESIS)
    assert one_line(parse_line(raw)) == (
        "2026-11-26T12:00:00.250Z proxy#3 proxy_request_blocked tenant=acme "
        "GET evil.example.test:443/x 403 workspace=w1 container=c1 conversation=v1 "
        "reason=host-not-allowed"
    )
    turn = AuditEvent(kind=EventKind.TURN_ENDED, conversation="v1", details={"ended": "result"})
    line = json.loads(seal(turn, Stamp("server", "1", 4, AT), previous=GENESIS))
    assert one_line(line) == (
        "2026-11-26T12:00:00.250Z server#4 turn_ended conversation=v1 ended=result"
    )
