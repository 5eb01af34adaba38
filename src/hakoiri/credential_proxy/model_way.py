"""The way to a model: where a policy's route leads with a credential, and why it may not.

Asked when a policy loads and again at each request, since the proxy's file may have changed since.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.aws_hosts import regional_host
from hakoiri.credential_proxy.credential_definitions import (
    BEDROCK,
    HTTPS_PORT,
    AwsCredential,
    BearerCredential,
    Credential,
    HeaderCredential,
)
from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.credential_proxy.signing_scope import SigningScope
from hakoiri.wire.policy import ModelRoute

ANTHROPIC_HOST: Final = "api.anthropic.com"
_BEDROCK_PREFIX: Final = "bedrock-runtime"


class ModelWayError(CredentialProxyError):
    """A route may not be taken with this credential; `field` is the policy's, `code` is stable."""

    def __init__(self, field: str, code: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.code = code


@dataclass(frozen=True, slots=True)
class ModelWay:
    """Where model requests go; `scope` is for credentials that sign.

    `models` are those the credential is for, all when empty.
    """

    scheme: Literal["http", "https"]
    authority: Authority
    scope: SigningScope | None
    models: Collection[str]


def find_model_way(route: ModelRoute, credential: Credential | None) -> ModelWay:
    """Return the way that `route` leads with `credential`, the one it names.

    Raises:
        ModelWayError: there is no such credential, or it is for other hosts, ports, services or
            regions than the route needs.
    """
    if credential is None:
        reason = (
            f"the proxy has no credential {route.credential!r};"
            f" define it for {route.provider} in the proxy's own file"
        )
        raise _credential_error(reason)
    if route.provider == "anthropic":
        return _anthropic(route, credential)
    return _bedrock(route, credential)


def _anthropic(route: ModelRoute, credential: Credential) -> ModelWay:
    if not isinstance(credential, HeaderCredential | BearerCredential):
        raise _credential_error("the provider anthropic needs a header or bearer one")
    if not credential.is_for(ANTHROPIC_HOST):
        raise _credential_error(f"{route.credential!r} is not for {ANTHROPIC_HOST}")
    return _way(route, credential, host=ANTHROPIC_HOST, scope=None, models=())


def _bedrock(route: ModelRoute, credential: Credential) -> ModelWay:
    if not isinstance(credential, AwsCredential):
        raise _credential_error("the provider bedrock needs an aws one")
    if BEDROCK not in credential.services:
        raise _credential_error(f"{route.credential!r} is not for {BEDROCK}")
    region = route.region
    if region is None:
        if len(credential.regions) != 1:
            raise _region_error("the credential has several; name one")
        region = credential.regions[0]
    if region not in credential.regions:
        raise _region_error(f"{region!r} is not one of the credential's regions")
    host, scope = regional_host(_BEDROCK_PREFIX, region), SigningScope(region, BEDROCK)
    return _way(route, credential, host=host, scope=scope, models=credential.models)


def _way(
    route: ModelRoute,
    credential: AwsCredential | HeaderCredential | BearerCredential,
    *,
    host: str,
    scope: SigningScope | None,
    models: Collection[str],
) -> ModelWay:
    endpoint = credential.parsed_endpoint
    if endpoint is not None:
        authority = Authority(endpoint.host, endpoint.port)
        return ModelWay(endpoint.scheme, authority, scope, models)
    if HTTPS_PORT not in credential.ports:
        raise _credential_error(f"{route.credential!r} is not for port {HTTPS_PORT}")
    return ModelWay("https", Authority(host, HTTPS_PORT), scope, models)


def _credential_error(reason: str) -> ModelWayError:
    return ModelWayError("model.credential", "credential-unknown", reason)


def _region_error(reason: str) -> ModelWayError:
    return ModelWayError("model.region", "region-not-allowed", reason)
