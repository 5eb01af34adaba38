from dataclasses import replace
from typing import Any

import pytest

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.binding import Binding
from hakoiri.credential_proxy.configuration import Configuration, parse_configuration
from hakoiri.credential_proxy.decision import Decision, Forward, Refuse
from hakoiri.credential_proxy.exchange import decide
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.wire.policy import Policy
from hakoiri.wire.proxy import Bind

CONFIGURATION = parse_configuration("""
[credentials.github]
kind = "header"
header = "authorization"
value_env = "KEY"
hosts = ["api.github.test"]
[credentials.gateway]
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["gateway.test"]
endpoint = "https://inside.test:8443"
[credentials.token]
kind = "secret"
value_env = "KEY"
hosts = ["vault.test"]
[credentials.aws]
kind = "aws"
services = ["bedrock"]
regions = ["us-east-1"]
[credentials.store]
kind = "aws"
services = ["s3"]
regions = ["us-east-1"]
buckets = ["team", "read"]
""")
BEDROCK_HOST = "bedrock-runtime.us-east-1.amazonaws.com"
GITHUB = {"host": "api.github.test", "credential": "github"}


def head(method: str, target: str, *headers: tuple[str, str]) -> RequestHead:
    return RequestHead(method=method, target=target, version=(1, 1), headers=headers)


def ask(
    request: RequestHead,
    *rules: dict[str, Any],
    inside: str | None = None,
    configuration: Configuration = CONFIGURATION,
) -> Decision:
    policy = Policy.model_validate({"rules": rules})
    bind = Bind(workspace="w", tenant="t", generation=1, policy=policy)
    if inside is not None:
        request = replace(request, intercepted=Authority(inside, 443))
    return decide(request, binding=Binding.of(bind), configuration=configuration)


def forward(request: RequestHead, *rules: dict[str, Any], inside: str | None = None) -> Forward:
    decision = ask(request, *rules, inside=inside)
    assert isinstance(decision, Forward), decision
    return decision


def code(request: RequestHead, *rules: dict[str, Any], inside: str | None = None) -> str:
    decision = ask(request, *rules, inside=inside)
    assert isinstance(decision, Refuse), decision
    return decision.code


CONNECT = head("CONNECT", "a.test:443")


@pytest.mark.parametrize(
    ("rule", "route"),
    [
        ({}, "tunnel"),
        ({"methods": ["GET"]}, "intercept"),
        ({"paths": ["/a"]}, "intercept"),
        ({"body_limit_bytes": 1}, "intercept"),
        ({"websocket": True}, "intercept"),
        ({"intercept": True}, "intercept"),
    ],
)
def test_a_connect_is_raw_only_where_nothing_is_looked_at(rule: dict[str, Any], route: str) -> None:
    assert forward(CONNECT, {"host": "a.test", **rule}).route == route


def test_one_rule_that_looks_inside_has_all_of_its_host_intercepted() -> None:
    rules = ({"host": "a.test"}, {"host": "a.test", "methods": ["GET"]})
    assert forward(CONNECT, *rules).route == "intercept"


def test_the_most_specific_pattern_decides_alone() -> None:
    rules = ({"host": "*.test", "ports": [443]}, {"host": "b.a.test", "methods": ["GET"]})
    request = head("POST", "/", ("host", "b.a.test"))
    wide = {"host": "*.a.test"}
    assert code(request, wide, rules[1], inside="b.a.test") == "method-not-allowed"


def test_inside_the_first_rule_that_fits_decides_and_its_label_tells_it() -> None:
    rules = (
        {"host": "a.test", "methods": ["GET"], "paths": ["/public/**"]},
        {"host": "a.test", "methods": ["GET", "POST"], "paths": ["/api/*"], "body_limit_bytes": 9},
    )
    first = forward(head("GET", "/public/x/y?q"), *rules, inside="a.test")
    assert (first.route, first.rule, first.upstream.query) == ("intercepted", "a.test", "q")
    second = forward(head("POST", "/api/x"), *rules, inside="a.test")
    assert (second.rule, second.body_limit_bytes) == ("a.test#2", 9)
    assert code(head("DELETE", "/api/x"), *rules, inside="a.test") == "method-not-allowed"
    assert code(head("POST", "/public/x"), *rules, inside="a.test") == "path-not-allowed"
    assert code(head("GET", "/api/x/y"), *rules, inside="a.test") == "path-not-allowed"
    assert code(head("GET", "/public/%2e%2e/x"), *rules, inside="a.test") == "ambiguous-path"
    long = head("POST", "/api/x", ("content-length", "10"))
    assert code(long, *rules, inside="a.test") == "body-too-large"


