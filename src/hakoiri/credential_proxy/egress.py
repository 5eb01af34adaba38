"""The way to everything but the model: absolute-form, tunnels, and requests inside intercepted TLS.

A raw tunnel is for hosts that the policy only allows. Where a rule looks at requests, or puts a
credential on them, TLS ends at the proxy and each request is decided on.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from hakoiri.credential_proxy.authority import (
    HTTP_PORT,
    Authority,
    parse_absolute,
    parse_authority,
)
from hakoiri.credential_proxy.binding import Binding
from hakoiri.credential_proxy.configuration import Configuration
from hakoiri.credential_proxy.copy_source import sources_of
from hakoiri.credential_proxy.credential_definitions import AwsCredential, SecretCredential
from hakoiri.credential_proxy.decision import (
    HELD_BODY_LIMIT_BYTES,
    Forward,
    Injection,
    RefusedError,
    Upstream,
)
from hakoiri.credential_proxy.domain_whitelist import LabelledRule, WhitelistDecision
from hakoiri.credential_proxy.framing import Headers, RequestHead
from hakoiri.credential_proxy.header_rules import (
    egress_request_headers,
    query_without_logins,
    without_credentials,
    without_overrides,
)
from hakoiri.credential_proxy.path_rules import find_path_fault, is_matched
from hakoiri.credential_proxy.upgrade import is_websocket_upgrade
from hakoiri.wire.policy import Rule

_CHUNKED_SIGNATURE: Final = "STREAMING-"
_ECHOING_METHODS: Final = frozenset({"TRACE", "TRACK"})
"""Answered with the request as it came, our credential in it (RFC 9110, section 9.3.8)."""


def decide_egress(head: RequestHead, binding: Binding, configuration: Configuration) -> Forward:
    """Decide on an absolute-form request, which is plain HTTP and carries no credential.

    Raises:
        RefusedError: a rule refuses it.
        AuthorityError: the target or Host is not plain.
    """
    target = parse_absolute(head.target)
    authority = target.authority
    _check_host_header(head, authority, default_port=HTTP_PORT)
    allowed = _ask_whitelist(authority, binding)
    path, _, query = target.path.partition("?")
    labelled = _choose(allowed, head.method, path, authority)
    rule = labelled.rule
    if configuration.is_injected_towards(authority) or rule.credential or rule.secrets:
        raise _not_raw(authority, labelled.label)
    return Forward(
        route="egress",
        method=head.method,
        upstream=Upstream("http", authority, path, query),
        headers=_headers_for(head, rule),
        rule=labelled.label,
        body_limit_bytes=_body_limit(head, rule, authority, labelled.label, is_held=False),
        is_websocket=_websocket(head, labelled, authority),
    )


def decide_tunnel(head: RequestHead, binding: Binding, configuration: Configuration) -> Forward:
    """Decide on a CONNECT: raw, intercepted, or refused.

    Raises:
        RefusedError: a rule refuses it.
        AuthorityError: the target or Host is not plain.
    """
    authority = parse_authority(head.target)
    _check_host_header(head, authority, default_port=authority.port)
    allowed = _ask_whitelist(authority, binding)
    label = allowed.rule or ""
    if not allowed.is_intercepted and configuration.is_injected_towards(authority):
        raise _not_raw(authority, label)
    return Forward(
        route="intercept" if allowed.is_intercepted else "tunnel",
        method=head.method,
        upstream=Upstream("https", authority),
        headers=(),
        rule=label,
    )


def decide_intercepted(
    head: RequestHead, authority: Authority, binding: Binding, configuration: Configuration
) -> Forward:
    """Decide on a request inside the intercepted CONNECT to `authority`.

    Raises:
        RefusedError: a rule refuses it.
        AuthorityError: Host is not plain.
    """
    _check_is_of_connection(head, authority)
    allowed = _ask_whitelist(authority, binding)
    if not allowed.is_intercepted:
        raise RefusedError(403, "policy-changed", "open the connection again", authority=authority)
    path, _, query = head.target.partition("?")
    labelled = _choose(allowed, head.method, path, authority)
    rule = labelled.rule
    tenant = binding.tenant
    injection, destination = _injection_of(rule, authority, configuration, tenant, labelled.label)
    _check_secrets(rule, authority, configuration, tenant, labelled.label)
    _check_not_echoed(head, rule, authority, labelled.label)
    is_signed = injection is not None and injection.scope is not None
    if is_signed:
        _check_signable(head, path, authority, labelled.label)
        _check_copied(head, authority, binding, rule.credential, labelled.label)
    headers = _headers_for(head, rule)
    if injection is not None or configuration.is_injected_towards(authority):
        headers = without_credentials(headers, is_signed=is_signed)
        query = query_without_logins(query)
    return Forward(
        route="intercepted",
        method=head.method,
        upstream=replace(destination, path=path, query=query),
        headers=headers,
        rule=labelled.label,
        injection=injection,
        body_limit_bytes=_body_limit(head, rule, authority, labelled.label, is_held=is_signed),
        secrets=frozenset(rule.secrets),
        is_websocket=_websocket(head, labelled, authority),
    )


def _check_is_of_connection(head: RequestHead, authority: Authority) -> None:
    """Check that a request inside the CONNECT to `authority` asks its host for a path."""
    is_path = head.target.startswith("/") and "#" not in head.target
    if head.method == "CONNECT" or not is_path:
        reason = "write a path without a fragment as the target of a request; CONNECT has none"
        raise RefusedError(400, "bad-target", reason, authority=authority)
    for host in head.values("host"):
        if parse_authority(host, default_port=authority.port) != authority:
            reason = "Host names another host than the CONNECT; open a connection of its own"
            raise RefusedError(421, "misdirected-request", reason, authority=authority)


def _headers_for(head: RequestHead, rule: Rule) -> Headers:
    headers = egress_request_headers(head.headers)
    return without_overrides(headers) if rule.methods or rule.paths else headers


def _check_secrets(
    rule: Rule, authority: Authority, configuration: Configuration, tenant: str, label: str
) -> None:
    """Check that the proxy's file, as it is now, still has the rule's secrets for this host."""
    for name in rule.secrets:
        secret = configuration.credential_of(tenant, name)
        is_for_it = (
            isinstance(secret, SecretCredential)
            and secret.is_for(authority.host)
            and authority.port in secret.ports
        )
        if not is_for_it:
            reason = f"the proxy has no secret {name!r} for {authority.host}:{authority.port}"
            raise RefusedError(403, "credential-unknown", reason, authority=authority, rule=label)


def _check_not_echoed(head: RequestHead, rule: Rule, authority: Authority, label: str) -> None:
    if head.method in _ECHOING_METHODS and (rule.credential or rule.secrets):
        reason = f"{head.method} would send the credential back; use another method"
        raise RefusedError(403, "method-not-allowed", reason, authority=authority, rule=label)


def _check_host_header(head: RequestHead, authority: Authority, *, default_port: int) -> None:
    for host in head.values("host"):
        if parse_authority(host, default_port=default_port) != authority:
            reason = "Host and the target name different hosts"
            raise RefusedError(400, "host-mismatch", reason, authority=authority)


def _ask_whitelist(authority: Authority, binding: Binding) -> WhitelistDecision:
    decision = binding.whitelist.decide(authority)
    if not decision.is_allowed:
        reason = f"{authority.host}:{authority.port} is not in the domain whitelist"
        raise RefusedError(403, decision.code, reason, authority=authority, rule=decision.rule)
    return decision


def _not_raw(authority: Authority, label: str) -> RefusedError:
    reason = (
        f"{authority.host} gets a credential, which a raw connection would get around;"
        " use HTTPS, and a rule that names the credential"
    )
    return RefusedError(403, "intercept-required", reason, authority=authority, rule=label)


def _choose(
    allowed: WhitelistDecision, method: str, path: str, authority: Authority
) -> LabelledRule:
    """Return the first rule that fits method and path."""
    if any(labelled.rule.paths for labelled in allowed.rules):
        fault = find_path_fault(path)
        if fault is not None:
            raise RefusedError(400, "ambiguous-path", fault, authority=authority, rule=allowed.rule)
    is_method_known = False
    for labelled in allowed.rules:
        rule = labelled.rule
        if rule.methods and method not in rule.methods:
            continue
        is_method_known = True
        if not rule.paths or any(is_matched(pattern, path) for pattern in rule.paths):
            return labelled
    if not is_method_known:
        reason = f"the policy allows {_listed(allowed.rules)} to {authority.host}, not {method}"
        code = "method-not-allowed"
    else:
        reason, code = (
            f"the policy does not allow this path of {authority.host}",
            "path-not-allowed",
        )
    raise RefusedError(403, code, reason, authority=authority, rule=allowed.rule)


def _listed(rules: Iterable[LabelledRule]) -> str:
    return ", ".join(sorted({method for labelled in rules for method in labelled.rule.methods}))


def _injection_of(
    rule: Rule, authority: Authority, configuration: Configuration, tenant: str, label: str
) -> tuple[Injection | None, Upstream]:
    """Return what is injected, and where the request goes."""
    if rule.credential is None:
        return None, Upstream("https", authority)
    credential = configuration.credential_of(tenant, rule.credential)
    if isinstance(credential, SecretCredential | None) or not credential.is_for(authority.host):
        reason = f"the proxy has no credential {rule.credential!r} for {authority.host}"
        raise RefusedError(403, "credential-unknown", reason, authority=authority, rule=label)
    endpoint = credential.parsed_endpoint
    if endpoint is not None:
        destination = Upstream(endpoint.scheme, Authority(endpoint.host, endpoint.port))
    elif authority.port in credential.ports:
        destination = Upstream("https", authority)
    else:
        reason = "a credential goes to the ports, or the endpoint, that the proxy's file names"
        raise RefusedError(403, "port-not-allowed", reason, authority=authority, rule=label)
    scope = None
    if isinstance(credential, AwsCredential):
        if credential.is_limited_at(authority.host):
            reason = f"{rule.credential!r} is for some models only; use the model path"
            raise RefusedError(403, "model-not-allowed", reason, authority=authority, rule=label)
        scope = credential.scope_for(authority.host)
    return Injection(rule.credential, scope, rule.unsigned_payload), destination


def _check_signable(head: RequestHead, path: str, authority: Authority, label: str) -> None:
    fault = find_path_fault(path)
    if fault is not None:
        raise RefusedError(400, "ambiguous-path", fault, authority=authority, rule=label)
    payloads = head.values("x-amz-content-sha256")
    codings = ",".join(head.values("content-encoding")).lower()
    if "aws-chunked" in codings or any(v.upper().startswith(_CHUNKED_SIGNATURE) for v in payloads):
        reason = (
            "the body is in signed or checksummed chunks, which our signature cannot cover; send it"
            " as a whole (AWS SDKs: AWS_REQUEST_CHECKSUM_CALCULATION=when_required)"
        )
        raise RefusedError(400, "streaming-signature", reason, authority=authority, rule=label)


def _check_copied(
    head: RequestHead, authority: Authority, binding: Binding, credential: str | None, label: str
) -> None:
    """Check that what S3 is to copy could be asked for with the same credential."""
    for source in sources_of(head, authority):
        if source is None or not _may_get(*source, binding, credential):
            reason = "what is copied must be let through as a GET with the same credential, too"
            raise RefusedError(403, "copy-not-allowed", reason, authority=authority, rule=label)


def _may_get(authority: Authority, path: str, binding: Binding, credential: str | None) -> bool:
    try:
        chosen = _choose(_ask_whitelist(authority, binding), "GET", path, authority)
    except RefusedError:
        return False
    return chosen.rule.credential == credential


def _body_limit(
    head: RequestHead, rule: Rule, authority: Authority, label: str, *, is_held: bool
) -> int | None:
    limit_bytes = rule.body_limit_bytes
    if limit_bytes is None and is_held and not rule.unsigned_payload:
        limit_bytes = HELD_BODY_LIMIT_BYTES
    if limit_bytes is not None and (head.content_length_bytes or 0) > limit_bytes:
        reason = f"the limit is {limit_bytes} bytes"
        raise RefusedError(413, "body-too-large", reason, authority=authority, rule=label)
    return limit_bytes


def _websocket(head: RequestHead, labelled: LabelledRule, authority: Authority) -> bool:
    if not is_websocket_upgrade(head):
        return False
    if not labelled.rule.websocket:
        reason = f"the policy's rule for {authority.host} has no websocket = true"
        raise RefusedError(
            403, "websocket-not-allowed", reason, authority=authority, rule=labelled.label
        )
    return True
