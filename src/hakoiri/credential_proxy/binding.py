"""What a socket speaks for: a workspace under a policy, never wider than the proxy's own file."""

import hashlib
from dataclasses import dataclass
from typing import Self

from hakoiri.credential_proxy.configuration import Configuration
from hakoiri.credential_proxy.credential_definitions import AwsCredential
from hakoiri.credential_proxy.domain_whitelist import DomainWhitelist
from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.wire.policy import ModelRoute, Policy
from hakoiri.wire.proxy import Bind

ANTHROPIC_HOST = "api.anthropic.com"


class PolicyTooWideError(CredentialProxyError):
    """A policy asks for more than the proxy's own file allows."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A socket's owner and what it may reach."""

    workspace: str
    tenant: str
    generation: int
    policy: Policy
    whitelist: DomainWhitelist
    digest: str

    @classmethod
    def of(cls, bind: Bind) -> Self:
        """Prepare the binding that `bind` asks for."""
        return cls(
            workspace=bind.workspace,
            tenant=bind.tenant,
            generation=bind.generation,
            policy=bind.policy,
            whitelist=DomainWhitelist.of(bind.policy.rules),
            digest=hashlib.sha256(bind.policy.model_dump_json().encode()).hexdigest(),
        )


def check_policy(policy: Policy, configuration: Configuration) -> None:
    """Check that `policy` only names and narrows.

    Raises:
        PolicyTooWideError: it names an unknown credential, or a wider region, model or use than
            the file; the message names the field and the mend.
    """
    route = policy.model
    if route is None:
        return
    credential = configuration.credentials.get(route.credential)
    if credential is None:
        raise PolicyTooWideError(
            f"model.credential: the proxy has no credential {route.credential!r};"
            " define it in the proxy's own file"
        )
    if route.provider == "anthropic":
        if isinstance(credential, AwsCredential):
            raise PolicyTooWideError("model.credential: the provider anthropic needs a header one")
        if ANTHROPIC_HOST not in credential.hosts:
            raise PolicyTooWideError(
                f"model.credential: {route.credential!r} is not for {ANTHROPIC_HOST}"
            )
        return
    if not isinstance(credential, AwsCredential):
        raise PolicyTooWideError("model.credential: the provider bedrock needs an aws one")
    _check_bedrock(route, credential)


def _check_bedrock(route: ModelRoute, credential: AwsCredential) -> None:
    if "bedrock" not in credential.services:
        raise PolicyTooWideError(f"model.credential: {route.credential!r} is not for bedrock")
    if route.region is None and len(credential.regions) > 1:
        raise PolicyTooWideError("model.region: the credential has several; name one")
    if route.region is not None and route.region not in credential.regions:
        raise PolicyTooWideError(
            f"model.region: {route.region!r} is not one of the credential's regions"
        )
    wider = sorted(set(route.models) - set(credential.models)) if credential.models else []
    if wider:
        raise PolicyTooWideError(f"model.models: {wider[0]!r} is not one of the credential's")