def test_a_rule_binds_plain_http_too() -> None:
    rule = {"host": "a.test", "ports": [80], "methods": ["GET"], "paths": ["/a"]}
    assert forward(head("GET", "http://a.test/a"), rule).rule == "a.test"
    assert code(head("GET", "http://a.test/b"), rule) == "path-not-allowed"
    assert code(head("PUT", "http://a.test/a"), rule) == "method-not-allowed"


def test_inside_a_connect_host_and_target_must_be_its_own() -> None:
    rule = {"host": "*.b.test", "intercept": True}
    other = head("GET", "/", ("host", "other.b.test"))
    decision = ask(other, rule, inside="a.b.test")
    assert isinstance(decision, Refuse)
    assert (decision.status, decision.code) == (421, "misdirected-request")
    assert code(head("GET", "https://a.b.test/"), rule, inside="a.b.test") == "bad-target"
    for method, target in (("CONNECT", "a.b.test:443"), ("CONNECT", "/"), ("GET", "/a#b")):
        assert code(head(method, target), rule, inside="a.b.test") == "bad-target"
    for host in ("A.b.test.", "a.b.test:443"):
        decision = ask(head("GET", "/", ("host", host)), rule, inside="a.b.test")
        assert isinstance(decision, Forward)


def test_a_credential_replaces_what_the_container_would_log_in_with() -> None:
    request = head(
        "GET",
        "/user",
        ("host", "api.github.test"),
        ("authorization", "theirs"),
        ("cookie", "theirs"),
        ("x-api-key", "theirs"),
        ("connection", "authorization"),
        ("accept", "*/*"),
    )
    decision = forward(request, GITHUB, inside="api.github.test")
    assert decision.headers == (("accept", "*/*"),)
    assert decision.injection is not None
    assert (decision.injection.credential, decision.injection.scope) == ("github", None)
    assert decision.upstream.authority == Authority("api.github.test", 443)


def test_without_a_credential_the_container_logs_in_itself_but_not_where_we_would() -> None:
    request = head("GET", "/", ("authorization", "theirs"))
    rule = {"host": "a.test", "intercept": True}
    assert forward(request, rule, inside="a.test").headers == (("authorization", "theirs"),)
    ours = {"host": "api.github.test", "intercept": True}
    assert forward(request, ours, inside="api.github.test").headers == ()


def test_a_request_with_a_credential_goes_where_the_proxys_file_says() -> None:
    rule = {"host": "gateway.test", "credential": "gateway"}
    upstream = forward(head("GET", "/"), rule, inside="gateway.test").upstream
    assert (upstream.scheme, upstream.authority) == ("https", Authority("inside.test", 8443))


def test_a_credential_of_another_host_or_that_left_the_file_is_refused() -> None:
    rule = {"host": "a.test", "credential": "github"}
    assert code(head("GET", "/"), rule, inside="a.test") == "credential-unknown"
    placeholder = parse_configuration(
        '[credentials.github]\nkind = "secret"\nvalue_env = "KEY"\nhosts = ["api.github.test"]'
    )
    for now in (Configuration(), placeholder):
        gone = ask(head("GET", "/"), GITHUB, inside="api.github.test", configuration=now)
        assert isinstance(gone, Refuse)
        assert gone.code == "credential-unknown"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("github", GITHUB),
        ("token", {"host": "vault.test", "secrets": ["token"]}),
    ],
)
def test_a_credential_that_is_another_tenants_is_not_put_in(
    name: str, rule: dict[str, Any]
) -> None:
    def owned_by(tenant: str) -> Decision:
        credential = CONFIGURATION.credentials[name].model_copy(update={"tenants": [tenant]})
        configuration = Configuration(credentials={name: credential})
        host = rule["host"]
        return ask(head("GET", "/", ("host", host)), rule, inside=host, configuration=configuration)

    assert isinstance(owned_by("t"), Forward)
    refused = owned_by("other")
    assert isinstance(refused, Refuse)
    assert (refused.status, refused.code) == (403, "credential-unknown")


