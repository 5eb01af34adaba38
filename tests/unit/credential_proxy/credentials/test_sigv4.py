import hashlib
from datetime import UTC, datetime
from unittest.mock import patch
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.credentials.sigv4 import (
    EMPTY_SHA256,
    AwsKeys,
    Headers,
    SignableRequest,
    Signer,
    canonical_path,
)
from hakoiri.credential_proxy.signing_scope import SigningScope

# The keys and the time of AWS's published signature test suite.
KEYS = AwsKeys("AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", name="suite"))
SCOPE = SigningScope("us-east-1", "service")
NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
HOST = ("host", "example.amazonaws.com")

SUITE = {
    "get-vanilla": (
        SignableRequest("GET", "/", "", (HOST,), EMPTY_SHA256),
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-vanilla-query-order-key-case": (
        SignableRequest("GET", "/", "Param2=value2&Param1=value1", (HOST,), EMPTY_SHA256),
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "post-vanilla": (
        SignableRequest("POST", "/", "", (HOST,), EMPTY_SHA256),
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
}


def signature(headers: Headers) -> str:
    return dict(headers)["authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize(("request_", "expected"), SUITE.values(), ids=SUITE.keys())
def test_the_published_vectors_are_met(request_: SignableRequest, expected: str) -> None:
    assert signature(Signer().sign(request_, keys=KEYS, scope=SCOPE, now=NOW)) == expected


SEGMENT = st.text(alphabet="abcXYZ019-_.~:@!$&'()*+,;=%/ é", max_size=8)
NAME = st.from_regex(r"x-[a-z0-9]{1,6}", fullmatch=True)
VALUE = st.text(alphabet="abc 019 \t,;=/", max_size=12).map(str.strip)


@st.composite
def requests_with_bodies(draw: st.DrawFn) -> tuple[SignableRequest, bytes]:
    segments = draw(st.lists(SEGMENT, max_size=5))
    query = draw(st.lists(st.tuples(SEGMENT, SEGMENT), max_size=4))
    headers = draw(st.dictionaries(NAME, VALUE, max_size=4))
    body = draw(st.binary(max_size=32))
    request = SignableRequest(
        method=draw(st.sampled_from(["GET", "POST", "PUT", "DELETE"])),
        path="/" + "/".join(quote(segment, safe="/:@!$&'()*+,;=~") for segment in segments),
        query="&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in query),
        headers=(HOST, *headers.items()),
        body_sha256=hashlib.sha256(body).hexdigest(),
    )
    return request, body


@given(requests_with_bodies(), st.sampled_from([None, "session/token=="]))
def test_signatures_are_those_of_botocore(
    request_and_body: tuple[SignableRequest, bytes], token: str | None
) -> None:
    request, body = request_and_body
    theirs = AWSRequest(
        method=request.method,
        url=f"https://{HOST[1]}{request.path}" + (f"?{request.query}" if request.query else ""),
        data=body,
        headers=dict(request.headers[1:]),
    )
    credentials = Credentials(KEYS.access_key_id, KEYS.secret_access_key.reveal(), token)
    with patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        SigV4Auth(credentials, "service", "us-east-1").add_auth(theirs)
    keys = AwsKeys(
        KEYS.access_key_id,
        KEYS.secret_access_key,
        Secret(token, name="token") if token else None,
    )
    ours = dict(Signer().sign(request, keys=keys, scope=SCOPE, now=NOW))
    assert ours["authorization"] == theirs.headers["Authorization"]


def test_a_signing_key_is_kept_for_its_day_region_and_service_alone() -> None:
    signer = Signer()
    request = SUITE["get-vanilla"][0]
    seen = set()
    for scope in (SCOPE, SigningScope("eu-west-1", "service"), SigningScope("us-east-1", "other")):
        for day in (29, 30):
            for _ in range(2):
                now = NOW.replace(day=day)
                ours = signature(signer.sign(request, keys=KEYS, scope=scope, now=now))
                alone = signature(Signer().sign(request, keys=KEYS, scope=scope, now=now))
                assert ours == alone
                seen.add(ours)
    assert len(seen) == 6


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("", "/"),
        ("/", "/"),
        ("//a///b/", "/a/b/"),
        ("/a/./b/../c", "/a/c"),
        ("/../..", "/"),
        ("/model/a%3A0/invoke", "/model/a%253A0/invoke"),
    ],
)
def test_a_path_is_normalised_and_encoded_once_more(path: str, canonical: str) -> None:
    assert canonical_path(path) == canonical
