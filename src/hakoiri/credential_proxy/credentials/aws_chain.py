"""AWS keys from botocore's default chain, in the proxy's own environment.

Environment, profile, SSO, AssumeRole, container and instance metadata: botocore finds, caches and
refreshes them. All of it may block, so it runs in a thread, within a time limit.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import BotoCoreError
from botocore.session import Session

from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.credentials.sigv4 import AwsKeys
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialError

RESOLVE_TIMEOUT_S: Final = 10.0
RETRY_AFTER_S: Final = 5.0
"""How long a chain that found nothing is not asked again; asking the metadata takes seconds."""


class AwsChain:
    """The keys of the default chain; fetched at the first request, refreshed when due."""

    def __init__(
        self,
        *,
        clock_s: Callable[[], float],
        new_session: Callable[[], Any] = Session,
        timeout_s: float = RESOLVE_TIMEOUT_S,
    ) -> None:
        self._clock_s = clock_s
        self._new_session = new_session
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self._credentials: Any = None
        self._failed_at_s: float | None = None

    async def keys(self) -> AwsKeys:
        """Return keys that hold now.

        Raises:
            CredentialError: the chain finds none, or not in time.
        """
        if self._credentials is not None and not self._is_refresh_due():
            return _frozen(self._credentials)
        async with self._lock:
            failed_at_s = self._failed_at_s
            if failed_at_s is not None and self._clock_s() - failed_at_s < RETRY_AFTER_S:
                raise CredentialError("the AWS credential chain found no credentials")
            try:
                async with asyncio.timeout(self._timeout_s):
                    keys = await asyncio.to_thread(self._resolve)
            except (CredentialError, TimeoutError) as error:
                self._failed_at_s = self._clock_s()
                reason = str(error) or "the AWS credential chain did not answer in time"
                raise CredentialError(reason) from error
            self._failed_at_s = None
            return keys

    def _is_refresh_due(self) -> bool:
        refresh_needed = getattr(self._credentials, "refresh_needed", None)
        return refresh_needed is not None and bool(refresh_needed())

    def _resolve(self) -> AwsKeys:
        try:
            if self._credentials is None:
                self._credentials = self._new_session().get_credentials()
            if self._credentials is None:
                raise CredentialError("the AWS credential chain found no credentials")
            return _frozen(self._credentials)
        except BotoCoreError as error:
            raise CredentialError(
                f"the AWS credential chain failed: {type(error).__name__}"
            ) from error


def _frozen(credentials: Any) -> AwsKeys:
    frozen = credentials.get_frozen_credentials()
    try:
        return AwsKeys(
            access_key_id=Secret(frozen.access_key, name="AWS access key id").reveal(),
            secret_access_key=Secret(frozen.secret_key, name="AWS secret access key"),
            session_token=(
                Secret(frozen.token, name="AWS session token") if frozen.token else None
            ),
        )
    except ConfigurationError as error:
        raise CredentialError(str(error)) from error
