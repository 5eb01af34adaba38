from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from botocore.auth import SigV4Auth
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.rehearsal.callers import KEY, NOW, signed

from hakoiri.rehearsal.signature import (
    ReceivedRequest,
    SignatureError,
    SigningKey,
    claimed_access_key_id,
    verify,
)

PATHS = st.from_regex(r"/model/([A-Za-z0-9.:_~-]|%[0-9A-F]{2}){1,40}/invoke", fullmatch=True)


def with_header(request: ReceivedRequest, name: str, value: str) -> ReceivedRequest:
    others = [(key, old) for key, old in request.headers if key != name]
    return replace(request, headers=[*others, (name, value)])


def without_header(request: ReceivedRequest, name: str) -> ReceivedRequest:
    return replace(request, headers=[pair for pair in request.headers if pair[0] != name])


def refusal(request: ReceivedRequest, *, key: SigningKey = KEY, now: datetime = NOW) -> str:
    with pytest.raises(SignatureError) as caught:
        verify(request, key=key, now=now)
    return f"{caught.value.code}: {caught.value}"


@given(PATHS, st.binary(max_size=300))
def test_what_botocore_signs_is_accepted(path: str, body: bytes) -> None:
    verify(signed(path, body=body), key=KEY, now=NOW)


@pytest.mark.parametrize("query", ["type=SYSTEM_DEFINED", "b=2&a=1&a=0", "flag", "a=%2F"])
def test_a_signed_query_is_accepted(query: str) -> None:
    verify(signed(query=query), key=KEY, now=NOW)


def test_headers_that_nobody_signed_do_not_disturb() -> None:
    verify(with_header(signed(), "user-agent", "any/1"), key=KEY, now=NOW)


def test_a_session_token_is_accepted_when_it_is_the_configured_one() -> None:
    key = replace(KEY, session_token="planted-token")
    verify(signed(key=key), key=key, now=NOW)
    assert "UnrecognizedClient" in refusal(signed(), key=key)
    assert "UnrecognizedClient" in refusal(signed(key=replace(key, session_token="other")), key=key)
    assert "UnrecognizedClient" in refusal(signed(key=key))


@given(st.binary(min_size=1, max_size=100), st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_body_byte_is_refused(body: bytes, position: int, flip: int) -> None:
    changed = bytearray(body)
    changed[position % len(body)] ^= flip
    assert "InvalidSignature" in refusal(replace(signed(body=body), body=bytes(changed)))


@given(PATHS, PATHS)
def test_another_path_is_refused(path: str, other: str) -> None:
    if path != other:
        assert "InvalidSignature" in refusal(replace(signed(path), raw_path=other))


def test_an_encoded_colon_is_another_path_than_a_plain_one() -> None:
    request = signed("/model/a%3A0/invoke")
    verify(request, key=KEY, now=NOW)
    assert "InvalidSignature" in refusal(replace(request, raw_path="/model/a:0/invoke"))


def test_another_query_or_method_is_refused() -> None:
    assert "InvalidSignature" in refusal(replace(signed(query="a=1"), raw_query="a=2"))
    assert "InvalidSignature" in refusal(replace(signed(), method="GET"))


@pytest.mark.parametrize("path", ["/model/a b", "/model/a\r\nx: y", "/model/a#b", "/model/a?b"])
def test_a_target_that_is_no_path_is_refused(path: str) -> None:
    assert "InvalidSignature" in refusal(replace(signed(), raw_path=path))


@pytest.mark.parametrize("more", ["#fragment", "\t", "\n", "\r"])
def test_what_a_url_parser_would_drop_is_refused(more: str) -> None:
    request = signed()
    assert "not a path" in refusal(replace(request, raw_path=request.raw_path + more))
    request = signed(query="a=1")
    assert "not a path" in refusal(replace(request, raw_query=request.raw_query + more))


def test_a_name_among_the_signed_headers_without_its_header_is_refused() -> None:
    request = signed()
    authorization = request.header("authorization") or ""
    longer = authorization.replace("host;x-amz-date", "host;x-amz-date;x-more")
    assert longer != authorization
    assert "x-more is not in the request" in refusal(with_header(request, "authorization", longer))


@pytest.mark.parametrize("name", ["host", "x-amz-date", "content-type", "authorization"])
def test_a_signed_header_that_was_taken_away_is_refused(name: str) -> None:
    request = signed(headers={"Content-Type": "application/json"})
    assert refusal(without_header(request, name))


@pytest.mark.parametrize("name", ["host", "content-type"])
def test_a_signed_header_that_was_changed_is_refused(name: str) -> None:
    request = signed(headers={"Content-Type": "application/json"})
    assert "InvalidSignature" in refusal(with_header(request, name, "other.test"))


def test_an_amz_header_that_nobody_signed_is_refused() -> None:
    assert "x-amz-target must be signed" in refusal(with_header(signed(), "x-amz-target", "x"))


@pytest.mark.parametrize("name", ["host", "x-amz-date"])
def test_a_signature_that_leaves_a_required_header_out_is_refused(name: str) -> None:
    class Forgetful(SigV4Auth):  # type: ignore[misc]  # botocore is untyped
        def headers_to_sign(self, request: Any) -> Any:
            headers = super().headers_to_sign(request)
            del headers[name]
            return headers

    with patch("tests.unit.rehearsal.callers.SigV4Auth", Forgetful):
        request = signed(headers={"Content-Type": "application/json"})
    assert f"{name} must be signed" in refusal(request)


@pytest.mark.parametrize(
    "digest", ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64]
)
def test_a_body_hash_that_is_not_the_body_is_refused_though_signed(digest: str) -> None:
    assert "not the hash" in refusal(signed(headers={"X-Amz-Content-SHA256": digest}))


