"""The guides to security name every setting that it hangs on, and only what there is."""

import re
from pathlib import Path

import pytest

from hakoiri.audit.event import EventKind
from hakoiri.host import settings

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/security/security-config-guide.md").read_text()
VERIFICATION = (ROOT / "docs/security/security-verification.md").read_text()
PAGES = {"guide": GUIDE, "verification": VERIFICATION}
NAMED = set(re.findall(r"`(HAKOIRI_\w+)`", GUIDE))

OF_NO_MATTER = {
    *(f"HAKOIRI_{name}" for name in ("PORT", "LOG_LEVEL", "OBJECT_STORE_URL")),
    *(f"HAKOIRI_MODEL__{name}" for name in ("REGION", "NAME", "RETRIES")),
    *(f"HAKOIRI_MODEL__REHEARSAL_{name}" for name in ("SCRIPT", "PORT")),
    *(
        f"HAKOIRI_CONTAINER__{name}"
        for name in ("START_TIMEOUT_S", "STOP_GRACE_S", "PAUSE_AFTER_S", "IMAGE_KEPT_DAYS")
    ),
    *(f"HAKOIRI_WARM_POOL__{name}" for name in ("MIN", "TARGET", "MAX", "MAX_AGE_S")),
    *(f"HAKOIRI_WARM_POOL__{name}" for name in ("REFILLS_AT_ONCE", "PRECONNECT")),
    *(f"HAKOIRI_ADMISSION__{name}" for name in ("WAIT_S", "MEMORY_RESERVE_MIB", "CALM_S")),
    *(f"HAKOIRI_ADMISSION__PRESSURE_{name}_PERCENT" for name in ("BELOW", "HOLD", "DRAIN", "WAIT")),
    *(f"HAKOIRI_ADMISSION__AVAILABLE_{name}_PERCENT" for name in ("HOLD", "DRAIN", "WAIT")),
    *(f"HAKOIRI_TURN__SYNC_{name}_S" for name in ("QUIET", "LONGEST_WAIT")),
    *(f"HAKOIRI_OBJECT_STORE__{name}" for name in ("REGION", "TIMEOUT_S")),
    *(f"HAKOIRI_COORDINATION__{name}" for name in ("NAMESPACE", "LEASE_S", "TIMEOUT_S")),
    *(f"HAKOIRI_TRACING__{name}" for name in ("RATIO", "QUEUE_LIMIT", "INTERVAL_S", "TIMEOUT_S")),
    "HAKOIRI_COORDINATION__GIVE_UP_AFTER_S",
}
"""How fast and how much, not how safe. A new setting belongs here or in the guide."""


def test_each_setting_is_in_the_guide_or_said_to_be_of_no_matter() -> None:
    there = set(settings.variables())
    assert NAMED - {settings.CONFIG_VARIABLE} <= there
    assert there - NAMED == OF_NO_MATTER
    assert not NAMED & OF_NO_MATTER


def test_each_line_has_a_safe_value_what_happens_and_how_to_see_it() -> None:
    rows = [line for line in GUIDE.splitlines() if line.startswith("| ")]
    headings = [row for row in rows if row.startswith("| setting")]
    assert len(headings) == 5
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4, row
        assert all(cells), row


@pytest.mark.parametrize("page", sorted(PAGES))
def test_the_files_and_events_that_are_named_are_there(page: str) -> None:
    text = PAGES[page]
    for name in re.findall(r"`(deployment/[\w./-]+)", text):
        assert (ROOT / name).exists(), name
    for link in re.findall(r"\]\(([\w./-]+\.md)", text):
        assert (ROOT / "docs/security" / link).is_file(), link
    for event in re.findall(r"--event (\w+)", text):
        assert event in {one.value for one in EventKind}
    for dashboard in re.findall(r"the dashboard `([\w-]+)`", text):
        path = ROOT / f"deployment/monitoring/grafana/dashboards/{dashboard}.json"
        assert path.is_file(), dashboard


def test_each_layer_is_shown_by_a_command() -> None:
    table = VERIFICATION.split("## Layer by layer")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    for row in rows:
        shown = row.strip("|").split("|")[2]
        assert re.search(r"`(hakoiri|make|deployment/)", shown), row
