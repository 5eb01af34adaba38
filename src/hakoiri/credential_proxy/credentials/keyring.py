"""All credentials of the proxy's file, ready to be used or known not to be."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol, Self

from hakoiri.credential_proxy.configuration import Configuration
from hakoiri.credential_proxy.credential_definitions import AwsCredential, HeaderCredential
from hakoiri.credential_proxy.credentials.aws_chain import AwsChain
from hakoiri.credential_proxy.credentials.header import load_header_secret, read_variable
from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.credentials.sigv4 import AwsKeys, Headers, SignableRequest, Signer
from hakoiri.credential_proxy.errors import CredentialError
from hakoiri.credential_proxy.signing_scope import SigningScope
from hakoiri.wire.proxy import CredentialHealth


class KeySource(Protocol):
    """Where a set of AWS keys comes from."""

    async def keys(self) -> AwsKeys:
        """Return keys that hold now; raises CredentialError."""
        ...


class StaticKeys:
    """AWS keys that were read once."""

    def __init__(self, keys: AwsKeys) -> None:
        self._keys = keys

    async def keys(self) -> AwsKeys:
        """Return the keys."""
        return self._keys


class Keyring:
    """The credentials by name. Built anew on each reload, so that a rotated one is read again."""

    def __init__(
        self,
        *,
        key_sources: Mapping[str, KeySource],
        headers: Mapping[str, tuple[str, Secret]],
        missing: Mapping[str, str],
        now: Callable[[], datetime],
    ) -> None:
        self._key_sources = dict(key_sources)
        self._headers = dict(headers)
        self._missing = dict(missing)
        self._now = now
        self._signer = Signer()

    @classmethod
    def load(
        cls,
        configuration: Configuration,
        *,
        environ: Mapping[str, str],
        now: Callable[[], datetime],
        new_chain: Callable[[], AwsChain],
    ) -> Self:
        """Read what can be read now; a variable that is not set leaves its credential not ready.

        Raises:
            ConfigurationError: a secret cannot be sent, or its file cannot be trusted.
        """
        key_sources: dict[str, KeySource] = {}
        headers: dict[str, tuple[str, Secret]] = {}
        missing: dict[str, str] = {}
        for name, credential in configuration.credentials.items():
            try:
                match credential:
                    case AwsCredential(source="chain"):
                        key_sources[name] = new_chain()
                    case AwsCredential():
                        key_sources[name] = StaticKeys(_static_keys(credential, name, environ))
                    case HeaderCredential():
                        secret = load_header_secret(credential, name=name, environ=environ)
                        headers[name] = (credential.header, secret)
            except CredentialError as error:
                missing[name] = str(error)
        return cls(key_sources=key_sources, headers=headers, missing=missing, now=now)

    async def sign(self, name: str, request: SignableRequest, scope: SigningScope) -> Headers:
        """Return the headers that sign `request` with the AWS credential `name`.

        Raises:
            CredentialError: the credential cannot be used now.
        """
        source = self._key_sources.get(name)
        if source is None:
            raise self._why_not_ready(name)
        return self._signer.sign(request, keys=await source.keys(), scope=scope, now=self._now())

    def header(self, name: str) -> tuple[str, str]:
        """Return the header that carries the credential `name`.

        Raises:
            CredentialError: the credential cannot be used now.
        """
        entry = self._headers.get(name)
        if entry is None:
            raise self._why_not_ready(name)
        return entry[0], entry[1].reveal()

    async def health(self) -> list[CredentialHealth]:
        """Tell of each credential whether it could be used now."""
        found = [CredentialHealth(name=name, ready=True) for name in self._headers]
        found += [
            CredentialHealth(name=name, ready=False, reason=reason)
            for name, reason in self._missing.items()
        ]
        for name, source in self._key_sources.items():
            try:
                await source.keys()
            except CredentialError as error:
                found.append(CredentialHealth(name=name, ready=False, reason=str(error)))
            else:
                found.append(CredentialHealth(name=name, ready=True))
        return sorted(found, key=lambda entry: entry.name)

    def _why_not_ready(self, name: str) -> CredentialError:
        return CredentialError(self._missing.get(name, f"there is no credential {name!r}"))


def _static_keys(credential: AwsCredential, name: str, environ: Mapping[str, str]) -> AwsKeys:
    def read(field: str, variable: str) -> Secret:
        return read_variable(variable, name=f"credentials.{name}.{field}", environ=environ)

    token = credential.session_token_env
    return AwsKeys(
        access_key_id=read("access_key_id_env", credential.access_key_id_env or "").reveal(),
        secret_access_key=read("secret_access_key_env", credential.secret_access_key_env or ""),
        session_token=read("session_token_env", token) if token else None,
    )
