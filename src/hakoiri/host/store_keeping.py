"""How long what nothing needs stays in the object store: the collection as settings want it."""

from collections.abc import Callable
from datetime import datetime, timedelta

from hakoiri.audit.event import AuditEvent, EventKind
from hakoiri.audit.writer import AuditLog
from hakoiri.host.adapters.sql.collection_ledger import SqlCollectionLedger
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.point_retention import SqlPointRetention
from hakoiri.host.files.collection import CollectionRules
from hakoiri.host.files.collection_ports import CollectableStore, CollectionReport
from hakoiri.host.files.points import Retention
from hakoiri.host.files.ports import LiveManifests
from hakoiri.host.files.store_collection import StoreCollection
from hakoiri.host.settings import Settings
from hakoiri.host.telemetry.collection_metrics import CollectionMetrics


def make_collection(
    settings: Settings,
    *,
    store: CollectableStore,
    live: LiveManifests,
    database: Database,
    metrics: CollectionMetrics,
    audit: AuditLog,
    clock: Callable[[], datetime],
) -> StoreCollection:
    """Return the collection over the open store and database."""
    given = settings.collection
    metrics.runs_every(given.interval_s)
    ledger = SqlCollectionLedger(database)
    return StoreCollection(
        store=store,
        live=live,
        lists=SqlPointRetention(database, retention=retention_of(settings)),
        ledger=ledger,
        rules=CollectionRules(
            grace=timedelta(seconds=given.grace_s), archive_age=_archive_age(settings)
        ),
        interval_s=given.interval_s or None,
        clock=clock,
        tell=CollectionTeller(metrics, audit),
    )


def retention_of(settings: Settings) -> Retention:
    """Return what stays in each list of recovery points."""
    given = settings.retention
    return Retention(
        points=given.points,
        running_points=given.running_points,
        max_age=timedelta(seconds=given.age_s) if given.age_s else None,
        kept_points=given.kept_points,
    )


def _archive_age(settings: Settings) -> timedelta | None:
    """Return when a directory's archive is emptied; in a bucket, its own rules do that."""
    is_bucket = (settings.object_store_url or "").startswith("s3:")
    age_s = settings.collection.archive_age_s
    return None if is_bucket or not age_s else timedelta(seconds=age_s)


class CollectionTeller:
    """`CollectionTold`: the figures, and the audit log."""

    def __init__(self, metrics: CollectionMetrics, audit: AuditLog) -> None:
        self._metrics = metrics
        self._audit = audit

    def collected(self, report: CollectionReport) -> None:
        """A pass came to its end."""
        self._metrics.looked_through(
            {
                "live": report.live.size_bytes,
                "young": report.young.size_bytes,
                "waiting": report.waiting.size_bytes,
                "archived": report.archived.size_bytes + report.left.size_bytes,
                "wasted": report.wasted_bytes,
            },
            missing=report.missing,
        )
        self._metrics.removed(
            archived_bytes=report.left.size_bytes, deleted_bytes=report.deleted.size_bytes
        )
        self._metrics.expired(report.expired_points)
        if report.failures:
            self._metrics.failed()
        elif report.ended is not None:
            self._metrics.succeeded(report.ended.timestamp())
        went = (report.left.objects, report.deleted.objects, report.expired_points)
        if any(went) or report.failures:
            self._audit.tell(
                AuditEvent(
                    kind=EventKind.STORE_COLLECTED,
                    succeeded=not report.failures,
                    details={
                        "archived": report.left.objects,
                        "archived_bytes": report.left.size_bytes,
                        "deleted": report.deleted.objects,
                        "deleted_bytes": report.deleted.size_bytes,
                        "expired_points": report.expired_points,
                        "missing": report.missing,
                        "brought_back": report.brought_back,
                        "failures": report.failures,
                    },
                )
            )

    def failed(self, reason: str) -> None:
        """A pass was given up."""
        self._metrics.failed()
        self._audit.tell(
            AuditEvent(
                kind=EventKind.STORE_COLLECTED, succeeded=False, details={"failures": [reason]}
            )
        )
