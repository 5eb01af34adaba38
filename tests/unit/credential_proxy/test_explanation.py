from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.binding import Binding, PolicyTooWideError, check_policy
from hakoiri.credential_proxy.configuration import parse_configuration
from hakoiri.credential_proxy.decision import Forward, Refuse
from hakoiri.credential_proxy.exchange import decide
from hakoiri.credential_proxy.explanation import explain
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.wire.policy import Policy
from hakoiri.wire.policy_test import Explanation
from hakoiri.wire.proxy import Bind

CONFIGURATION = parse_configuration("""
[credentials.github]
kind = "header"
header = "authorization"
value_env = "KEY"
hosts = ["api.github.test"]
[credentials.token]
kind = "secret"
value_env = "KEY"
hosts = ["vault.test"]
[credentials.anthropic]
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["api.anthropic.com"]
""")
POLICY = {
    "rules": [
        {"host": "*.plain.test", "ports": [80, 443]},
        {
            "host": "api.github.test",
            "credential": "github",
            "methods": ["GET"],
            "paths": ["/repos/**"],
            "body_limit_bytes": 9,
        },
        {"host": "api.github.test", "methods": ["POST"], "paths": ["/gists"]},
        {"host": "vault.test", "secrets": ["token"]},
        {"host": "ws.test", "websocket": True},
        {"host": "*.github.test"},
    ],
    "model": {"provider": "anthropic", "credential": "anthropic", "models": ["m"]},
}


def ask(url: str, method: str = "GET", policy: dict[str, Any] = POLICY) -> Explanation:
    parsed = Policy.model_validate(policy)
    return explain(method, url, policy=parsed, configuration=CONFIGURATION, tenant="t")


def steps(explanation: Explanation) -> list[tuple[str, str]]:
    return [(step.check, step.result) for step in explanation.steps]


def text(explanation: Explanation, check: str) -> str:
    return next(step.text for step in explanation.steps if step.check == check)


def test_an_injected_request_is_told_step_by_step() -> None:
    told = ask("https://API.github.test/repos/x?q#f")
    assert (told.verdict, told.code, told.route) == ("allowed", "allowed", "intercepted")
    assert (told.rule, told.credential) == ("api.github.test", "github")
    assert steps(told) == [
        ("policy", "passed"),
        ("host", "passed"),
        ("port", "passed"),
        ("interception", "passed"),
        ("plain-path", "passed"),
        ("method", "passed"),
        ("path", "passed"),
        ("credential", "passed"),
        ("body", "passed"),
        ("address", "later"),
    ]
    assert "body_limit_bytes, credential, methods, paths" in text(told, "interception")
    assert "github is put in" in text(told, "credential")
    assert "9 bytes" in text(told, "body")


def test_a_raw_tunnel_says_that_nothing_more_is_looked_at() -> None:
    told = ask("https://a.plain.test/x", "DELETE")
    assert (told.verdict, told.route, told.rule) == ("allowed", "tunnel", "*.plain.test")
    assert "raw tunnel" in text(told, "interception")
    assert "method" not in dict(steps(told))


def test_whose_login_passes_is_told() -> None:
    assert "own login passes" in text(ask("http://a.plain.test/"), "credential")
    second = ask("https://api.github.test/gists", "POST")
    assert second.rule == "api.github.test#2"
    assert "own login falls" in text(second, "credential")
    assert ask("https://vault.test/").secrets == ["token"]


