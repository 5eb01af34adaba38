import hashlib
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.credentials.sigv4 import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    AwsKeys,
    Headers,
    SignableRequest,
    Signer,
    canonical_path,
    canonical_query,
    canonical_s3_path,
)
from hakoiri.credential_proxy.signing_scope import SigningScope

# The keys and the time of AWS's published signature test suite ("aws-sig-v4-test-suite").
KEYS = AwsKeys("AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", name="suite"))
SCOPE = SigningScope("us-east-1", "service")
NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
HOST = ("host", "example.amazonaws.com")
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def vector(method: str = "GET", path: str = "/", query: str = "", *more: Any) -> SignableRequest:
    return SignableRequest(method, path, query, (HOST, *more), EMPTY_SHA256)


FORM = hashlib.sha256(b"Param1=value1").hexdigest()
FORM_HEADERS = (("Content-Type", "application/x-www-form-urlencoded"), HOST)

SUITE = {
    "get-vanilla": (
        vector(),
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-vanilla-query-order-key-case": (
        vector("GET", "/", "Param2=value2&Param1=value1"),
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-vanilla-empty-query-key": (
        vector("GET", "/", "Param1=value1"),
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    "get-vanilla-query-unreserved": (
        vector("GET", "/", f"{UNRESERVED}={UNRESERVED}"),
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    "get-unreserved": (
        vector("GET", f"/{UNRESERVED}"),
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-header-key-duplicate": (
        vector(
            "GET",
            "/",
            "",
            ("My-Header1", "value2"),
            ("My-Header1", "value2"),
            ("My-Header1", "value1"),
        ),
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    "get-header-value-trim": (
        vector("GET", "/", "", ("My-Header1", " value1"), ("My-Header2", ' "a   b   c"')),
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-vanilla": (
        vector("POST"),
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    "post-header-key-sort": (
        vector("POST", "/", "", ("My-Header1", "value1")),
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-x-www-form-urlencoded": (
        SignableRequest("POST", "/", "", FORM_HEADERS, FORM),
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}

# Amazon S3 API Reference, "Signature Calculations for the Authorization Header", its examples.
S3_KEYS = AwsKeys(
    "AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", name="s3")
)
S3_SCOPE = SigningScope("us-east-1", "s3")
S3_NOW = datetime(2013, 5, 24, tzinfo=UTC)
S3_HOST = ("Host", "examplebucket.s3.amazonaws.com")
S3_SUITE = {
    "get-object": (
        SignableRequest("GET", "/test.txt", "", (S3_HOST, ("Range", "bytes=0-9")), EMPTY_SHA256),
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put-object": (
        SignableRequest(
            "PUT",
            "/test$file.text",
            "",
            (
                S3_HOST,
                ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ),
            hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
        ),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "get-lifecycle": (
        SignableRequest("GET", "/", "lifecycle", (S3_HOST,), EMPTY_SHA256),
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list-objects": (
        SignableRequest("GET", "/", "max-keys=2&prefix=J", (S3_HOST,), EMPTY_SHA256),
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


def signature(headers: Headers) -> str:
    return dict(headers)["authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize(("request_", "expected"), SUITE.values(), ids=SUITE.keys())
def test_the_published_vectors_are_met(request_: SignableRequest, expected: str) -> None:
    assert signature(Signer().sign(request_, keys=KEYS, scope=SCOPE, now=NOW)) == expected


@pytest.mark.parametrize(("request_", "expected"), S3_SUITE.values(), ids=S3_SUITE.keys())
def test_the_published_examples_of_s3_are_met(request_: SignableRequest, expected: str) -> None:
    added = Signer().sign(request_, keys=S3_KEYS, scope=S3_SCOPE, now=S3_NOW)
    assert signature(added) == expected
    assert dict(added)["x-amz-content-sha256"] == request_.body_sha256


SEGMENT = st.text(alphabet="abcXYZ019-_.~:@!$&'()*+,;=%/ é", max_size=8)
NAME = st.from_regex(r"x-[a-z0-9]{1,6}", fullmatch=True)
VALUE = st.text(alphabet="abc 019 \t,;=/", max_size=12).map(str.strip)
TOKEN = st.sampled_from([None, "session/token=="])


@st.composite
def requests_with_bodies(
    draw: st.DrawFn, *, path_safe: str = "/:@!$&'()*+,;=~"
) -> tuple[SignableRequest, bytes]:
    segments = draw(st.lists(SEGMENT, max_size=5))
    query = draw(st.lists(st.tuples(SEGMENT, SEGMENT), max_size=4))
    headers = draw(st.dictionaries(NAME, VALUE, max_size=4))
    body = draw(st.binary(max_size=32))
    request = SignableRequest(
        method=draw(st.sampled_from(["GET", "POST", "PUT", "DELETE"])),
        path="/" + "/".join(quote(segment, safe=path_safe) for segment in segments),
        query="&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in query),
        headers=(HOST, *headers.items()),
        body_sha256=hashlib.sha256(body).hexdigest(),
    )
    return request, body


def botocores(
    auth: type[SigV4Auth], request: SignableRequest, *, body: bytes, token: str | None, **more: Any
) -> str:
    """The Authorization that botocore makes for the same request."""
    theirs = AWSRequest(
        method=request.method,
        url=f"https://{HOST[1]}{request.path}" + (f"?{request.query}" if request.query else ""),
        data=body,
        headers=dict(request.headers[1:]),
    )
    theirs.context.update(more)
    credentials = Credentials(KEYS.access_key_id, KEYS.secret_access_key.reveal(), token)
    service = "s3" if auth is S3SigV4Auth else "service"
    with patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        auth(credentials, service, "us-east-1").add_auth(theirs)
    return str(theirs.headers["Authorization"])


def ours(request: SignableRequest, *, service: str, token: str | None) -> str:
    secret = Secret(token, name="token") if token else None
    keys = AwsKeys(KEYS.access_key_id, KEYS.secret_access_key, secret)
    scope = SigningScope("us-east-1", service)
    return dict(Signer().sign(request, keys=keys, scope=scope, now=NOW))["authorization"]


@given(requests_with_bodies(), TOKEN)
def test_signatures_are_those_of_botocore(
    request_and_body: tuple[SignableRequest, bytes], token: str | None
) -> None:
    request, body = request_and_body
    theirs = botocores(SigV4Auth, request, body=body, token=token)
    assert ours(request, service="service", token=token) == theirs


@given(requests_with_bodies(path_safe="/~"), TOKEN)
def test_signatures_for_s3_are_those_of_botocore(
    request_and_body: tuple[SignableRequest, bytes], token: str | None
) -> None:
    request, body = request_and_body
    theirs = botocores(S3SigV4Auth, request, body=body, token=token)
    assert ours(request, service="s3", token=token) == theirs


@given(requests_with_bodies(path_safe="/~"))
def test_an_unsigned_body_is_signed_as_botocore_does(
    request_and_body: tuple[SignableRequest, bytes],
) -> None:
    request, body = request_and_body
    unsigned = SignableRequest(
        request.method, request.path, request.query, request.headers, UNSIGNED_PAYLOAD
    )
    config = Config(s3={"payload_signing_enabled": False})
    theirs = botocores(S3SigV4Auth, request, body=body, token=None, client_config=config)
    assert ours(unsigned, service="s3", token=None) == theirs


def test_an_unsigned_body_is_told_to_any_service() -> None:
    request = SignableRequest("POST", "/", "", (HOST,), UNSIGNED_PAYLOAD)
    added = Signer().sign(request, keys=KEYS, scope=SCOPE, now=NOW)
    assert dict(added)["x-amz-content-sha256"] == UNSIGNED_PAYLOAD
    assert "host;x-amz-content-sha256;x-amz-date" in dict(added)["authorization"]


@given(st.lists(SEGMENT, max_size=5), st.data())
def test_however_a_key_or_a_parameter_is_spelt_it_is_signed_alike(
    segments: list[str], data: st.DataObject
) -> None:
    safe = data.draw(st.text(alphabet=":@!$'()*,;", max_size=8))
    plain = "/" + "/".join(quote(segment, safe="/~") for segment in segments)
    spelt = "/" + "/".join(quote(segment, safe=safe + "/").lower() for segment in segments)
    assert canonical_s3_path(spelt).lower() == plain.lower()
    query = "&".join(f"{quote(segment, safe=safe)}=" for segment in segments)
    exact = "&".join(sorted(f"{quote(segment, safe='~')}=" for segment in segments))
    assert sorted(canonical_query(query).split("&")) == sorted(exact.split("&"))


def test_a_signing_key_is_kept_for_its_day_region_and_service_alone() -> None:
    signer = Signer()
    request = SUITE["get-vanilla"][0]
    seen = set()
    for scope in (SCOPE, SigningScope("eu-west-1", "service"), SigningScope("us-east-1", "other")):
        for day in (29, 30):
            for _ in range(2):
                now = NOW.replace(day=day)
                kept = signature(signer.sign(request, keys=KEYS, scope=scope, now=now))
                alone = signature(Signer().sign(request, keys=KEYS, scope=scope, now=now))
                assert kept == alone
                seen.add(kept)
    assert len(seen) == 6


def test_rotated_keys_do_not_meet_the_signing_key_of_the_old_ones() -> None:
    signer, request = Signer(), SUITE["get-vanilla"][0]
    rotated = AwsKeys(KEYS.access_key_id, Secret("planted", name="new"))
    before = signature(signer.sign(request, keys=KEYS, scope=SCOPE, now=NOW))
    after = signature(signer.sign(request, keys=rotated, scope=SCOPE, now=NOW))
    assert before != after
    assert after == signature(Signer().sign(request, keys=rotated, scope=SCOPE, now=NOW))


@pytest.mark.parametrize(
    ("path", "canonical", "s3"),
    [
        ("", "/", "/"),
        ("/", "/", "/"),
        ("//", "/", "//"),
        ("//a///b/", "/a/b/", "//a///b/"),
        ("/a/b//", "/a/b/", "/a/b//"),
        ("/a/./b/../c", "/a/c", "/a/./b/../c"),
        ("/../..", "/", "/../.."),
        ("/.a/..b", "/.a/..b", "/.a/..b"),
        ("/model/a%3A0/invoke", "/model/a%253A0/invoke", "/model/a%3A0/invoke"),
        ("/a%3a", "/a%253a", "/a%3A"),
    ],
)
def test_a_path_is_encoded_as_its_service_does(path: str, canonical: str, s3: str) -> None:
    assert canonical_path(path) == canonical
    assert canonical_s3_path(path) == s3


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("", ""),
        ("a", "a="),
        ("b&a", "a=&b="),
        ("a=2&a=1&a", "a=&a=1&a=2"),
        ("a=1=2", "a=1%3D2"),
        ("p=a/b+c", "p=a%2Fb%20c"),
        ("p=a%2fb%20c", "p=a%2Fb%20c"),
        ("a==", "a=%3D"),
    ],
)
def test_a_query_is_sorted_and_encoded_once(query: str, canonical: str) -> None:
    assert canonical_query(query) == canonical