def test_a_credential_goes_to_the_ports_that_the_proxys_file_has_now() -> None:
    inside = replace(head("GET", "/"), intercepted=Authority("api.github.test", 8443))
    decision = ask(inside, {**GITHUB, "ports": [443, 8443]})
    assert isinstance(decision, Refuse)
    assert decision.code == "port-not-allowed"


def test_a_host_that_gets_a_credential_has_no_raw_way_even_under_a_wildcard() -> None:
    wide = {"host": "*.github.test", "ports": [80, 443]}
    assert code(head("CONNECT", "api.github.test:443"), wide) == "intercept-required"
    assert code(head("GET", "http://api.github.test/"), wide) == "intercept-required"
    assert forward(head("CONNECT", "www.github.test:443"), wide).route == "tunnel"


def test_a_request_that_we_sign_loses_the_containers_own_signature() -> None:
    rule = {"host": BEDROCK_HOST, "credential": "aws"}
    request = head(
        "GET",
        "/x?a=1&X-Amz-Signature=s&x-amz-%64ate=d&b=2",
        ("x-amz-date", "theirs"),
        ("x-amz-security-token", "theirs"),
        ("x-amz-target", "Service.Action"),
    )
    decision = forward(request, rule, inside=BEDROCK_HOST)
    assert decision.upstream.query == "a=1&b=2"
    assert decision.headers == (("x-amz-target", "Service.Action"),)
    assert decision.injection is not None
    assert decision.injection.scope is not None
    assert decision.injection.scope.region == "us-east-1"
    assert decision.body_limit_bytes == 32 * 1024 * 1024


@pytest.mark.parametrize(
    "header",
    [
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("content-encoding", "gzip, aws-chunked"),
    ],
)
def test_a_body_signed_in_chunks_is_refused(header: tuple[str, str]) -> None:
    rule = {"host": BEDROCK_HOST, "credential": "aws"}
    assert code(head("PUT", "/x", header), rule, inside=BEDROCK_HOST) == "streaming-signature"
    assert code(head("PUT", "/x//y"), rule, inside=BEDROCK_HOST) == "ambiguous-path"


