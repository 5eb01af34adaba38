from datetime import UTC, datetime
from io import BytesIO
from unittest.mock import patch

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .conftest import (
    ACCESS_KEY_ID,
    MODEL,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    Proxy,
    Upstream,
    bedrock_policy,
)

pytestmark = pytest.mark.anyio
INVOKE = f"/model/{MODEL.replace(':', '%3A')}/invoke"


def signature_by_botocore(port: int, target: str, headers: dict[str, str], body: bytes) -> str:
    request = AWSRequest(
        method="POST",
        url=f"http://127.0.0.1:{port}{target}",
        data=body,
        headers={"Content-Type": headers["content-type"], "Host": headers["host"]},
    )
    sent_at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    keys = Credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN)
    with patch("botocore.auth.get_current_datetime", return_value=sent_at):
        SigV4Auth(keys, "bedrock", "us-east-1").add_auth(request)
    return str(request.headers["Authorization"])


@pytest.mark.parametrize("size", [0, 2, 1024 * 1024 + 1, 3 * 1024 * 1024])
async def test_a_bedrock_request_arrives_signed_as_botocore_would(
    proxy: Proxy, upstream: Upstream, size: int
) -> None:
    socket = await proxy.open("c1", bedrock_policy())
    body = b'{"a": "%b"}' % (b"x" * (size - 9)) if size > 9 else b"{}"[:size]
    async with (
        proxy.client(socket) as session,
        session.post(
            INVOKE.replace("%3A", "%3a"),
            data=BytesIO(body),
            headers={"Content-Type": "application/json"},
        ) as answer,
    ):
        assert answer.status == 200
        assert answer.headers["X-Upstream"] == "here"
        assert await answer.json() == {"bytes": size}
    [(method, target, headers, received)] = upstream.requests
    assert (method, target, received) == ("POST", INVOKE, body)
    named = {name.lower(): value for name, value in headers}
    assert named["authorization"] == signature_by_botocore(upstream.port, target, named, body)
    assert named["x-amz-security-token"] == SESSION_TOKEN
    line = await proxy.logged(event="proxy_request_allowed")
    assert (line["credential"], line["bytes_up"], line["status"]) == ("bedrock", size, 200)
