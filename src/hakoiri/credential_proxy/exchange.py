"""The decision on one request: forward it, and how, or refuse it, and why. No I/O.

Three ways lead out. Origin-form is the model path: only the model's API, with the policy's
credential. Absolute-form and CONNECT are for the domain whitelist (see `egress`). Towards a host
that gets a credential there is no raw way, so that what is injected stays a subset of what is
enforced. What is not named here is refused.
"""

from hakoiri.credential_proxy.authority import AuthorityError
from hakoiri.credential_proxy.binding import Binding
from hakoiri.credential_proxy.configuration import Configuration
from hakoiri.credential_proxy.counted_way import check_is_counted
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
from hakoiri.credential_proxy.errors import NOT_ALLOWED_STATUS
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.credential_proxy.header_rules import model_request_headers
from hakoiri.credential_proxy.model_path import ModelPathError, parse_model_call
from hakoiri.credential_proxy.model_way import ModelWayError, find_model_way
from hakoiri.credential_proxy.placeholders import check_placeholders


def decide(head: RequestHead, *, binding: Binding | None, configuration: Configuration) -> Decision:
    """Decide on a request whose framing is sound (see `framing.find_fault`)."""
    route = route_of(head)
    if binding is None:
        return Refuse(403, "unbound", "this socket is not bound to a workspace", route)
    try:
        decision = _decide(head, route, binding, configuration)
        check_is_counted(decision, binding, configuration)
        check_placeholders(head, allowed=decision.secrets)
    except RefusedError as error:
        reason = str(error)
        return Refuse(error.status, error.code, reason, route, error.authority, error.rule)
    except ModelPathError as error:
        return Refuse(error.status, error.code, str(error), route)
    except ModelWayError as error:
        return Refuse(403, error.code, str(error), route)
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
        raise RefusedError(NOT_ALLOWED_STATUS, "no-model-route", "the policy has no way to a model")
    if route.provider != call.provider:
        reason = f"the policy's model is reached through {route.provider}"
        raise RefusedError(NOT_ALLOWED_STATUS, "path-not-allowed", reason)
    if head.values("content-encoding"):
        raise RefusedError(415, "content-encoding", "send the body uncompressed")
    if (head.content_length_bytes or 0) > HELD_BODY_LIMIT_BYTES:
        raise RefusedError(413, "body-too-large", f"the limit is {HELD_BODY_LIMIT_BYTES} bytes")
    way = find_model_way(route, configuration.credential_of(binding.tenant, route.credential))
    for allowed in (route.models, way.models):
        if call.model is not None and allowed and call.model not in allowed:
            reason = f"{call.model!r} is not allowed"
            raise RefusedError(NOT_ALLOWED_STATUS, "model-not-allowed", reason)
    is_named_by_body = call.model is None and head.method == "POST"
    return Forward(
        route="model",
        method=head.method,
        upstream=Upstream(way.scheme, way.authority, call.path, call.query),
        headers=model_request_headers(head.headers, provider=route.provider),
        rule=f"model:{route.credential}",
        injection=Injection(route.credential, way.scope),
        models=frozenset(route.models) if is_named_by_body else frozenset(),
        body_limit_bytes=HELD_BODY_LIMIT_BYTES,
        call=call,
        is_model_listed=bool(route.models or way.models),
        reach=frozenset(route.reach) if head.method == "POST" else None,
    )
