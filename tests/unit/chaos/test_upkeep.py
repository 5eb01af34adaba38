from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from tests.chaos.hits import Hit
from tests.chaos.site import Begun, Site
from tests.chaos.upkeep import FAULTS_LIMIT, Upkeep, is_fault
from tests.e2e.running import Hakoiri
from tests.engine import PrivateEngine
from tests.s3_server import S3Server


@pytest.mark.parametrize(
    ("code", "served", "was_struck", "fault"),
    [
        (1, False, True, False),
        (1, False, False, True),
        (1, True, True, True),
        (2, False, True, True),
        (0, False, True, True),
        (-9, False, True, True),
    ],
)
def test_only_a_start_that_met_what_was_struck_may_fail(
    code: int,
    served: bool,  # noqa: FBT001 - parametrized
    was_struck: bool,  # noqa: FBT001 - parametrized
    fault: bool,  # noqa: FBT001 - parametrized
) -> None:
    assert is_fault(code, served=served, was_struck=was_struck) == fault


class Ended:
    """A server that has ended by itself."""

    def __init__(self, root: Path, code: int | None) -> None:
        self.root, self.exit_code, self.log, self.starts = root, code, root / "log", 0
        self.server = self

    def start(self) -> None:
        self.starts += 1


def site_of(one: Ended) -> Site:
    return Site(
        engine=cast("PrivateEngine", None),
        store=cast("S3Server", None),
        redis=None,
        servers=(cast("Hakoiri", one),),
        keys={},
    )


def test_who_ended_is_started_again_and_the_fault_is_kept(tmp_path: Path) -> None:
    one = Ended(tmp_path, 2)
    one.log.write_text("Hakoiri serves http://it\nanother process writes the audit log\n")
    place, told = site_of(one), list[str]()
    for _ in range(FAULTS_LIMIT + 1):
        Upkeep(place, told.append).look()
    assert one.starts == len(told) == FAULTS_LIMIT + 1
    assert len(place.faults) == FAULTS_LIMIT
    assert place.faults[0].endswith("its last line: another process writes the audit log")
    assert "when it served" in told[0]
    assert "at its start" in told[1], "what was said before the last start counts no more"


def test_a_start_that_met_a_strike_is_no_fault(tmp_path: Path) -> None:
    one = Ended(tmp_path, 1)
    one.log.write_text("")
    place = site_of(one)
    place.begun[tmp_path] = Begun(datetime.now(UTC))
    place.hits.append(Hit("engine killed", datetime(2026, 1, 1, tzinfo=UTC)))
    Upkeep(place, lambda _: None).look()
    assert place.faults == []
    place.hits[0].until = place.hits[0].at
    Upkeep(place, lambda _: None).look()
    assert len(place.faults) == 1, "it was over before the start began"


def test_who_lives_is_let_alone(tmp_path: Path) -> None:
    one = Ended(tmp_path, None)
    Upkeep(site_of(one), lambda _: None).look()
    assert one.starts == 0
