import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.header_rules import (
    answer_headers,
    egress_request_headers,
    model_request_headers,
    query_without_logins,
    without_credentials,
    without_overrides,
)

THEIRS = ["authorization", "x-api-key", "x-amz-date", "x-amz-security-token", "cookie"]
THEIRS += ["proxy-authorization", "host", "connection", "x-forwarded-for", "content-length"]


@pytest.mark.parametrize("provider", ["bedrock", "anthropic"])
@pytest.mark.parametrize("name", THEIRS)
def test_the_model_path_takes_no_credential_of_the_containers(provider: str, name: str) -> None:
    assert model_request_headers(((name, "theirs"), (name, "again")), provider=provider) == ()


def test_the_model_path_keeps_what_the_api_needs_once() -> None:
    headers = (("accept", "a"), ("accept", "b"), ("x-stainless-os", "c"), ("anthropic-beta", "d"))
    kept = model_request_headers(headers, provider="anthropic")
    assert kept == (("accept", "a"), ("x-stainless-os", "c"), ("anthropic-beta", "d"))


def test_hop_by_hop_headers_and_those_connection_names_do_not_travel_on() -> None:
    headers = (
        ("connection", "close, X-Mine"),
        ("x-mine", "1"),
        ("te", "trailers"),
        ("proxy-authorization", "x"),
        ("upgrade", "h2c"),
        ("expect", "100-continue"),
        ("authorization", "their own"),
    )
    assert egress_request_headers(headers) == (("authorization", "their own"),)


def test_a_container_has_no_say_in_traces() -> None:
    sent = (("traceparent", "theirs"), ("tracestate", "theirs"), ("baggage", "theirs"))
    assert egress_request_headers((*sent, ("accept", "a"))) == (("accept", "a"),)
    for provider in ("bedrock", "anthropic"):
        assert model_request_headers(sent, provider=provider) == ()


def test_what_the_container_would_log_in_with_falls_unless_it_is_a_placeholder() -> None:
    headers = (
        ("authorization", "theirs"),
        ("cookie", "theirs"),
        ("x_api_key", "theirs"),
        ("x-goog-api-key", "hakoiri-secret-goog"),
        ("x-amz-security-token", "theirs"),
        ("x-amz-date", "theirs"),
        ("x-amz-acl", "private"),
    )
    unsigned = without_credentials(headers, is_signed=False)
    assert unsigned == headers[3:]
    assert without_credentials(headers, is_signed=True) == (headers[3], headers[6])


def test_what_would_override_the_request_line_falls() -> None:
    overrides = (
        ("x-http-method-override", "PUT"),
        ("x-rewrite-url", "/x"),
        ("x_original-url", "/"),
    )
    assert without_overrides((*overrides, ("accept", "a"))) == (("accept", "a"),)


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("", ""),
        ("a=1&&b", "a=1&&b"),
        ("X-Amz-Signature=s&a=1&x-amz-%64ate=d", "a=1"),
        ("AWSAccessKeyId=k&Signature=s", "Signature=s"),
        ("%58-amz-x=1&x-amzn=2", "x-amzn=2"),
    ],
)
def test_a_query_loses_what_makes_it_presigned(query: str, left: str) -> None:
    assert query_without_logins(query) == left


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("a=1&access_token=theirs&b=2", "a=1&b=2"),
        ("Private_Token=theirs", ""),
        ("api-key=theirs", ""),
        ("%61pi_key=theirs", ""),
        ("+api_key=theirs", ""),
        ("a=1;api_key=theirs", ""),
        ("api_key", ""),
        ("api_key=hakoiri-secret-mine", "api_key=hakoiri-secret-mine"),
        ("page_token=7&next_token=8&key=9&token=a", "page_token=7&next_token=8&key=9&token=a"),
    ],
)
def test_a_query_loses_what_logs_in_as_somebody_else(query: str, left: str) -> None:
    assert query_without_logins(query) == left


@pytest.mark.parametrize(
    ("name", "is_login"),
    [
        *[(n, True) for n in ("job-token", "deploy_token", "dd-api-key", "x-apikey", "token")],
        *[(n, True) for n in ("x-vault-token", "x-auth-key", "ocp-apim-subscription-key")],
        *[(n, False) for n in ("idempotency-key", "sec-websocket-key", "x-tokens", "accept")],
        *[(n, False) for n in ("x-amz-bucket-object-lock-token", "x-amz-key")],
    ],
)
def test_a_header_that_is_named_like_a_login_is_one(name: str, *, is_login: bool) -> None:
    assert without_credentials(((name, "theirs"),), is_signed=False) == (
        () if is_login else ((name, "theirs"),)
    )
    ours = ((name, "hakoiri-secret-mine"),)
    assert without_credentials(ours, is_signed=False) == ours


def test_an_answer_loses_what_is_for_the_hop() -> None:
    headers = (
        ("Transfer-Encoding", "chunked"),
        ("Connection", "x-a"),
        ("X-A", "1"),
        ("Set-Cookie", "a=b"),
        ("Alt-Svc", 'h3=":443"'),
        ("X-Hakoiri-Reason", "host-not-allowed"),
        ("X-B", "2"),
    )
    assert answer_headers(headers, is_model=True) == (("X-B", "2"),)
    others = answer_headers(headers, is_model=False)
    assert ("Set-Cookie", "a=b") in others
    assert not {"Alt-Svc", "X-Hakoiri-Reason"} & set(dict(others))


@given(st.lists(st.tuples(st.sampled_from([*THEIRS, "accept"]), st.text(max_size=5))))
def test_no_mix_of_headers_gets_a_credential_onto_the_model_path(
    headers: list[tuple[str, str]],
) -> None:
    kept = model_request_headers(tuple(headers), provider="anthropic")
    assert {name for name, _ in kept} <= {"accept"}
