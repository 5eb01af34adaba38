"""The collection as the settings want it, and what is told of it."""

from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from tests.unit.host.files.trees import NOON

from hakoiri.audit.event import EventKind
from hakoiri.audit.testing import MemoryAudit
from hakoiri.host.adapters.sql.database import open_database
from hakoiri.host.adapters.sql.point_retention import SqlPointRetention
from hakoiri.host.files.collection_ports import Amount, CollectionReport
from hakoiri.host.files.points import Retention
from hakoiri.host.files.testing import MemoryHeads, MemoryObjectStore
from hakoiri.host.settings import Settings
from hakoiri.host.store_keeping import CollectionTeller, make_collection, retention_of
from hakoiri.host.telemetry.collection_metrics import CollectionMetrics

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("url", "age_s", "interval_s", "told"),
    [
        (None, 100, 60, (timedelta(seconds=100), 60)),
        ("file:///srv/objects", 100, 0, (timedelta(seconds=100), None)),
        ("file:///srv/objects", 0, 60, (None, 60)),
        ("s3://bucket", 100, 60, (None, 60)),
    ],
)
async def test_a_buckets_archive_is_emptied_by_its_own_rules(
    url: str | None,
    age_s: int,
    interval_s: int,
    told: tuple[timedelta | None, float | None],
    tmp_path: Path,
) -> None:
    settings = Settings.model_validate(
        {
            "object_store_url": url,
            "collection": {"archive_age_s": age_s, "interval_s": interval_s, "grace_s": 7200},
        }
    )
    database = await open_database(f"sqlite:///{tmp_path}/db")
    registry = CollectorRegistry()
    made = make_collection(
        settings,
        store=MemoryObjectStore(),
        live=MemoryHeads(),
        database=database,
        metrics=CollectionMetrics(registry),
        audit=MemoryAudit(),
        clock=lambda: NOON,
    )
    assert (made._rules.archive_age, made._interval_s) == told
    assert made._rules.grace == timedelta(hours=2)
    assert isinstance(made._lists, SqlPointRetention)
    shown = registry.get_sample_value("hakoiri_store_collection_interval_seconds")
    assert shown == interval_s
    await database.close()


def test_lists_hold_what_the_settings_say() -> None:
    assert retention_of(Settings()) == Retention()
    given = {"points": 7, "running_points": 0, "age_s": 0, "kept_points": 3}
    told = retention_of(Settings.model_validate({"retention": given}))
    assert told == Retention(points=7, running_points=0, max_age=None, kept_points=3)
    aged = Settings.model_validate({"retention": {"age_s": 7200}})
    assert retention_of(aged).max_age == timedelta(hours=2)


def test_what_went_is_audited_and_counted_and_a_failure_too() -> None:
    registry = CollectorRegistry(auto_describe=True)
    audit = MemoryAudit()
    teller = CollectionTeller(CollectionMetrics(registry), audit)
    teller.collected(CollectionReport(started=NOON, ended=NOON))
    assert audit.events == []
    went = CollectionReport(started=NOON, ended=NOON, left=Amount(2, 30), deleted=Amount(1, 5))
    teller.collected(went)
    teller.collected(CollectionReport(started=NOON, ended=NOON, expired_points=4))
    teller.collected(CollectionReport(started=NOON, ended=NOON, failures=["tenant acme: torn"]))
    teller.failed("the store is away")
    assert [(one.kind, one.succeeded) for one in audit.events] == [
        (EventKind.STORE_COLLECTED, True),
        (EventKind.STORE_COLLECTED, True),
        (EventKind.STORE_COLLECTED, False),
        (EventKind.STORE_COLLECTED, False),
    ]
    assert audit.events[0].details["archived_bytes"] == 30
    assert audit.events[1].details["expired_points"] == 4
    page = generate_latest(registry).decode()
    assert "hakoiri_store_collection_failures_total 2.0" in page
    assert "hakoiri_store_expired_points_total 4.0" in page
    assert "last_success_timestamp_seconds 1.7673552002" in page
