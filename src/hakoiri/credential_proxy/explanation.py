"""Why a policy lets one request pass or refuses it, step by step, for people. No I/O.

The request is built as a client would send it and given to `exchange.decide`: there is no second
reading of the policy. The steps only tell what that decision went by.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, get_args

from hakoiri.credential_proxy.authority import (
    HTTP_PORT,
    Authority,
    AuthorityError,
    parse_authority,
)
from hakoiri.credential_proxy.binding import Binding, PolicyTooWideError, check_policy
from hakoiri.credential_proxy.configuration import Configuration
from hakoiri.credential_proxy.decision import Decision, Forward, Refuse
from hakoiri.credential_proxy.domain_whitelist import WhitelistDecision
from hakoiri.credential_proxy.exchange import decide
from hakoiri.credential_proxy.framing import Headers, RequestHead
from hakoiri.wire.policy import Policy, Rule
from hakoiri.wire.policy_test import Check, Explanation, Step
from hakoiri.wire.proxy import Bind

HTTPS_PORT: Final = 443
PATH_TOLD_CHARS: Final = 256

_URL: Final = re.compile(r"(https?|wss?)://([^/?#]*)([^#]*)", re.IGNORECASE)
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_PROBE: Final = ("authorization", "Bearer explanation")
"""Shows whether the container's own login passes."""

_WEBSOCKET: Final[Headers] = (
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ("sec-websocket-version", "13"),
)
_ORDER: Final[tuple[Check, ...]] = get_args(Check)
_CHECK_OF_CODE: Final[dict[str, Check]] = {
    "ambiguous-path": "plain-path",
    "bad-authority": "url",
    "bad-model-id": "model",
    "bad-target": "url",
    "credential-unknown": "credential",
    "host-not-allowed": "host",
    "intercept-required": "interception",
    "ip-literal": "url",
    "method-not-allowed": "method",
    "model-not-allowed": "model",
    "no-model-route": "model",
    "path-not-allowed": "path",
    "placeholder-not-allowed": "secrets",
    "port-not-allowed": "port",
    "query-not-allowed": "path",
    "region-not-allowed": "model",
    "websocket-not-allowed": "websocket",
}
"""Where in the steps a refusal belongs; any other code belongs to the request as a whole."""