WEBSOCKET = (
    ("upgrade", "websocket"),
    ("connection", "upgrade"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-version", "13"),
)


def test_a_websocket_passes_where_the_rule_says_so() -> None:
    allowed = {"host": "a.test", "websocket": True}
    assert forward(head("GET", "/", *WEBSOCKET), allowed, inside="a.test").is_websocket
    assert not forward(head("GET", "/"), allowed, inside="a.test").is_websocket
    other = {"host": "a.test", "intercept": True}
    assert code(head("GET", "/", *WEBSOCKET), other, inside="a.test") == "websocket-not-allowed"
    plain = head("GET", "http://a.test/", *WEBSOCKET)
    assert forward(plain, {**allowed, "ports": [80]}).is_websocket
    assert code(plain, {"host": "a.test", "ports": [80]}) == "websocket-not-allowed"


def test_a_payload_is_held_to_be_signed_unless_the_rule_says_otherwise() -> None:
    rule = {"host": BEDROCK_HOST, "credential": "aws", "unsigned_payload": True}
    decision = forward(head("PUT", "/x"), rule, inside=BEDROCK_HOST)
    assert decision.injection is not None
    assert decision.injection.unsigned_payload
    assert decision.body_limit_bytes is None


def test_a_policy_that_changed_to_raw_refuses_what_is_inside() -> None:
    assert code(head("GET", "/"), {"host": "a.test"}, inside="a.test") == "policy-changed"


VAULT = {"host": "vault.test", "secrets": ["token"]}


def test_a_placeholder_stays_where_the_containers_own_login_falls() -> None:
    request = head(
        "GET",
        "/",
        ("authorization", "Bearer hakoiri-secret-token"),
        ("x-api-key", "theirs"),
    )
    decision = forward(request, VAULT, inside="vault.test")
    assert decision.headers == (("authorization", "Bearer hakoiri-secret-token"),)
    assert decision.secrets == {"token"}
    assert decision.injection is None


def test_a_secret_that_left_the_file_or_the_host_is_not_put_in() -> None:
    moved = parse_configuration(
        '[credentials.token]\nkind = "secret"\nvalue_env = "KEY"\nhosts = ["moved.test"]'
    )
    ported = parse_configuration(
        '[credentials.token]\nkind = "secret"\nvalue_env = "KEY"\nhosts = ["vault.test"]\n'
        "ports = [8443]"
    )
    for configuration in (Configuration(), moved, ported):
        decision = ask(head("GET", "/"), VAULT, inside="vault.test", configuration=configuration)
        assert isinstance(decision, Refuse)
        assert decision.code == "credential-unknown"


@pytest.mark.parametrize("method", ["TRACE", "TRACK"])
def test_no_credential_goes_where_the_request_is_sent_back(method: str) -> None:
    assert code(head(method, "/"), GITHUB, inside="api.github.test") == "method-not-allowed"
    assert code(head(method, "/"), VAULT, inside="vault.test") == "method-not-allowed"
    plain = {"host": "a.test", "intercept": True}
    assert forward(head(method, "/"), plain, inside="a.test").injection is None


@pytest.mark.parametrize("name", ["x-http-method-override", "x-original-url", "x-rewrite-url"])
def test_no_header_puts_another_method_or_path_in_place(name: str) -> None:
    request = head("GET", "/a", (name, "theirs"), ("accept", "*/*"))
    for narrowed in ({"methods": ["GET"]}, {"paths": ["/a"]}):
        rule = {"host": "a.test", **narrowed}
        assert forward(request, rule, inside="a.test").headers == (("accept", "*/*"),)
        absolute = head("GET", "http://a.test/a", (name, "theirs"))
        assert forward(absolute, {**rule, "ports": [80]}).headers == ()
    wide = {"host": "a.test", "intercept": True}
    assert (name, "theirs") in forward(request, wide, inside="a.test").headers


def test_a_presigned_url_does_not_log_in_where_we_would() -> None:
    request = head("GET", "/x?X-Amz-Signature=s&AWSAccessKeyId=k&a=1")
    ours = {"host": BEDROCK_HOST, "intercept": True}
    assert forward(request, ours, inside=BEDROCK_HOST).upstream.query == "a=1"
    other = {"host": "a.test", "intercept": True}
    assert "X-Amz-Signature" in forward(request, other, inside="a.test").upstream.query


def test_keys_for_some_models_are_not_put_on_any_path() -> None:
    limited = parse_configuration(
        '[credentials.aws]\nkind = "aws"\nservices = ["bedrock"]\nregions = ["us-east-1"]\n'
        'models = ["a"]'
    )
    rule = {"host": BEDROCK_HOST, "credential": "aws"}
    request = head("POST", "/model/b/invoke")
    decision = ask(request, rule, inside=BEDROCK_HOST, configuration=limited)
    assert isinstance(decision, Refuse)
    assert decision.code == "model-not-allowed"
    assert forward(request, rule, inside=BEDROCK_HOST).injection is not None


BUCKET = "{}.s3.us-east-1.amazonaws.com"
STORE = [
    {"host": BUCKET.format("team"), "credential": "store", "methods": ["PUT"]},
    {
        "host": BUCKET.format("team"),
        "credential": "store",
        "methods": ["GET"],
        "paths": ["/public/**"],
    },
    {"host": BUCKET.format("read"), "credential": "store", "methods": ["GET"]},
]


@pytest.mark.parametrize(
    ("source", "is_let_by"),
    [
        ("read/anything", True),
        ("/team/public/a", True),
        ("team/private/a", False),
        ("team/public/../private/a", False),
        ("team/public/%2e%2e/private/a", False),
        ("secret/key", False),
        ("arn:aws:s3:us-east-1:123456789012:accesspoint/read/object/a", False),
    ],
)
def test_s3_copies_with_our_keys_what_could_be_asked_for_alone(
    source: str, *, is_let_by: bool
) -> None:
    request = head("PUT", "/public/mine", ("x-amz-copy-source", source))
    decision = ask(request, *STORE, inside=BUCKET.format("team"))
    assert isinstance(decision, Forward) is is_let_by
    assert is_let_by or (isinstance(decision, Refuse) and decision.code == "copy-not-allowed")
