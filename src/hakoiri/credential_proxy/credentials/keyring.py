"""All credentials of the proxy's file, ready to be used or known not to be."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Final, Self

from hakoiri.credential_proxy.configuration import Configuration
from hakoiri.credential_proxy.credential_definitions import (
    AwsCredential,
    SecretCredential,
    ValueCredential,
)
from hakoiri.credential_proxy.credentials.injected_secret import InjectedSecret, inject
from hakoiri.credential_proxy.credentials.outgoing_request import OutgoingRequest
from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.credentials.sigv4 import AwsKeys, SignableRequest, Signer
from hakoiri.credential_proxy.credentials.source import Source
from hakoiri.credential_proxy.credentials.source_loader import SourceLoader
from hakoiri.credential_proxy.errors import CredentialError
from hakoiri.credential_proxy.signing_scope import SigningScope
from hakoiri.wire.proxy import CredentialHealth

_SIGNATURE_HEADERS: Final = frozenset(
    {"authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"}
)
_SIGNED_HEADERS: Final = frozenset({"host", "content-type", "content-md5"})
_SIGNED_PREFIX: Final = "x-amz-"


class Keyring:
    """The credentials by name. Built anew on each reload; a value may change between reloads."""

    def __init__(
        self,
        *,
        keys: Mapping[str, Source[AwsKeys]],
        secrets: Mapping[str, tuple[ValueCredential, Source[InjectedSecret]]],
        now: Callable[[], datetime],
    ) -> None:
        self._keys = dict(keys)
        self._secrets = dict(secrets)
        self._now = now
        self._signer = Signer()
        self.known_placeholders = frozenset(
            name
            for name, (credential, _) in secrets.items()
            if isinstance(credential, SecretCredential)
        )
        """The names of the secrets that a container knows as `hakoiri-secret-NAME`."""

    @classmethod
    def load(cls, configuration: Configuration, *, loader: SourceLoader) -> Self:
        """Read what can be read now; a variable that is not set leaves its credential not ready.

        Raises:
            ConfigurationError: a secret cannot be sent, or its file cannot be trusted.
        """
        keys: dict[str, Source[AwsKeys]] = {}
        secrets: dict[str, tuple[ValueCredential, Source[InjectedSecret]]] = {}
        for name, credential in configuration.credentials.items():
            if isinstance(credential, AwsCredential):
                keys[name] = loader.keys(name, credential)
            else:
                secrets[name] = (credential, loader.secret(name, credential))
        return cls(keys=keys, secrets=secrets, now=loader.now)

    def is_signing(self, name: str) -> bool:
        """Whether the credential signs, for which `apply` needs a scope and the body's hash."""
        return name in self._keys

    def is_placeholder_name(self, name: str) -> bool:
        """Whether `name` is a secret that stands for its placeholder."""
        return name in self.known_placeholders

    async def apply(
        self,
        name: str,
        request: OutgoingRequest,
        *,
        scope: SigningScope | None = None,
        body_sha256: str | None = None,
    ) -> OutgoingRequest:
        """Return `request` with the credential `name` on it, instead of what the client sent there.

        `scope` and `body_sha256` (lower-case hex, or `UNSIGNED_PAYLOAD`) are for those that sign,
        and for them alone. Nothing is awaited while a value that holds is at hand.

        Raises:
            CredentialError: the credential cannot be used now, or not in this way.
        """
        entry = self._secrets.get(name)
        if entry is not None and scope is None:
            credential, source = entry
            return inject(credential, source.current() or await source.get(), request)
        keys = self._keys.get(name)
        if keys is not None and scope is not None and body_sha256 is not None:
            return self._signed(request, await self._usable(keys), scope, body_sha256)
        if entry is None and keys is None:
            raise CredentialError(f"there is no credential {name!r}")
        raise CredentialError(f"the credential {name!r} is of a kind that is not used in this way")

    async def placeholders(self, names: Collection[str]) -> Mapping[str, Secret]:
        """Return what to put in place of each `hakoiri-secret-NAME`.

        Raises:
            CredentialError: a secret cannot be used now, or a name is of no such secret.
        """
        found: dict[str, Secret] = {}
        for name in names:
            if name not in self.known_placeholders:
                raise CredentialError(f"the credential {name!r} stands for no placeholder")
            source = self._secrets[name][1]
            found[name] = (source.current() or await source.get()).secret
        return found

    def secrets_in_force(self, names: Iterable[str]) -> tuple[Secret, ...]:
        """Return what must not come back in an answer to a request that these were put on.

        For each credential the value and those it has just replaced, and the other forms in which
        they were sent; no value twice. Equal as long as nothing was replaced, so that it can key
        what was prepared for it.
        """
        found: dict[Secret, None] = {}
        for name in names:
            if name in self._keys:
                for keys in self._keys[name].held():
                    found |= dict.fromkeys(keys.secrets())
            elif name in self._secrets:
                for held in self._secrets[name][1].held():
                    found |= dict.fromkeys(held.forms)
        return tuple(found)

    def faults(self) -> Mapping[str, str | None]:
        """Tell what is wrong with each credential's source as far as is known; asks nobody."""
        secrets = {name: source.fault for name, (_, source) in self._secrets.items()}
        return {**secrets, **{name: source.fault for name, source in self._keys.items()}}

    async def health(self) -> list[CredentialHealth]:
        """Tell of each credential whether it could be used now, and what is wrong with its source.

        Those that were never asked for are asked now, side by side. `ready` with a reason is a
        value that holds, although it cannot be renewed.
        """
        names = sorted((*self._keys, *self._secrets))
        async with asyncio.TaskGroup() as asking:
            asked = [asking.create_task(self._health_of(name)) for name in names]
        return [task.result() for task in asked]

    def ready(self) -> bool:
        """Whether no credential is known to be unusable; asks nobody, so it is always quick."""
        sources = (*self._keys.values(), *(source for _, source in self._secrets.values()))
        return all(source.fault is None or source.current() is not None for source in sources)

    async def _health_of(self, name: str) -> CredentialHealth:
        try:
            if name in self._keys:
                await self._usable(self._keys[name])
                fault = self._keys[name].fault
            else:
                source = self._secrets[name][1]
                await source.get()
                fault = source.fault
        except CredentialError as error:
            return CredentialHealth(name=name, ready=False, reason=str(error))
        return CredentialHealth(name=name, ready=True, reason=fault or "")

    async def _usable(self, source: Source[AwsKeys]) -> AwsKeys:
        keys = source.current() or await source.get()
        if keys.expires_at is not None and keys.expires_at <= self._now():
            raise CredentialError(source.fault or "the AWS keys have ended; store new ones")
        return keys

    def _signed(
        self, request: OutgoingRequest, keys: AwsKeys, scope: SigningScope, body_sha256: str
    ) -> OutgoingRequest:
        kept = tuple(h for h in request.headers if h[0].lower() not in _SIGNATURE_HEADERS)
        signable = SignableRequest(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=tuple(header for header in kept if _is_signed(header[0].lower())),
            body_sha256=body_sha256,
        )
        added = self._signer.sign(signable, keys=keys, scope=scope, now=self._now())
        return OutgoingRequest(request.method, request.path, request.query, (*kept, *added))


def _is_signed(name: str) -> bool:
    return name in _SIGNED_HEADERS or name.startswith(_SIGNED_PREFIX)
