"""What a socket speaks for: a workspace under a policy, never wider than the proxy's own file."""

import hashlib
from dataclasses import dataclass
from typing import Final, Self

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.configuration import Configuration
from hakoiri.credential_proxy.credential_definitions import (
    AwsCredential,
    Credential,
    SecretCredential,
)
from hakoiri.credential_proxy.domain_whitelist import DomainWhitelist
from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.credential_proxy.model_way import ModelWayError, find_model_way
from hakoiri.credential_proxy.path_rules import find_path_fault
from hakoiri.tracing.trace_context import TraceContext, parse_traceparent
from hakoiri.wire.policy import Policy, Rule
from hakoiri.wire.proxy import Bind

_HOSTS_TOLD: Final = 5


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
    trace: TraceContext | None = None
    """The span below which its requests belong."""

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
            trace=parse_traceparent(bind.traceparent) if bind.traceparent else None,
        )


def check_policy(policy: Policy, configuration: Configuration, *, tenant: str) -> None:
    """Check that `policy` only names and narrows, and injects nothing it does not enforce.

    It names what is for its `tenant` alone; what is another's is unknown here, like what is not.

    Raises:
        PolicyTooWideError: it names an unknown credential, or a wider region, model, host or use
            than the file, or opens a raw way to a host that gets a credential; the message names
            the field and the mend.
    """
    for index, rule in enumerate(policy.rules):
        _check_rule(f"rules.{index}", rule, configuration, tenant)
    _check_enforced(policy, configuration)
    _check_model(policy, configuration, tenant)


def _check_rule(field: str, rule: Rule, configuration: Configuration, tenant: str) -> None:
    if rule.credential is not None:
        credential = configuration.credential_of(tenant, rule.credential)
        if credential is None:
            raise PolicyTooWideError(
                f"{field}.credential: the proxy has no credential {rule.credential!r};"
                " define it in the proxy's own file"
            )
        _check_credential(field, rule, credential)
    for name in rule.secrets:
        _check_secret(f"{field}.secrets", name, rule, configuration.credential_of(tenant, name))
    for path in rule.paths:
        fault = find_path_fault(path.replace("*", "x"))
        if fault is not None:
            raise PolicyTooWideError(f"{field}.paths: {path!r} would fit no request: {fault}")


def _check_credential(field: str, rule: Rule, credential: Credential) -> None:
    if isinstance(credential, SecretCredential):
        raise PolicyTooWideError(
            f"{field}.credential: {rule.credential!r} stands for a placeholder; name it in secrets"
        )
    if not credential.is_for(rule.host):
        raise PolicyTooWideError(
            f"{field}.credential: {rule.credential!r} is not for {rule.host};"
            f" it is for {', '.join(sorted(credential.hosts_reached)[:_HOSTS_TOLD])}"
        )
    if credential.parsed_endpoint is None and not set(rule.ports) <= set(credential.ports):
        raise PolicyTooWideError(
            f"{field}.ports: {rule.credential!r} goes to port"
            f" {', '.join(map(str, credential.ports))} alone,"
            " unless the proxy's own file gives it more ports or an endpoint"
        )
    if isinstance(credential, AwsCredential) and credential.is_limited_at(rule.host):
        raise PolicyTooWideError(
            f"{field}.credential: {rule.credential!r} is for some models only;"
            " reach them through [model]"
        )
    if rule.unsigned_payload and not isinstance(credential, AwsCredential):
        raise PolicyTooWideError(f"{field}.unsigned_payload: is for an aws credential")


def _check_secret(field: str, name: str, rule: Rule, credential: Credential | None) -> None:
    if not isinstance(credential, SecretCredential) or not credential.is_for(rule.host):
        raise PolicyTooWideError(
            f"{field}: the proxy has no secret {name!r} for {rule.host};"
            ' define it in the proxy\'s own file with kind = "secret"'
        )
    if not set(rule.ports) <= set(credential.ports):
        raise PolicyTooWideError(
            f"{field}: {name!r} goes to port {', '.join(map(str, credential.ports))} alone,"
            " unless the proxy's own file gives it more ports"
        )


def _check_enforced(policy: Policy, configuration: Configuration) -> None:
    """Show that no rule of its own lets a host that gets a credential be reached raw.

    A wildcard that covers such a host is left to `exchange.decide`, which refuses the raw way.
    """
    whitelist = DomainWhitelist.of(policy.rules)
    for index, rule in enumerate(policy.rules):
        for port in rule.ports:
            authority = Authority(rule.host, port)
            is_raw = not whitelist.decide(authority).is_intercepted
            if is_raw and configuration.is_injected_towards(authority):
                raise PolicyTooWideError(
                    f"rules.{index}: {rule.host}:{port} gets a credential, and this rule would let"
                    " the container reach it raw; name the credential, or set intercept = true"
                )


def _check_model(policy: Policy, configuration: Configuration, tenant: str) -> None:
    route = policy.model
    if route is None:
        return
    try:
        way = find_model_way(route, configuration.credential_of(tenant, route.credential))
    except ModelWayError as error:
        raise PolicyTooWideError(f"{error.field}: {error}") from error
    wider = sorted(set(route.models) - set(way.models)) if way.models else []
    if wider:
        raise PolicyTooWideError(f"model.models: {wider[0]!r} is not one of the credential's")
