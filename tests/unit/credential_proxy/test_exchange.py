from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.binding import Binding
from hakoiri.credential_proxy.configuration import parse_configuration
from hakoiri.credential_proxy.decision import Decision, Forward, Refuse
from hakoiri.credential_proxy.exchange import decide
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.wire.policy import Policy
from hakoiri.wire.proxy import Bind

FILE = """
[credentials.bedrock]
kind = "aws"
services = ["bedrock"]
regions = ["us-east-1"]
models = ["a", "b"]
[credentials.anthropic]
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["api.anthropic.com"]
"""
CONFIGURATION = parse_configuration(FILE)
RULES = [{"host": "*.allowed.test"}, {"host": "api.anthropic.com"}]
BEDROCK = {"provider": "bedrock", "credential": "bedrock"}
ANTHROPIC = {"provider": "anthropic", "credential": "anthropic"}


def head(method: str, target: str, *headers: tuple[str, str]) -> RequestHead:
    return RequestHead(method=method, target=target, version=(1, 1), headers=headers)


def ask(request: RequestHead, *, file: str = FILE, **policy: Any) -> Decision:
    parsed = Policy.model_validate({"rules": RULES, **policy})
    bind = Bind(workspace="w", tenant="t", generation=1, policy=parsed)
    return decide(request, binding=Binding.of(bind), configuration=parse_configuration(file))


def refusal(request: RequestHead, **more: Any) -> tuple[int, str]:
    decision = ask(request, **more)
    assert isinstance(decision, Refuse)
    return decision.status, decision.code


@pytest.mark.parametrize(
    "request_head",
    [
        head("POST", "/v1/messages"),
        head("CONNECT", "a.allowed.test:443"),
        head("GET", "http://a.allowed.test:443/"),
        head("GET", "nonsense"),
    ],
)
def test_an_unbound_socket_refuses_everything(request_head: RequestHead) -> None:
    decision = decide(request_head, binding=None, configuration=CONFIGURATION)
    assert isinstance(decision, Refuse)
    assert (decision.status, decision.code) == (403, "unbound")


def test_a_bedrock_call_is_signed_for_its_region_and_sent_canonically() -> None:
    request = head("POST", "/model/%61/invoke", ("x-api-key", "theirs"), ("accept", "*/*"))
    decision = ask(request, model=BEDROCK)
    assert isinstance(decision, Forward)
    assert decision.upstream.authority.host == "bedrock-runtime.us-east-1.amazonaws.com"
    assert (decision.upstream.scheme, decision.upstream.path) == ("https", "/model/a/invoke")
    assert decision.injection is not None
    assert decision.injection.scope is not None
    assert (decision.injection.scope.region, decision.injection.scope.service) == (
        "us-east-1",
        "bedrock",
    )
    assert decision.headers == (("accept", "*/*"),)
    assert decision.upstream.host_header == decision.upstream.authority.host


def test_models_are_narrowed_by_the_policy_and_by_the_file() -> None:
    narrowed = {**BEDROCK, "models": ["a", "c"]}
    assert isinstance(ask(head("POST", "/model/a/invoke"), model=narrowed), Forward)
    for model in ("b", "c", "A", "a:"):
        request = head("POST", f"/model/{model}/invoke")
        assert refusal(request, model=narrowed) == (400, "model-not-allowed")


def test_an_anthropic_call_gets_its_key_and_the_models_its_body_may_name() -> None:
    decision = ask(head("POST", "/v1/messages?beta=true"), model={**ANTHROPIC, "models": ["m"]})
    assert isinstance(decision, Forward)
    assert (decision.upstream.path, decision.upstream.query) == ("/v1/messages", "beta=true")
    assert decision.models == {"m"}
    assert decision.injection is not None
    assert decision.injection.scope is None


@pytest.mark.parametrize(
    ("request_head", "model", "expected"),
    [
        (head("POST", "/model/a/invoke"), None, (400, "no-model-route")),
        (head("POST", "/v1/messages"), BEDROCK, (400, "path-not-allowed")),
        (head("POST", "/model/a/invoke"), ANTHROPIC, (400, "path-not-allowed")),
        (head("POST", "/model/a/other"), BEDROCK, (403, "path-not-allowed")),
        (head("POST", "/model/../invoke"), BEDROCK, (400, "bad-model-id")),
        (
            head("POST", "/model/a/invoke", ("content-length", "33554433")),
            BEDROCK,
            (413, "body-too-large"),
        ),
        (
            head("POST", "/model/a/invoke", ("content-encoding", "gzip")),
            BEDROCK,
            (415, "content-encoding"),
        ),
        (
            head("GET", "/v1/models", ("upgrade", "WebSocket")),
            ANTHROPIC,
            (403, "websocket-not-allowed"),
        ),
        (
            head("POST", "/model/a/invoke"),
            {**BEDROCK, "region": "eu-west-1"},
            (403, "region-not-allowed"),
        ),
        (
            head("POST", "/v1/messages"),
            {**ANTHROPIC, "credential": "bedrock"},
            (403, "credential-unknown"),
        ),
    ],
)
def test_the_model_path_refuses(
    request_head: RequestHead, model: dict[str, Any] | None, expected: tuple[int, str]
) -> None:
    assert refusal(request_head, model=model) == expected