@pytest.mark.parametrize(
    ("url", "method", "code", "check", "mend"),
    [
        ("https://other.test:8443/", "GET", "host-not-allowed", "host", "ports = [8443]"),
        ("https://a.plain.test:8443/", "GET", "port-not-allowed", "port", "add 8443"),
        ("http://api.github.test:443/repos/x", "GET", "intercept-required", "interception", "use"),
        ("https://x.github.test:443/", "GET", "allowed", "address", ""),
        ("https://api.github.test/repos//x", "GET", "ambiguous-path", "plain-path", "plain form"),
        ("https://api.github.test/repos/x", "PUT", "method-not-allowed", "method", 'add "PUT"'),
        ("https://api.github.test/user", "GET", "path-not-allowed", "path", 'add "/user"'),
        ("wss://api.github.test/repos/x", "GET", "websocket-not-allowed", "websocket", "= true"),
        ("wss://ws.test/chat", "GET", "allowed", "address", ""),
        ("ws://a.plain.test/chat", "GET", "websocket-not-allowed", "websocket", "= true"),
        ("https://a.plain.test/?k=hakoiri-secret-token", "GET", "allowed", "address", ""),
        (
            "http://a.plain.test/?k=hakoiri-secret-token",
            "GET",
            "placeholder-not-allowed",
            "secrets",
            "secrets",
        ),
        ("https://127.1/", "GET", "ip-literal", "url", "host name"),
        ("https://u@a.plain.test/", "GET", "bad-authority", "url", ""),
        ("ftp://a.plain.test/", "GET", "bad-target", "url", ""),
        ("https://a.plain.test/ x", "GET", "bad-target", "url", ""),
        ("/v1/messages", "POST", "allowed", "address", ""),
        ("/v1/other", "POST", "path-not-allowed", "path", ""),
    ],
)
def test_the_last_step_is_the_one_that_decided(
    url: str, method: str, code: str, check: str, mend: str
) -> None:
    told = ask(url, method)
    assert told.code == code
    assert told.steps[-1].check == check
    assert mend in told.mend
    assert (told.verdict == "refused") == (told.steps[-1].result == "failed")
    assert all(step.result == "passed" for step in told.steps[:-1])


def test_a_model_path_tells_its_models_and_its_credential() -> None:
    told = ask("/v1/messages", "POST")
    assert (told.route, told.credential) == ("model", "anthropic")
    assert "m" in text(told, "model")
    none = ask("/v1/messages", "POST", {})
    assert (none.code, none.steps[-1].check) == ("no-model-route", "model")
    assert "[model]" in none.mend


def test_a_policy_that_the_file_does_not_allow_is_refused_before_all() -> None:
    told = ask("https://api.github.test/", policy={"rules": [{"host": "api.github.test"}]})
    assert (told.code, steps(told)) == ("policy-too-wide", [("policy", "failed")])
    assert "intercept = true" in told.reason


RULES = st.fixed_dictionaries(
    {"host": st.sampled_from(["api.github.test", "*.github.test", "vault.test", "a.test"])},
    optional={
        "ports": st.lists(st.sampled_from([80, 443]), min_size=1, max_size=2),
        "methods": st.lists(st.sampled_from(["GET", "POST"]), max_size=1),
        "paths": st.lists(st.sampled_from(["/", "/a/**"]), max_size=1),
        "credential": st.just("github"),
        "secrets": st.just(["token"]),
        "websocket": st.booleans(),
    },
)


@given(
    rules=st.lists(RULES, max_size=4),
    host=st.sampled_from(["api.github.test", "x.github.test", "vault.test", "a.test"]),
    port=st.sampled_from([80, 443]),
    path=st.sampled_from(["/", "/a/b", "/a//b", "/%2e"]),
    method=st.sampled_from(["GET", "POST", "TRACE"]),
)
def test_it_tells_what_a_container_would_get(
    rules: list[dict[str, Any]], host: str, port: int, path: str, method: str
) -> None:
    policy = Policy.model_validate({"rules": rules})
    told = explain(
        method,
        f"https://{host}:{port}{path}",
        policy=policy,
        configuration=CONFIGURATION,
        tenant="t",
    )
    try:
        check_policy(policy, CONFIGURATION, tenant="t")
    except PolicyTooWideError:
        assert told.code == "policy-too-wide"
        return
    binding = Binding.of(Bind(workspace="w", tenant="t", generation=1, policy=policy))
    connect = RequestHead("CONNECT", f"{host}:{port}", (1, 1), ())
    decision = decide(connect, binding=binding, configuration=CONFIGURATION)
    if isinstance(decision, Forward) and decision.route == "intercept":
        inner = replace(connect, method=method, target=path, intercepted=Authority(host, port))
        decision = decide(inner, binding=binding, configuration=CONFIGURATION)
    assert (told.verdict == "refused") == isinstance(decision, Refuse)
    assert (told.route, told.rule) == (decision.route, decision.rule)
    assert told.code == (decision.code if isinstance(decision, Refuse) else "allowed")


@given(url=st.text(max_size=60), method=st.sampled_from(["GET", "CONNECT"]))
def test_no_url_makes_it_fail(url: str, method: str) -> None:
    assert ask(url, method).steps


@given(st.from_regex(r"(https?|wss?)://[a-z.:@\[\]%0-9]{1,20}[/?a-z%{}]{0,20}", fullmatch=True))
def test_nothing_is_allowed_that_no_rule_names(url: str) -> None:
    assert ask(url, policy={}).verdict == "refused"
