from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.credentials.outgoing_request import (
    OutgoingRequest,
    with_headers,
    with_query_parameter,
)


def request(query: str = "", *headers: tuple[str, str]) -> OutgoingRequest:
    return OutgoingRequest("GET", "/", query, headers)


def test_a_header_takes_the_place_of_all_of_its_name() -> None:
    given_ = request("", ("Host", "a.test"), ("X-API-key", "theirs"), ("x-api-KEY", "theirs"))
    changed = with_headers(given_, (("x-api-key", "ours"),))
    assert changed.headers == (("Host", "a.test"), ("x-api-key", "ours"))


@pytest.mark.parametrize(
    ("query", "changed"),
    [
        ("", "key=ours"),
        ("a=1", "a=1&key=ours"),
        ("key=theirs", "key=ours"),
        ("key", "key=ours"),
        ("key=1&a=%20&key=2&b", "a=%20&b&key=ours"),
        ("KEY=1&%6bey=2&k%65y=3&+key=4", "key=ours"),
        ("a=1;key=theirs&b=2", "b=2&key=ours"),
        ("monkey=1&keys=2&a=key", "monkey=1&keys=2&a=key&key=ours"),
    ],
)
def test_a_parameter_takes_the_place_of_all_of_its_name(query: str, changed: str) -> None:
    outgoing = with_query_parameter(request(query), parameter="key", encoded_value="ours")
    assert outgoing.query == changed


@given(st.text(alphabet="keyKEY=&;%+ 6b5", max_size=40))
def test_no_reader_of_the_query_finds_the_clients_parameter(query: str) -> None:
    outgoing = with_query_parameter(
        request(quote(query, safe="=&;%+")), parameter="key", encoded_value="ours"
    )
    for separator in ("&", ";"):
        parameters = parse_qsl(
            outgoing.query, keep_blank_values=True, separator=separator, errors="replace"
        )
        found = [value for name, value in parameters if name.strip().lower() == "key"]
        if separator == "&":
            assert found == ["ours"]
        else:
            assert set(found) <= {"ours"}


def test_neither_headers_nor_query_are_shown() -> None:
    shown = repr(request("key=planted", ("authorization", "planted")))
    assert "planted" not in shown
