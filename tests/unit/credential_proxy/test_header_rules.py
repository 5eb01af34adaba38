import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.header_rules import (
    answer_headers,
    egress_request_headers,
    model_request_headers,
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


def test_an_answer_loses_what_is_for_the_hop() -> None:
    headers = (
        ("Transfer-Encoding", "chunked"),
        ("Connection", "x-a"),
        ("X-A", "1"),
        ("Set-Cookie", "a=b"),
        ("X-B", "2"),
    )
    assert answer_headers(headers, is_model=True) == (("X-B", "2"),)
    assert ("Set-Cookie", "a=b") in answer_headers(headers, is_model=False)


@given(st.lists(st.tuples(st.sampled_from([*THEIRS, "accept"]), st.text(max_size=5))))
def test_no_mix_of_headers_gets_a_credential_onto_the_model_path(
    headers: list[tuple[str, str]],
) -> None:
    kept = model_request_headers(tuple(headers), provider="anthropic")
    assert {name for name, _ in kept} <= {"accept"}