def test_a_body_at_the_limit_passes() -> None:
    request = head("POST", "/model/a/invoke", ("content-length", "33554432"))
    assert isinstance(ask(request, model=BEDROCK), Forward)


def test_a_model_request_goes_to_the_models_host_whatever_else_the_key_is_for() -> None:
    file = FILE.replace('["api.anthropic.com"]', '["other.test", "api.anthropic.com"]')
    decision = ask(head("POST", "/v1/messages"), model=ANTHROPIC, file=file)
    assert isinstance(decision, Forward)
    assert decision.upstream.authority == Authority("api.anthropic.com", 443)


def test_a_key_that_is_no_longer_for_the_model_is_not_sent() -> None:
    elsewhere = FILE.replace("api.anthropic.com", "other.test").replace('"bedrock"]', '"sqs"]')
    unknown = (403, "credential-unknown")
    assert refusal(head("POST", "/v1/messages"), model=ANTHROPIC, file=elsewhere) == unknown
    assert refusal(head("POST", "/model/a/invoke"), model=BEDROCK, file=elsewhere) == unknown


def test_a_credential_that_left_the_file_is_refused_though_the_policy_names_it() -> None:
    request = head("POST", "/v1/messages")
    assert refusal(request, model=ANTHROPIC, file="") == (403, "credential-unknown")


@pytest.mark.parametrize(("tenant", "status"), [("t", 200), ("other", 403)])
def test_a_models_credential_that_is_another_tenants_is_not_put_in(
    tenant: str, status: int
) -> None:
    file = FILE.replace(
        "[credentials.anthropic]", f'[credentials.anthropic]\ntenants = ["{tenant}"]'
    )
    decision = ask(
        head("POST", "/v1/messages"),
        file=file,
        model={"provider": "anthropic", "credential": "anthropic"},
    )
    assert (decision.status if isinstance(decision, Refuse) else 200) == status


def test_a_tunnel_and_an_absolute_request_go_where_a_rule_lets_them() -> None:
    tunnel = ask(head("CONNECT", "A.allowed.test.:443", ("host", "a.allowed.test:443")))
    assert isinstance(tunnel, Forward)
    assert tunnel.upstream.authority == Authority("a.allowed.test", 443)
    assert (tunnel.rule, tunnel.injection, tunnel.headers) == ("*.allowed.test", None, ())
    egress = ask(
        head("GET", "http://a.allowed.test:443/x?y", ("host", "A.allowed.test:443")),
    )
    assert isinstance(egress, Forward)
    assert (egress.upstream.path, egress.upstream.query) == ("/x", "y")
    assert egress.upstream.host_header == "a.allowed.test:443"


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        (head("CONNECT", "denied.test:443"), (403, "host-not-allowed")),
        (head("CONNECT", "denied.test.:443"), (403, "host-not-allowed")),
        (head("CONNECT", "a.allowed.test:22"), (403, "port-not-allowed")),
        (head("CONNECT", "a.allowed.test"), (400, "bad-authority")),
        (head("CONNECT", "127.1:443"), (403, "ip-literal")),
        (head("CONNECT", "127.0.0.1:443"), (403, "host-not-allowed")),
        (head("CONNECT", "api.anthropic.com:443"), (403, "intercept-required")),
        (head("GET", "http://api.anthropic.com:443/"), (403, "intercept-required")),
        (head("GET", "https://a.allowed.test/"), (400, "bad-scheme")),
        (head("OPTIONS", "*"), (400, "bad-target")),
        (
            head("CONNECT", "a.allowed.test:443", ("host", "b.allowed.test:443")),
            (400, "host-mismatch"),
        ),
        (
            head("GET", "http://a.allowed.test:443/", ("host", "a.allowed.test")),
            (400, "host-mismatch"),
        ),
    ],
)
def test_the_way_out_refuses(request_head: RequestHead, expected: tuple[int, str]) -> None:
    assert refusal(request_head) == expected


@given(
    st.sampled_from(["GET", "POST", "CONNECT"]),
    st.one_of(
        st.text(max_size=30),
        st.from_regex(r"(http://)?[a-z.@%:\[\]0-9]{1,30}(/[a-z%.]*)?", fullmatch=True),
        st.from_regex(r"/(model|v1)/[a-z%./:]{0,20}", fullmatch=True),
    ),
)
def test_whatever_is_asked_only_what_is_named_is_forwarded(method: str, target: str) -> None:
    decision = ask(head(method, target), model=BEDROCK)
    if isinstance(decision, Refuse):
        return
    if decision.injection is not None:
        assert decision.upstream.authority.host == "bedrock-runtime.us-east-1.amazonaws.com"
    else:
        assert decision.upstream.authority.host.endswith(".allowed.test")