_MENDS: Final = {
    "ambiguous-path": "ask for the path in its plain form",
    "credential-unknown": "define it for this host in the proxy's own file",
    "host-not-allowed": 'add a rule with host = "{host}" and ports = [{port}]',
    "intercept-required": 'use https, and name the credential in a rule with host = "{host}"',
    "ip-literal": "use a host name",
    "method-not-allowed": 'add "{method}" to the methods of a rule for {host}',
    "model-not-allowed": "add the model to model.models, if the credential is for it",
    "no-model-route": "add [model] with a provider and a credential",
    "path-not-allowed": 'add "{path}", or a pattern for it, to the paths of a rule for {host}',
    "placeholder-not-allowed": "name the secret in the rule's secrets",
    "port-not-allowed": "add {port} to the ports of a rule for {host}",
    "websocket-not-allowed": "set websocket = true in the rule for {host}",
}
_MENDS_OF_MODEL: Final = {
    code: mend for code, mend in _MENDS.items() if "{host}" not in mend
}  # a path of the model's API has no host


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as a client sends it: `connect` first where it needs a tunnel."""

    request: RequestHead
    authority: Authority | None
    path: str
    connect: RequestHead | None = None


def explain(
    method: str, url: str, *, policy: Policy, configuration: Configuration, tenant: str
) -> Explanation:
    """Tell what would become of `method` to `url`: an http, https, ws or wss URL, or a model path.

    `method` is in upper case, `policy` one of `tenant`. A policy that the proxy's file does not
    allow, and a URL that cannot be sent, are told as refusals; nothing is raised for them.
    """
    try:
        check_policy(policy, configuration, tenant=tenant)
        asked = _ask(method, url)
    except PolicyTooWideError as error:
        return _refused_early("policy", "policy-too-wide", str(error))
    except AuthorityError as error:
        return _refused_early("url", error.code, str(error))
    bind = Bind(workspace="policy-test", tenant=tenant, generation=1, policy=policy)
    binding = Binding.of(bind)
    decision = _decide(asked, binding, configuration)
    steps = list(_steps(asked, decision, binding))
    if isinstance(decision, Refuse):
        return _refused(asked, decision, steps)
    injection = decision.injection
    return Explanation(
        verdict="allowed",
        code="allowed",
        reason="the request may pass, if its address may be dialled",
        route=decision.route,
        rule=decision.rule,
        credential=injection.credential if injection is not None else None,
        secrets=sorted(decision.secrets),
        steps=steps,
    )


def _ask(method: str, url: str) -> _Asked:
    if _VISIBLE.fullmatch(url) is None:
        raise AuthorityError("bad-target", "the URL holds a character outside visible ASCII")
    if url.startswith("/"):
        host: Headers = (("host", "localhost"),)
        path = url.partition("?")[0]
        return _Asked(RequestHead(method, url, (1, 1), host), None, path)
    match = _URL.fullmatch(url.partition("#")[0])
    if match is None:
        raise AuthorityError("bad-target", "write an http, https, ws or wss URL, or a model path")
    scheme, rest = match[1].lower(), match[3]
    is_tls = scheme in ("https", "wss")
    authority = parse_authority(match[2], default_port=HTTPS_PORT if is_tls else HTTP_PORT)
    origin_form = rest if rest.startswith("/") else f"/{rest}"
    named = f"{authority.host}:{authority.port}"
    headers = (("host", named), _PROBE, *(_WEBSOCKET if scheme.startswith("ws") else ()))
    path = origin_form.partition("?")[0]
    if not is_tls:
        target = f"http://{named}{origin_form}"
        return _Asked(RequestHead(method, target, (1, 1), headers), authority, path)
    connect = RequestHead("CONNECT", named, (1, 1), headers[:1])
    return _Asked(RequestHead(method, origin_form, (1, 1), headers), authority, path, connect)


def _decide(asked: _Asked, binding: Binding, configuration: Configuration) -> Decision:
    request = asked.request
    if asked.connect is not None:
        opened = decide(asked.connect, binding=binding, configuration=configuration)
        if opened.route != "intercept" or isinstance(opened, Refuse):
            return opened
        request = replace(request, intercepted=asked.authority)
    return decide(request, binding=binding, configuration=configuration)


def _refused_early(check: Check, code: str, reason: str) -> Explanation:
    step = Step(check=check, result="failed", text=reason[:4096])
    return Explanation(
        verdict="refused",
        code=code,
        reason=step.text,
        mend=_MENDS.get(code, ""),
        steps=[step],
    )


def _refused(asked: _Asked, decision: Refuse, steps: list[Step]) -> Explanation:
    authority = asked.authority
    if authority is None:
        mend = _MENDS_OF_MODEL.get(decision.code, "")
    else:
        mend = _MENDS.get(decision.code, "").format(
            host=authority.host,
            port=authority.port,
            method=asked.request.method,
            path=asked.path[:PATH_TOLD_CHARS],
        )
    return Explanation(
        verdict="refused",
        code=decision.code,
        reason=decision.reason[:4096],
        mend=mend,
        route=decision.route,
        rule=decision.rule,
        steps=steps,
    )


def _steps(asked: _Asked, decision: Decision, binding: Binding) -> Iterator[Step]:
    """Tell the checks that passed, then the one that failed or what is still to come."""
    passed: dict[Check, str] = {"policy": "it only names and narrows what the proxy's file allows"}
    passed.update(_of_whitelist(asked, decision, binding))
    if isinstance(decision, Refuse):
        failed = _CHECK_OF_CODE.get(decision.code, "request")
        for check in _ORDER[: _ORDER.index(failed)]:
            if check in passed:
                yield Step(check=check, result="passed", text=passed[check])
        yield Step(check=failed, result="failed", text=decision.reason[:4096])
        return
    passed.update(_of_forward(decision))
    for check in _ORDER:
        if check in passed:
            yield Step(check=check, result="passed", text=passed[check])
    yield Step(
        check="address",
        result="later",
        text="looked up when it is dialled: each address of the host must be public, or excepted"
        " in the proxy's own file",
    )


def _of_whitelist(
    asked: _Asked, decision: Decision, binding: Binding
) -> Iterator[tuple[Check, str]]:
    """What is known of host and port; of the rest only where it was looked at."""
    if asked.authority is None:
        return
    host, port = asked.authority.host, asked.authority.port
    allowed = binding.whitelist.decide(asked.authority)
    yield "host", f"{host} fits {allowed.rule}"
    yield "port", f"port {port} is one of its ports"
    yield "interception", _why_seen(asked, allowed)
    if decision.route in ("egress", "intercepted"):
        if any(labelled.rule.paths for labelled in allowed.rules):
            yield "plain-path", "the path can be read in one way only"
        yield "method", f"a rule takes {asked.request.method}"
        yield "path", f"the first rule that fits method and path is {decision.rule}"


def _why_seen(asked: _Asked, allowed: WhitelistDecision) -> str:
    if asked.connect is None:
        return "plain HTTP: each request is decided on"
    if not allowed.is_intercepted:
        return "a raw tunnel: no rule looks at methods, paths or headers"
    reasons = {reason for labelled in allowed.rules for reason in _looks_at(labelled.rule)}
    return f"TLS ends at the proxy: {allowed.rule} has {', '.join(sorted(reasons))}"


def _looks_at(rule: Rule) -> Iterable[str]:
    """Name the fields for which a rule needs interception (see `Rule.needs_interception`)."""
    fields = ("methods", "paths", "body_limit_bytes", "credential", "secrets", "websocket")
    for field in (*fields, "intercept"):
        if getattr(rule, field) not in (None, [], False):
            yield field


def _of_forward(forward: Forward) -> Iterator[tuple[Check, str]]:
    if forward.route == "tunnel":
        yield "body", "not looked at"
        return
    if forward.route == "model":
        yield "model", _which_model(forward)
    yield "credential", _which_credential(forward)
    if forward.secrets:
        yield "secrets", f"placeholders of {', '.join(sorted(forward.secrets))} are replaced"
    limit_bytes = forward.body_limit_bytes
    yield "body", "no limit" if limit_bytes is None else f"at most {limit_bytes} bytes"
    if forward.is_websocket:
        yield "websocket", f"rule {forward.rule} has websocket = true"


def _which_model(forward: Forward) -> str:
    if not forward.models:
        return f"a call of the model's API, by {forward.rule}"
    return f"the body must name one of {', '.join(sorted(forward.models))}"[:4096]


def _which_credential(forward: Forward) -> str:
    injection = forward.injection
    if injection is None:
        own = "passes" if _PROBE in forward.headers else "falls"
        return f"none is put in; the container's own login {own}"
    authority = forward.upstream.authority
    told = (
        f"{injection.credential} is put in; the request goes to {authority.host}:{authority.port}"
    )
    if injection.scope is not None:
        told += f", signed for {injection.scope.service} in {injection.scope.region}"
    return told
