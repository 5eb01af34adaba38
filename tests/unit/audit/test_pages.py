import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.audit.chains import AT, write

from hakoiri.audit import pages
from hakoiri.audit.chain import Position, hash_of, seal
from hakoiri.audit.event import AuditEvent, EventKind, Stamp
from hakoiri.audit.ocsf import milliseconds
from hakoiri.audit.pages import Page, answer_of, find_page
from hakoiri.audit.query import AuditQuery, CursorSeal

SEAL = CursorSeal()


def chain(directory: Path, told: Sequence[tuple[int, AuditEvent]]) -> Path:
    """Write a chain of events, each so many seconds after `AT`."""
    directory.mkdir()
    position, made = Position(), []
    for at_s, event in told:
        at = AT + timedelta(seconds=at_s)
        line = seal(
            event,
            Stamp(directory.name, "1.0", position.sequence + 1, at),
            previous=position.hash,
        )
        position = Position(position.sequence + 1, hash_of(line))
        made.append(line)
    write(directory, made)
    return directory


def turn(workspace: str, tenant: str | None = "shop") -> AuditEvent:
    return AuditEvent(kind=EventKind.TURN_STARTED, tenant=tenant, workspace=workspace)


@pytest.fixture
def chains(tmp_path: Path) -> dict[str, Path]:
    failed = AuditEvent(kind=EventKind.TURN_ENDED, succeeded=False, tenant="toys", workspace="w9")
    made = AuditEvent(kind=EventKind.CONTAINER_CREATED, container="c1")
    return {
        "server": chain(tmp_path / "server", [(0, turn("w0")), (4, turn("w4")), (6, failed)]),
        "guard": chain(tmp_path / "guard", [(1, made), (5, made)]),
        "proxy": tmp_path / "proxy",
    }


def ask(chains: dict[str, Path], **asked: object) -> Page:
    return find_page(chains, AuditQuery.model_validate(asked), seal=SEAL)


def seconds(page: Page) -> list[int]:
    return [(one["time"] - milliseconds(AT)) // 1000 for one in page.events]


def test_all_chains_are_one_list_by_time_the_newest_first(chains: dict[str, Path]) -> None:
    assert seconds(ask(chains)) == [6, 5, 4, 1, 0]
    assert ask(chains).next is None


def test_pages_go_on_where_the_one_before_ended_also_while_the_log_grows(
    chains: dict[str, Path],
) -> None:
    first = ask(chains, limit=2)
    (chains["server"] / f"{4:015d}.jsonl").write_bytes(b"")
    second = ask(chains, limit=2, before=first.next)
    third = ask(chains, limit=2, before=second.next)
    assert [seconds(page) for page in (first, second, third)] == [[6, 5], [4, 1], [0]]
    assert third.next is None


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"tenant": "shop"}, [4, 0]),
        ({"tenant": "nobody"}, []),
        ({"tenant": "shop", "workspace": "w9"}, []),
        ({"events": ["container_created"]}, [5, 1]),
        ({"workspace": "w4"}, [4]),
        ({"failed_only": True}, [6]),
        ({"since_ms": milliseconds(AT) + 4000}, [6, 5, 4]),
        ({"until_ms": milliseconds(AT) + 4000}, [4, 1, 0]),
        ({"text": "w4"}, [4]),
    ],
)
def test_only_what_was_asked_for_is_shown(
    chains: dict[str, Path], asked: dict[str, object], expected: list[int]
) -> None:
    assert seconds(ask(chains, **asked)) == expected


def test_a_tenant_does_not_see_how_much_others_do(chains: dict[str, Path]) -> None:
    shown = ask(chains, tenant="shop").events[0]
    assert "sequence" not in shown["metadata"]
    assert "previous_hash" not in shown["unmapped"]
    assert "sequence" in ask(chains).events[0]["metadata"]
    assert seconds(ask(chains, tenant="shop", text='"sequence":2')) == [], "nor by guessing"
    assert seconds(ask(chains, text='"sequence":2')) == [5, 4]


def test_a_page_that_reads_too_much_ends_early_and_goes_on(
    chains: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SCAN_LIMIT_BYTES", 1)
    found, before, rounds = [], None, 0
    while True:
        page = ask(chains, workspace="w0", before=before)
        found += seconds(page)
        rounds += 1
        before = page.next
        if before is None:
            break
    assert (found, rounds) == ([0], 6)


def test_a_line_that_is_none_is_passed_over(chains: dict[str, Path]) -> None:
    with (chains["guard"] / f"{1:015d}.jsonl").open("ab") as file:
        file.write(b'{"no": "line"}\n')
    assert seconds(ask(chains)) == [6, 5, 4, 1, 0]


def test_an_answer_is_one_line(chains: dict[str, Path]) -> None:
    raw = answer_of(ask(chains, limit=1))
    assert raw.count(b"\n") == 1
    assert len(json.loads(raw)["events"]) == 1