def test_another_key_region_or_service_is_refused() -> None:
    assert "UnrecognizedClient" in refusal(signed(key=replace(KEY, access_key_id="AKIDOTHER")))
    assert "region us-east-1" in refusal(signed(key=replace(KEY, region="eu-west-1")))
    assert "service bedrock" in refusal(signed(service="bedrock-runtime"))
    assert "does not match" in refusal(signed(key=replace(KEY, secret_access_key="guess")))


@pytest.mark.parametrize("away_s", [-301, 301, 86_400])
def test_a_clock_too_far_away_is_refused(away_s: int) -> None:
    assert "away from this clock" in refusal(signed(at=NOW + timedelta(seconds=away_s)))


@pytest.mark.parametrize("away_s", [-300, 0, 300])
def test_a_clock_a_little_away_is_accepted(away_s: int) -> None:
    verify(signed(at=NOW + timedelta(seconds=away_s)), key=KEY, now=NOW)


@pytest.mark.parametrize("date", ["", "yesterday", "2026-03-04T05:06:07Z", "20260304T056607Z"])
def test_a_date_in_another_form_is_refused(date: str) -> None:
    assert "Incomplete" in refusal(with_header(signed(), "x-amz-date", date))


def test_a_scope_of_another_day_is_refused() -> None:
    request = signed()
    authorization = request.header("authorization") or ""
    moved = authorization.replace("/20260304/", "/20260303/")
    assert "scope's date" in refusal(with_header(request, "authorization", moved))


@pytest.mark.parametrize("name", ["authorization", "host", "x-amz-date"])
def test_a_doubled_header_is_refused(name: str) -> None:
    request = signed()
    doubled = replace(request, headers=[*request.headers, (name, request.header(name) or "")])
    assert "more than once" in refusal(doubled)


def test_unsorted_signed_headers_are_refused() -> None:
    request = signed()
    authorization = request.header("authorization") or ""
    swapped = authorization.replace("host;x-amz-date", "x-amz-date;host")
    assert swapped != authorization
    assert "sorted" in refusal(with_header(request, "authorization", swapped))


@given(st.text(max_size=200))
def test_any_authorization_is_refused_with_a_reason(text: str) -> None:
    assert refusal(with_header(signed(), "authorization", text))


@given(st.integers(min_value=0), st.sampled_from("0123456789abcdef"))
def test_a_changed_signature_digit_is_refused(position: int, digit: str) -> None:
    request = signed()
    head, _, signature = (request.header("authorization") or "").rpartition("=")
    at = position % 64
    if signature[at] != digit:
        changed = f"{head}={signature[:at]}{digit}{signature[at + 1 :]}"
        assert "does not match" in refusal(with_header(request, "authorization", changed))


def test_the_claimed_key_is_read_but_its_secret_is_never_shown() -> None:
    assert claimed_access_key_id(signed()) == "AKIDEXAMPLE"
    assert claimed_access_key_id(without_header(signed(), "authorization")) is None
    assert "planted" not in repr(replace(KEY, session_token="planted-token"))
