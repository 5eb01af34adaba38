"""The decision on one request: forward it, and how, or refuse it, and why. No I/O.

Three ways lead out. Origin-form is the model path: only the model's API, with the policy's
credential. Absolute-form and CONNECT are for the domain whitelist, and carry no credential: a host
towards which a credential is injected is refused there, so that what is injected stays a subset of
what is enforced. What is not named here is refused.
"""

from dataclasses import dataclass
from typing import Final, Literal

from hakoiri.credential_proxy.authority import (
    HTTP_PORT,
    Authority,
    AuthorityError,
    parse_absolute,
    parse_authority,
)
from hakoiri.credential_proxy.aws_hosts import SigningScope
from hakoiri.credential_proxy.binding import Binding
from hakoiri.credential_proxy.configuration import Configuration
from hakoiri.credential_proxy.credential_definitions import (
    AwsCredential,
    Endpoint,
    HeaderCredential,
    endpoint_of,
)
from hakoiri.credential_proxy.framing import Headers, RequestHead
from hakoiri.credential_proxy.header_rules import egress_request_headers, model_request_headers
from hakoiri.credential_proxy.model_path import ModelCall, ModelPathError, parse_model_call
from hakoiri.wire.policy import ModelRoute

BODY_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""The largest body that is held to be signed, the same for each model API."""

Route = Literal["model", "egress", "tunnel"]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a request is sent; `path` and `query` as they go on the wire."""

    scheme: Literal["http", "https"]
    authority: Authority
    path: str = ""
    query: str = ""

    @property
    def host_header(self) -> str:
        """The value of `Host`: without the scheme's own port."""
        host, port = self.authority.host, self.authority.port
        return host if port == _DEFAULT_PORTS[self.scheme] else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Injection:
    """The credential to put on a request; `scope` is for those that sign."""

    credential: str
    scope: SigningScope | None


@dataclass(frozen=True, slots=True)
class Forward:
    """The request may go out.

    `headers` are the container's that pass, without Host and without a credential. A body is held
    whole when something is injected, else it streams. A non-empty `models` means that the body
    must name one of them.
    """

    route: Route
    method: str
    upstream: Upstream
    headers: Headers
    rule: str
    injection: Injection | None = None
    models: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Refuse:
    """The request must not go out; `code` is stable, `reason` is for people and names the mend."""

    status: int
    code: str
    reason: str
    route: Route | None = None
    authority: Authority | None = None
    rule: str | None = None


Decision = Forward | Refuse


