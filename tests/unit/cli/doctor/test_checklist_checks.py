from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.cli.doctor.test_engine_checks import ENGINE

from hakoiri.audit.shipping.status import ShipStatus, TargetStatus
from hakoiri.cli.doctor.checklist_checks import ChecklistFacts, check_checklist
from hakoiri.cli.doctor.finding import Finding, State
from hakoiri.cli.doctor.lifecycle_check import LifecycleTold
from hakoiri.cli.doctor.production_checks import PREFIX
from hakoiri.host.settings import Settings
from hakoiri.image.scan_record import ScanRecord
from hakoiri.wire.guard import RUNSC_FLAGS

NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)
SETTINGS = Settings.model_validate(
    {"container": {"runtime": "runsc"}, "audit": {"ship_file": "/etc/hakoiri/ship.toml"}}
)
RUNC = SETTINGS.model_copy(
    update={"container": SETTINGS.container.model_copy(update={"runtime": "runc"})}
)
CLEAN = ScanRecord(
    image="sha256:a", at=NOW - timedelta(days=1), findings=0, scanners={"grype": "clean"}
)
TOLD = ShipStatus(told_at=NOW.timestamp() - 2, targets=[TargetStatus(name="siem", kind="syslog")])
WELL = ChecklistFacts(
    now=NOW,
    engine=replace(ENGINE, runtimes={"runsc": tuple(RUNSC_FLAGS)}),
    lifecycle=None,
    scan=CLEAN,
    falco_runs=True,
    falco_has_our_rules=True,
    ship=TOLD,
)
NOT_FROM_HERE = {"falco", "audit key elsewhere", "several hosts"}
"""Under gVisor, Falco too."""


def findings(settings: Settings = SETTINGS, **changes: Any) -> dict[str, Finding]:
    found = check_checklist(settings, replace(WELL, **changes))
    assert len({one.name for one in found}) == len(found)
    assert all(one.name.startswith(PREFIX) for one in found)
    assert all(bool(one.mend) == (one.state is not State.OK) for one in found)
    assert all(one.state is not State.MISSING for one in found), "none refuses a start"
    return {one.name.removeprefix(PREFIX): one for one in found}


def in_state(found: dict[str, Finding], state: State) -> set[str]:
    return {name for name, one in found.items() if one.state is state}


def test_a_host_that_has_it_all_has_no_point_that_it_could_close() -> None:
    assert in_state(findings(), State.WARNING) == set()
    assert in_state(findings(), State.OPEN) == NOT_FROM_HERE
    assert in_state(findings(RUNC), State.OPEN) == NOT_FROM_HERE - {"falco"}
    assert in_state(findings(RUNC), State.WARNING) == {"gvisor"}


def scanned(**changes: Any) -> ScanRecord:
    return CLEAN.model_copy(update=changes)


@pytest.mark.parametrize(
    ("name", "settings", "changes", "word"),
    [
        ("lifecycle policy", SETTINGS, {"lifecycle": LifecycleTold([])}, "no rule"),
        ("image scan", SETTINGS, {"scan": None}, "nobody"),
        ("image scan", SETTINGS, {"scan": scanned(findings=1)}, "found"),
        ("image scan", SETTINGS, {"scan": scanned(scanners={"trivy": "vulnerable"})}, "found"),
        ("image scan", SETTINGS, {"scan": scanned(scanners={"trivy": "no answer"})}, "no scanner"),
        ("image scan", SETTINGS, {"scan": scanned(at=NOW - timedelta(days=9))}, "9 days ago"),
        ("image scan", SETTINGS, {"scan": scanned(at=NOW + timedelta(days=2))}, "days ago"),
        ("gvisor", RUNC, {}, "share the host's kernel"),
        ("gvisor", SETTINGS, {"engine": replace(ENGINE, runtimes={})}, "not registered"),
        ("gvisor", SETTINGS, {"engine": None}, "not registered"),
        (
            "gvisor",
            SETTINGS,
            {"engine": replace(ENGINE, runtimes={"runsc": (*RUNSC_FLAGS, "--network=host")})},
            "registered with --network=host",
        ),
        ("falco", RUNC, {"falco_runs": False}, "no process"),
        ("falco", RUNC, {"falco_has_our_rules": False}, "without our rules"),
        (
            "audit copies",
            SETTINGS.model_copy(
                update={"audit": SETTINGS.audit.model_copy(update={"ship_file": None})}
            ),
            {},
            "this host alone",
        ),
        ("audit copies", SETTINGS, {"ship": None}, "tells nothing"),
        (
            "audit copies",
            SETTINGS,
            {"ship": TOLD.model_copy(update={"told_at": NOW.timestamp() - 31})},
            "tells nothing",
        ),
        (
            "audit copies",
            SETTINGS,
            {
                "ship": ShipStatus(
                    told_at=NOW.timestamp(),
                    targets=[TargetStatus(name="siem", kind="syslog", error="away")],
                )
            },
            "siem",
        ),
    ],
)
def test_each_point_that_could_be_closed_is_named_with_the_reason(
    name: str, settings: Settings, changes: dict[str, Any], word: str
) -> None:
    found = findings(settings, **changes)[name]
    assert found.state is State.WARNING
    assert word in found.text


def test_falco_is_not_asked_for_where_it_sees_nothing() -> None:
    assert findings(falco_runs=False)["falco"].state is State.OPEN
    assert findings(RUNC)["falco"].state is State.OK
