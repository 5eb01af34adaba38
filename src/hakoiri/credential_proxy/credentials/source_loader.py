"""From what the proxy's file says of a credential to the source of its value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from botocore.session import Session

from hakoiri.credential_proxy.credential_definitions import (
    COMMAND_TTL_S,
    AwsCredential,
    ValueCredential,
)
from hakoiri.credential_proxy.credentials.aws_chain import (
    RESOLVE_TIMEOUT_S,
    AssumedRole,
    AwsChain,
)
from hakoiri.credential_proxy.credentials.aws_keys_document import aws_keys, parse_keys_document
from hakoiri.credential_proxy.credentials.command_output import COMMAND_TIMEOUT_S, command_output
from hakoiri.credential_proxy.credentials.injected_secret import InjectedSecret, injected_secret
from hakoiri.credential_proxy.credentials.refreshed_value import (
    Lease,
    RefreshedValue,
    RefreshTasks,
    lease_for,
)
from hakoiri.credential_proxy.credentials.sigv4 import AwsKeys
from hakoiri.credential_proxy.credentials.source import Source, fixed_or_missing
from hakoiri.credential_proxy.credentials.watched_file import WatchedFile
from hakoiri.credential_proxy.errors import CredentialError

GRACE_FACTOR: Final = 2
"""A command's answer that cannot be renewed is used for as long again as it was fresh."""

RENEW_BEFORE_END_S: Final = 300.0
"""Keys that tell their end are renewed this long before, or at half their time if that is later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLoader:
    """Makes sources; `environ` is the proxy's, `now` aware, `clock_s` monotonic.

    Files and variables are read at once, so that a file of ours that cannot work is refused when
    it is loaded. Commands and chains are asked at the first use.
    """

    environ: Mapping[str, str]
    now: Callable[[], datetime]
    clock_s: Callable[[], float]
    tasks: RefreshTasks
    new_session: Callable[..., Any] = Session

    def secret(self, name: str, credential: ValueCredential) -> Source[InjectedSecret]:
        """Return the source of a secret.

        Raises:
            ConfigurationError: the value or its file cannot be used.
        """
        if credential.value_file is not None:
            return self._watched_secret(name, credential, credential.value_file)
        if credential.value_command is not None:
            return self._commanded_secret(name, credential, credential.value_command)
        field, variable = f"credentials.{name}.value_env", credential.value_env or ""

        def read() -> InjectedSecret:
            value = self._variable(field, variable)
            return injected_secret(credential, value, name=f"{field} ({variable})")

        return fixed_or_missing(read)

    def keys(self, name: str, credential: AwsCredential) -> Source[AwsKeys]:
        """Return the source of AWS keys.

        Raises:
            ConfigurationError: a value or its file cannot be used.
        """
        if credential.keys_file is not None:
            file = credential.keys_file
            field = f"credentials.{name}.keys_file ({file})"
            return WatchedFile(file, parse=lambda text: parse_keys_document(text, name=field))
        if credential.keys_command is not None:
            return self._commanded_keys(name, credential, credential.keys_command)
        if credential.source == "static":
            return fixed_or_missing(lambda: self._static_keys(name, credential))
        chain = AwsChain(
            clock_s=self.clock_s,
            profile=credential.profile,
            role=AssumedRole.of(credential),
            new_session=self.new_session,
        )
        return RefreshedValue(
            name=f"credentials.{name}",
            fetch=chain.fetch,
            clock_s=self.clock_s,
            timeout_s=RESOLVE_TIMEOUT_S,
            tasks=self.tasks,
        )

    def _variable(self, field: str, variable: str) -> str:
        value = self.environ.get(variable)
        if value is None:
            raise CredentialError(f"{field}: {variable} is not set in the proxy's environment")
        return value

    def _watched_secret(
        self, name: str, credential: ValueCredential, file: Path
    ) -> Source[InjectedSecret]:
        field = f"credentials.{name}.value_file ({file})"

        def parse(text: str) -> InjectedSecret:
            return injected_secret(credential, _without_line_break(text), name=field)

        return WatchedFile(file, parse=parse)

    def _commanded_secret(
        self, name: str, credential: ValueCredential, command: list[str]
    ) -> Source[InjectedSecret]:
        fresh_s = float(credential.value_ttl_s or COMMAND_TTL_S)

        async def fetch() -> Lease[InjectedSecret]:
            output = await command_output(command, home=self.environ.get("HOME"))
            value = injected_secret(credential, _without_line_break(output), name=command[0])
            valid_s = fresh_s * GRACE_FACTOR
            return lease_for(value, clock_s=self.clock_s, fresh_s=fresh_s, valid_s=valid_s)

        return RefreshedValue(
            name=f"credentials.{name}.value_command",
            fetch=fetch,
            clock_s=self.clock_s,
            timeout_s=COMMAND_TIMEOUT_S,
            tasks=self.tasks,
        )

    def _commanded_keys(
        self, name: str, credential: AwsCredential, command: list[str]
    ) -> Source[AwsKeys]:
        async def fetch() -> Lease[AwsKeys]:
            output = await command_output(command, home=self.environ.get("HOME"))
            keys = parse_keys_document(output, name=command[0])
            left_s = None
            if keys.expires_at is not None:
                left_s = (keys.expires_at - self.now()).total_seconds()
            fresh_s, valid_s = _times_of(left_s, ttl_s=credential.keys_ttl_s)
            return lease_for(keys, clock_s=self.clock_s, fresh_s=fresh_s, valid_s=valid_s)

        return RefreshedValue(
            name=f"credentials.{name}.keys_command",
            fetch=fetch,
            clock_s=self.clock_s,
            timeout_s=COMMAND_TIMEOUT_S,
            tasks=self.tasks,
        )

    def _static_keys(self, name: str, credential: AwsCredential) -> AwsKeys:
        def read(field: str, variable: str | None) -> str:
            return self._variable(f"credentials.{name}.{field}", variable or "")

        token = credential.session_token_env
        return aws_keys(
            read("access_key_id_env", credential.access_key_id_env),
            read("secret_access_key_env", credential.secret_access_key_env),
            read("session_token_env", token) if token else None,
            name=f"credentials.{name}",
        )


def _times_of(left_s: float | None, *, ttl_s: int | None) -> tuple[float, float]:
    """Return for how long keys are fresh, and for how long they hold."""
    if left_s is None:
        fresh_s = float(ttl_s or COMMAND_TTL_S)
        return fresh_s, fresh_s * GRACE_FACTOR
    if left_s <= 0:
        raise CredentialError("the keys that it gave have ended already")
    fresh_s = max(left_s - RENEW_BEFORE_END_S, left_s / 2)
    return min(fresh_s, ttl_s or fresh_s), left_s


def _without_line_break(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")