class _RefusedError(Exception):
    """A rule refuses the request; `decide` turns it into a `Refuse`."""

    def __init__(
        self,
        status: int,
        code: str,
        reason: str,
        *,
        authority: Authority | None = None,
        rule: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.authority = authority
        self.rule = rule


def decide(head: RequestHead, *, binding: Binding | None, configuration: Configuration) -> Decision:
    """Decide on a request whose framing is sound (see `framing.find_fault`)."""
    route = route_of(head)
    try:
        return _decide(head, route, binding, configuration)
    except _RefusedError as error:
        reason = str(error)
        return Refuse(error.status, error.code, reason, route, error.authority, error.rule)
    except ModelPathError as error:
        return Refuse(error.status, error.code, str(error), route)
    except AuthorityError as error:
        status = 403 if error.code == "ip-literal" else 400
        return Refuse(status, error.code, str(error), route)


def route_of(head: RequestHead) -> Route:
    """Tell which way out a request takes by the form of its target."""
    if head.method == "CONNECT":
        return "tunnel"
    return "model" if head.target.startswith("/") else "egress"


def _decide(
    head: RequestHead, route: Route, binding: Binding | None, configuration: Configuration
) -> Forward:
    if binding is None:
        raise _RefusedError(403, "unbound", "this socket is not bound to a workspace")
    if "websocket" in ",".join(head.values("upgrade")).lower():
        raise _RefusedError(501, "upgrade-not-supported", "WebSocket is not forwarded")
    if route == "model":
        return _decide_model(head, binding, configuration)
    if route == "tunnel":
        return _decide_tunnel(head, binding, configuration)
    return _decide_egress(head, binding, configuration)


def _decide_model(head: RequestHead, binding: Binding, configuration: Configuration) -> Forward:
    call = parse_model_call(head.method, head.target)
    route = binding.policy.model
    if route is None:
        raise _RefusedError(403, "no-model-route", "the policy has no way to a model")
    if route.provider != call.provider:
        reason = f"the policy's model is reached through {route.provider}"
        raise _RefusedError(403, "path-not-allowed", reason)
    if head.values("content-encoding"):
        raise _RefusedError(415, "content-encoding", "send the body uncompressed")
    if (head.content_length_bytes or 0) > BODY_LIMIT_BYTES:
        raise _RefusedError(413, "body-too-large", f"the limit is {BODY_LIMIT_BYTES} bytes")
    match route.provider, configuration.credentials.get(route.credential):
        case "bedrock", AwsCredential() as credential:
            return _bedrock(head, call, route, credential)
        case "anthropic", HeaderCredential() as credential:
            return _anthropic(head, call, route, credential)
    reason = f"the proxy has no credential {route.credential!r} for {route.provider}"
    raise _RefusedError(403, "credential-unknown", reason)


def _bedrock(
    head: RequestHead, call: ModelCall, route: ModelRoute, credential: AwsCredential
) -> Forward:
    region = route.region or credential.regions[0]
    if region not in credential.regions or (route.region is None and len(credential.regions) > 1):
        raise _RefusedError(403, "region-not-allowed", "the credential is not for this region")
    for allowed in (route.models, credential.models):
        if allowed and call.model not in allowed:
            raise _RefusedError(403, "model-not-allowed", f"{call.model!r} is not allowed")
    return Forward(
        route="model",
        method=head.method,
        upstream=_model_upstream(endpoint_of(credential, region=region), call),
        headers=model_request_headers(head.headers, provider="bedrock"),
        rule=f"model:{route.credential}",
        injection=Injection(route.credential, SigningScope(region, "bedrock")),
    )


def _anthropic(
    head: RequestHead, call: ModelCall, route: ModelRoute, credential: HeaderCredential
) -> Forward:
    names_model = head.method == "POST"
    return Forward(
        route="model",
        method=head.method,
        upstream=_model_upstream(endpoint_of(credential, region=None), call),
        headers=model_request_headers(head.headers, provider="anthropic"),
        rule=f"model:{route.credential}",
        injection=Injection(route.credential, None),
        models=frozenset(route.models) if names_model else frozenset(),
    )


def _model_upstream(endpoint: Endpoint, call: ModelCall) -> Upstream:
    authority = Authority(endpoint.host, endpoint.port)
    return Upstream(endpoint.scheme, authority, call.path, call.query)


def _decide_egress(head: RequestHead, binding: Binding, configuration: Configuration) -> Forward:
    target = parse_absolute(head.target)
    _check_host_header(head, target.authority, default_port=HTTP_PORT)
    rule = _ask_whitelist(target.authority, binding, configuration)
    path, _, query = target.path.partition("?")
    return Forward(
        route="egress",
        method=head.method,
        upstream=Upstream("http", target.authority, path, query),
        headers=egress_request_headers(head.headers),
        rule=rule,
    )


def _decide_tunnel(head: RequestHead, binding: Binding, configuration: Configuration) -> Forward:
    authority = parse_authority(head.target)
    _check_host_header(head, authority, default_port=authority.port)
    rule = _ask_whitelist(authority, binding, configuration)
    return Forward(
        route="tunnel",
        method=head.method,
        upstream=Upstream("https", authority),
        headers=(),
        rule=rule,
    )


def _check_host_header(head: RequestHead, authority: Authority, *, default_port: int) -> None:
    for host in head.values("host"):
        if parse_authority(host, default_port=default_port) != authority:
            reason = "Host and the target name different hosts"
            raise _RefusedError(400, "host-mismatch", reason, authority=authority)


def _ask_whitelist(authority: Authority, binding: Binding, configuration: Configuration) -> str:
    decision = binding.whitelist.decide(authority)
    code, rule = decision.code, decision.rule
    if not decision.is_allowed:
        reason = f"{authority.host}:{authority.port} is not in the domain whitelist"
        raise _RefusedError(403, code, reason, authority=authority, rule=rule)
    if configuration.is_injected_towards(authority):
        reason = f"{authority.host} gets a credential, which a raw connection would get around"
        raise _RefusedError(403, "intercept-required", reason, authority=authority, rule=rule)
    return rule or ""
