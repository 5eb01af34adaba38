"""The object store in an S3 bucket, or in what speaks S3."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import SplitResult, urlsplit

from obstore.store import S3Store

from hakoiri.host.adapters.obstore_objects import ObstoreObjects, ours
from hakoiri.host.adapters.store_credentials import StoreCredentials, read_store_credentials
from hakoiri.host.files.ports import FilesError
from hakoiri.host.settings import LOOPBACK_HOSTS, ObjectStoreSettings

if TYPE_CHECKING:
    from obstore.store import S3Credential

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?")
CREDENTIALS_LIFE = timedelta(minutes=5)
"""So often the file is read again: a rotation needs no restart."""

CONNECT_TIMEOUT = timedelta(seconds=5)
RETRIES = 4
FIRST_PAUSE = timedelta(milliseconds=100)
LONGEST_PAUSE = timedelta(seconds=2)


class S3ObjectStore(ObstoreObjects):
    """An `ObjectStore` in a bucket. S3 answers a write only when it is durable.

    Requests that fail by the network, by throttling or by the server's fault are tried again, with
    growing pauses, for as long as one request may take.
    """

    @classmethod
    def open(cls, parts: SplitResult, settings: ObjectStoreSettings) -> Self:
        """Open `s3://bucket/prefix`; `FilesError` names the setting that does not fit."""
        if not _BUCKET.fullmatch(parts.netloc) or not _PREFIX.fullmatch(parts.path):
            raise FilesError("object_store_url: must be s3://bucket or s3://bucket/prefix")
        if parts.query or parts.fragment:
            raise FilesError("object_store_url: has a query, which is not allowed")
        if settings.credentials_file is None:
            raise FilesError(
                "object_store.credentials_file: an s3:// store needs one "
                "(HAKOIRI_OBJECT_STORE__CREDENTIALS_FILE)"
            )
        path = settings.credentials_file
        credentials = read_store_credentials(path)
        name = f"object store s3://{parts.netloc}{parts.path}"
        timeout = timedelta(seconds=settings.timeout_s)
        with ours(name):
            store = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                config=_config(settings, credentials),
                client_options={
                    "timeout": timeout,
                    "connect_timeout": min(CONNECT_TIMEOUT, timeout),
                    "allow_http": _is_plain(settings.endpoint),
                },
                retry_config={
                    "max_retries": RETRIES,
                    "retry_timeout": timeout,
                    "backoff": {"init_backoff": FIRST_PAUSE, "max_backoff": LONGEST_PAUSE},
                },
                credential_provider=lambda: _lent(read_store_credentials(path)),
            )
        return cls(store, name=name)


def _lent(credentials: StoreCredentials) -> "S3Credential":
    token = credentials.session_token
    return {
        "access_key_id": credentials.access_key_id,
        "secret_access_key": credentials.secret_access_key.get_secret_value(),
        "token": None if token is None else token.get_secret_value(),
        "expires_at": datetime.now(UTC) + CREDENTIALS_LIFE,
    }


def _config(settings: ObjectStoreSettings, credentials: StoreCredentials) -> Any:
    config: dict[str, str] = {"region": settings.region}
    if settings.endpoint is not None:
        config["endpoint"] = settings.endpoint
    if settings.encryption == "customer":
        if credentials.customer_key is None:
            raise FilesError(
                "object_store.encryption: 'customer' needs customer_key in the credentials' file"
            )
        config["server_side_encryption"] = "sse-c"
        config["sse_customer_key_base64"] = credentials.customer_key.get_secret_value()
    elif settings.encryption != "bucket":
        config["server_side_encryption"] = settings.encryption
        if settings.kms_key_id is not None:
            config["sse_kms_key_id"] = settings.kms_key_id
    return config


def _is_plain(endpoint: str | None) -> bool:
    """Whether to speak HTTP without TLS, which is for this host alone: all files would be seen."""
    if endpoint is None or not endpoint.startswith("http://"):
        return False
    if urlsplit(endpoint).hostname not in LOOPBACK_HOSTS:
        raise FilesError("object_store.endpoint: http:// is for loopback only; use https://")
    return True
