import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.decision import RefusedError
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.credential_proxy.placeholders import (
    check_placeholders,
    has_placeholder,
    names_replaced,
    replace_placeholders,
)

SECRETS = {"api": "planted/one?", "db": "planted two"}


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


def head(target: str = "/", *headers: tuple[str, str]) -> RequestHead:
    return RequestHead(method="GET", target=target, version=(1, 1), headers=headers)


ALLOWED = [
    head("/a?key=hakoiri-secret-api&b"),
    head("/a?key=hakoiri%2Dsecret-%61pi"),
    head("/", ("authorization", "Bearer hakoiri-secret-api")),
    head("/", ("authorization", basic("hakoiri-secret-db:hakoiri-secret-api"))),
    head("/", ("x-two", "hakoiri-secret-api,hakoiri-secret-db")),
]


@pytest.mark.parametrize("request_head", ALLOWED)
def test_a_placeholder_is_let_by_where_the_rule_names_it_and_nowhere_else(
    request_head: RequestHead,
) -> None:
    check_placeholders(request_head, allowed={"api", "db"})
    with pytest.raises(RefusedError) as refused:
        check_placeholders(request_head, allowed=set())
    assert (refused.value.status, refused.value.code) == (403, "placeholder-not-allowed")


@pytest.mark.parametrize(
    "request_head",
    [
        head("/hakoiri-secret-api"),
        head("/hakoiri%2dsecret-api"),
        head("http://a.test/hakoiri-secret-api?x"),
        head("/", ("hakoiri-secret-api", "x")),
        head("/?hakoiri-secret-api=x"),
        head("/?hakoiri-secret-api"),
        head("/?a=%68akoiri-secret-&b"),
        head("/", ("x-a", "hakoiri-secret-apix")),
        head("/", ("x-a", "hakoiri-secret-api-2")),
        head("/", ("x-a", "hakoiri-secret-")),
        head("/", ("x-a", "hakoiri-secret-API")),
        head("/", ("proxy-authorization", basic("x:hakoiri-secret-other"))),
    ],
)
def test_any_other_placeholder_is_refused(request_head: RequestHead) -> None:
    with pytest.raises(RefusedError):
        check_placeholders(request_head, allowed={"api", "db"})


def test_the_secret_takes_its_place_in_headers_basic_and_query() -> None:
    headers = (
        ("authorization", basic("user:hakoiri-secret-api")),
        ("x-token", "token=hakoiri-secret-db;v=1"),
        ("x-other", "as it was"),
    )
    replaced, query = replace_placeholders(
        headers, "a=%20&key=x-hakoiri-secret-api&hakoiri-secret-db=k", secrets=SECRETS
    )
    assert replaced == (
        ("authorization", basic("user:planted/one?")),
        ("x-token", "token=planted two;v=1"),
        ("x-other", "as it was"),
    )
    assert query == "a=%20&key=x-planted%2Fone%3F&hakoiri-secret-db=k"


def test_what_is_replaced_is_named() -> None:
    headers = (
        ("authorization", basic("user:hakoiri-secret-api")),
        ("x-token", "hakoiri-secret-api and hakoiri-secret-db"),
    )
    assert names_replaced(headers, "key=hakoiri-secret-other&b=c") == ("api", "db", "other")
    assert names_replaced((("x-token", "planted"),), "a=b") == ()


def test_a_secret_that_looks_like_a_placeholder_is_not_replaced_again() -> None:
    secrets = {"api": "hakoiri-secret-db", "db": "planted"}
    replaced, _ = replace_placeholders((("x-a", "hakoiri-secret-api"),), "", secrets=secrets)
    assert replaced == (("x-a", "hakoiri-secret-db"),)


@given(st.dictionaries(st.sampled_from(["x-a", "authorization"]), st.text(max_size=40)), st.text())
def test_what_holds_no_placeholder_is_not_changed(named: dict[str, str], query: str) -> None:
    headers = tuple(named.items())
    assert replace_placeholders(headers, query, secrets=SECRETS) == (headers, query)


def test_a_placeholder_is_seen_where_it_would_be_replaced() -> None:
    coded = base64.b64encode(b"u:hakoiri-secret-a").decode()
    assert has_placeholder("x-any", "Bearer hakoiri-secret-a")
    assert has_placeholder("authorization", f"Basic {coded}")
    assert not has_placeholder("x-any", f"Basic {coded}")
    assert not has_placeholder("authorization", "Bearer theirs")
