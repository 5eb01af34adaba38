"""AWS keys from botocore's default chain, in the proxy's own environment.

Environment, profile, SSO, AssumeRole, `credential_process`, container and instance metadata:
botocore finds, caches and refreshes them. All of it may block, for ever where a
`credential_process` hangs, so it runs in a thread of its own: one at a time, and none that the
process waits for when it ends.
"""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import Any, Final

from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import ClientError
from botocore.session import Session

from hakoiri.credential_proxy.aws_hosts import GLOBAL_REGION
from hakoiri.credential_proxy.credential_definitions import AwsCredential
from hakoiri.credential_proxy.credentials.aws_keys_document import aws_keys
from hakoiri.credential_proxy.credentials.refreshed_value import Lease
from hakoiri.credential_proxy.credentials.sigv4 import AwsKeys
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialError

RESOLVE_TIMEOUT_S: Final = 10.0
THREAD_NAME: Final = "aws-chain"
RENEW_PAUSE_S: Final = 60.0
"""Keys that come with less than botocore's 15 minutes left are due at once; not at each request."""

_STS_CONFIG: Final = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
_ERROR_CODE: Final = re.compile(r"[A-Za-z.]{1,64}")
_DEFAULT_SESSION_NAME: Final = "hakoiri"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssumedRole:
    """The role that the chain's keys are exchanged for (AWS STS API Reference, AssumeRole)."""

    arn: str
    session_name: str
    region: str
    external_id: str | None = None
    duration_s: int | None = None

    @classmethod
    def of(cls, credential: AwsCredential) -> "AssumedRole | None":
        """Return the role that the file names, if it does; STS is asked in the first region."""
        if credential.role_arn is None:
            return None
        return cls(
            arn=credential.role_arn,
            session_name=credential.role_session_name or _DEFAULT_SESSION_NAME,
            region=credential.regions[0] if credential.regions else GLOBAL_REGION,
            external_id=credential.external_id,
            duration_s=credential.role_duration_s,
        )

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the call beside the role itself."""
        given: dict[str, Any] = {"RoleSessionName": self.session_name}
        if self.external_id is not None:
            given["ExternalId"] = self.external_id
        if self.duration_s is not None:
            given["DurationSeconds"] = self.duration_s
        return given


class AwsChain:
    """The keys of the default chain; botocore knows when they are due, and when they end."""

    def __init__(
        self,
        *,
        clock_s: Callable[[], float],
        profile: str | None = None,
        role: AssumedRole | None = None,
        new_session: Callable[..., Any] = Session,
    ) -> None:
        self._clock_s = clock_s
        self._profile = profile
        self._role = role
        self._new_session = new_session
        self._question: Future[Lease[AwsKeys]] | None = None
        self._credentials: Any = None

    async def fetch(self) -> Lease[AwsKeys]:
        """Return the keys that the chain gives now.

        A question that its asker gave up, and that is still under way, is the next asker's.

        Raises:
            CredentialError: the chain finds none, or fails.
            ConfigurationError: what it finds cannot be sent.
        """
        question = self._question
        if question is None or question.done():
            question = self._question = Future()
            question.set_running_or_notify_cancel()
            Thread(target=self._answer, args=(question,), name=THREAD_NAME, daemon=True).start()
        return await asyncio.wrap_future(question)

    def _answer(self, question: Future[Lease[AwsKeys]]) -> None:
        try:
            lease = self._resolve()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            question.set_exception(error)
        else:
            question.set_result(lease)

    def _resolve(self) -> Lease[AwsKeys]:
        try:
            if self._credentials is None:
                self._credentials = self._find()
            credentials = self._credentials
            frozen = credentials.get_frozen_credentials()
        except CredentialError:
            raise
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            shown = code if _ERROR_CODE.fullmatch(code) else "an error"
            raise CredentialError(f"the AWS credential chain failed: STS said {shown}") from None
        except Exception as error:  # noqa: BLE001 - as said below
            # botocore lets errors of its parsers through, and their text may quote a secret.
            reason = f"the AWS credential chain failed: {type(error).__name__}"
            raise CredentialError(reason) from None
        try:
            keys = aws_keys(
                frozen.access_key, frozen.secret_key, frozen.token, name="the AWS chain"
            )
        except ConfigurationError:
            self._credentials = None
            raise
        refresh_needed = getattr(credentials, "refresh_needed", None)
        if refresh_needed is None:
            return Lease(keys, is_due=_never, is_expired=_never)
        given_s = self._clock_s()
        return Lease(
            keys,
            is_due=lambda: self._clock_s() - given_s >= RENEW_PAUSE_S and refresh_needed(),
            is_expired=lambda: refresh_needed(0),
        )

    def _find(self) -> Any:
        session = self._new_session(profile=self._profile)
        credentials = session.get_credentials()
        if credentials is None:
            raise CredentialError("the AWS credential chain found no credentials")
        role = self._role
        if role is None:
            return credentials

        def new_client(service: str, **keys: Any) -> Any:
            return session.create_client(
                service, region_name=role.region, config=_STS_CONFIG, **keys
            )

        fetcher = AssumeRoleCredentialFetcher(
            new_client, credentials, role.arn, extra_args=role.parameters()
        )
        return DeferredRefreshableCredentials(
            method="assume-role", refresh_using=fetcher.fetch_credentials
        )


def _never() -> bool:
    return False
