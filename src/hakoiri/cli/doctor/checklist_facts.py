"""Collects what the rest of the checklist is judged by. Nothing here judges."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from hakoiri.audit.shipping.status import ShipStatus
from hakoiri.audit.told_file import read_told
from hakoiri.cli.doctor.checklist_checks import ChecklistFacts, check_checklist
from hakoiri.cli.doctor.engine_facts import EngineFacts, EngineUnknownError, read_engine
from hakoiri.cli.doctor.finding import Finding
from hakoiri.cli.doctor.lifecycle_check import LifecycleTold
from hakoiri.cli.supervisor.preparation import (
    INSTANCE_FILE,
    RUN_ROOT,
    PreparationError,
    instance_id,
)
from hakoiri.cli.supervisor.processes import SHIP_STATUS
from hakoiri.host.adapters.store_credentials import read_store_credentials
from hakoiri.host.files.ports import FilesError
from hakoiri.host.settings import Settings
from hakoiri.image.engine import Engine
from hakoiri.image.errors import ImageBuildError
from hakoiri.image.scan_record import ScanRecord, read_record
from hakoiri.image.signature import directory_of

PROC: Final = Path("/proc")
FALCO_RULES: Final = Path("/etc/falco")
FALCO_FILES_LIMIT: Final = 100
FALCO_FILE_LIMIT_BYTES: Final = 1024 * 1024
OUR_RULE: Final = "hakoiri.instance"
"""What each of our rules looks at."""

S3_TIMEOUT_S: Final = 5


def examine_checklist(settings: Settings, *, image_reference: Callable[[], str]) -> list[Finding]:
    """Look at this host with these settings, and judge."""
    return check_checklist(settings, gather(settings, image_reference=image_reference))


def gather(settings: Settings, *, image_reference: Callable[[], str]) -> ChecklistFacts:
    """Collect the facts; what cannot be had is told as such."""
    return ChecklistFacts(
        now=datetime.now(UTC),
        engine=_engine(settings.docker_host),
        lifecycle=_lifecycle(settings),
        scan=_scan(settings, image_reference),
        falco_runs=_runs("falco"),
        falco_has_our_rules=_has_rules(FALCO_RULES),
        ship=_ship_status(settings),
    )


def _engine(docker_host: str) -> EngineFacts | None:
    try:
        return read_engine(docker_host)
    except EngineUnknownError:
        return None


def _lifecycle(settings: Settings) -> LifecycleTold | None:
    parts = urlsplit(settings.object_store_url or "")
    if parts.scheme != "s3":
        return None
    return read_lifecycle(settings, bucket=parts.netloc)


def read_lifecycle(settings: Settings, *, bucket: str) -> LifecycleTold:
    """Ask the bucket for its rules, with the store's own key."""
    store = settings.object_store
    if store.credentials_file is None:
        return LifecycleTold(None, "there is no HAKOIRI_OBJECT_STORE__CREDENTIALS_FILE")
    try:
        key = read_store_credentials(store.credentials_file)
        token = key.session_token
        client = Session().create_client(
            "s3",
            region_name=store.region,
            endpoint_url=store.endpoint,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key.get_secret_value(),
            aws_session_token=token.get_secret_value() if token is not None else None,
            config=Config(
                connect_timeout=S3_TIMEOUT_S,
                read_timeout=S3_TIMEOUT_S,
                retries={"total_max_attempts": 2},
            ),
        )
        answer = client.get_bucket_lifecycle_configuration(Bucket=bucket)
    except FilesError as error:
        return LifecycleTold(None, str(error))
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "no reason given"))
        if code == "NoSuchLifecycleConfiguration":
            return LifecycleTold([])
        return LifecycleTold(None, f"the store answered {code[:80]}")
    except BotoCoreError as error:
        return LifecycleTold(None, type(error).__name__)
    return LifecycleTold(list(answer.get("Rules", [])))


def _scan(settings: Settings, image_reference: Callable[[], str]) -> ScanRecord | None:
    reference = settings.container.image or image_reference()
    try:
        image_id = Engine(settings.docker_host).describe(reference).image_id
    except ImageBuildError:
        return None
    record = read_record(directory_of(settings.container.image_signatures, image_id))
    return record if record is not None and record.image == image_id else None


def _runs(name: str, *, proc: Path = PROC) -> bool:
    """Whether a process of that name runs."""
    for path in proc.glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == name:
                return True
        except OSError:  # it has just ended
            continue
    return False


def _has_rules(directory: Path) -> bool:
    """Whether one of Falco's files there has our rules."""
    files = [*directory.glob("*.yaml"), *directory.glob("rules.d/*.yaml")]
    return any(map(_names_ours, files[:FALCO_FILES_LIMIT]))


def _names_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return OUR_RULE.encode() in file.read(FALCO_FILE_LIMIT_BYTES)
    except OSError:
        return False


def _ship_status(settings: Settings) -> ShipStatus | None:
    instance = settings.data_dir / INSTANCE_FILE
    if not instance.is_file():  # to look makes no instance
        return None
    try:
        run_dir = settings.run_dir or RUN_ROOT / instance_id(instance)
    except PreparationError:
        return None
    return read_told(run_dir / SHIP_STATUS, ShipStatus)
