"""The decision on one request: forward it, and how, or refuse it, and why. No I/O.

Three ways lead out. Origin-form is the model path: only the model's API, with the policy's
credential. Absolute-form and CONNECT are for the domain whitelist (see `egress`). Towards a host
that gets a credential there is no raw way, so that what is injected stays a subset of what is
enforced. What is not named here is refused.
"""

from hakoiri.credential_proxy.authority import Authority, AuthorityError
from hakoiri.credential_proxy.aws_hosts import SigningScope
from hakoiri.credential_proxy.binding import Binding
from hakoiri.credential_proxy.configuration import Configuration
from hakoiri.credential_proxy.credential_definitions import (
    AwsCredential,
    Endpoint,
    HeaderCredential,
    endpoint_of,
)
from hakoiri.credential_proxy.decision import (
    HELD_BODY_LIMIT_BYTES,
    Decision,
    Forward,
    Injection,
    Refuse,
    RefusedError,
    Route,
    Upstream,
)
from hakoiri.credential_proxy.egress import decide_egress, decide_intercepted, decide_tunnel
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.credential_proxy.header_rules import model_request_headers
from hakoiri.credential_proxy.model_path import ModelCall, ModelPathError, parse_model_call
from hakoiri.credential_proxy.placeholders import check_placeholders
from hakoiri.wire.policy import ModelRoute


def decide(head: RequestHead, *, binding: Binding | None, configuration: Configuration) -> Decision:
    """Decide on a request whose framing is sound (see `framing.find_fault`)."""
    route = route_of(head)
    if binding is None:
        return Refuse(403, "unbound", "this socket is not bound to a workspace", route)
    try:
        decision = _decide(head, route, binding, configuration)
        check_placeholders(head, allowed=decision.secrets)
    except RefusedError as error:
        reason = str(error)
        return Refuse(error.status, error.code, reason, route, error.authority, error.rule)
    except ModelPathError as error:
        return Refuse(error.status, error.code, str(error), route)
    except AuthorityError as error:
        status = 403 if error.code == "ip-literal" else 400
        return Refuse(status, error.code, str(error), route)
    return decision


def _decide(
    head: RequestHead, route: Route, binding: Binding, configuration: Configuration
) -> Forward:
    if head.intercepted is not None:
        return decide_intercepted(head, head.intercepted, binding, configuration)
    if route == "model":
        return _decide_model(head, binding, configuration)
    if route == "tunnel":
        return decide_tunnel(head, binding, configuration)
    return decide_egress(head, binding, configuration)


def route_of(head: RequestHead) -> Route:
    """Tell which way out a request takes, by where it came and the form of its target."""
    if head.intercepted is not None:
        return "intercepted"
    if head.method == "CONNECT":
        return "tunnel"
    return "model" if head.target.startswith("/") else "egress"


def _decide_model(head: RequestHead, binding: Binding, configuration: Configuration) -> Forward:
    if head.values("upgrade"):
        raise RefusedError(403, "websocket-not-allowed", "the model path takes no upgrade")
    call = parse_model_call(head.method, head.target)
    route = binding.policy.model
    if route is None:
        raise RefusedError(403, "no-model-route", "the policy has no way to a model")
    if route.provider != call.provider:
        reason = f"the policy's model is reached through {route.provider}"
        raise RefusedError(403, "path-not-allowed", reason)
    if head.values("content-encoding"):
        raise RefusedError(415, "content-encoding", "send the body uncompressed")
    if (head.content_length_bytes or 0) > HELD_BODY_LIMIT_BYTES:
        raise RefusedError(413, "body-too-large", f"the limit is {HELD_BODY_LIMIT_BYTES} bytes")
    match route.provider, configuration.credentials.get(route.credential):
        case "bedrock", AwsCredential() as credential:
            return _bedrock(head, call, route, credential)
        case "anthropic", HeaderCredential() as credential:
            return _anthropic(head, call, route, credential)
    reason = f"the proxy has no credential {route.credential!r} for {route.provider}"
    raise RefusedError(403, "credential-unknown", reason)


def _bedrock(
    head: RequestHead, call: ModelCall, route: ModelRoute, credential: AwsCredential
) -> Forward:
    region = route.region or credential.regions[0]
    if region not in credential.regions or (route.region is None and len(credential.regions) > 1):
        raise RefusedError(403, "region-not-allowed", "the credential is not for this region")
    for allowed in (route.models, credential.models):
        if allowed and call.model not in allowed:
            raise RefusedError(403, "model-not-allowed", f"{call.model!r} is not allowed")
    return Forward(
        route="model",
        method=head.method,
        upstream=_model_upstream(endpoint_of(credential, region=region), call),
        headers=model_request_headers(head.headers, provider="bedrock"),
        rule=f"model:{route.credential}",
        injection=Injection(route.credential, SigningScope(region, "bedrock")),
        body_limit_bytes=HELD_BODY_LIMIT_BYTES,
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
        body_limit_bytes=HELD_BODY_LIMIT_BYTES,
    )


def _model_upstream(endpoint: Endpoint, call: ModelCall) -> Upstream:
    authority = Authority(endpoint.host, endpoint.port)
    return Upstream(endpoint.scheme, authority, call.path, call.query)
