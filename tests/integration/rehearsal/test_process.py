import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer
from tests.integration.rehearsal.server import (
    ACCESS_KEY_ID,
    API_KEY,
    REGION,
    SECRET_ACCESS_KEY,
    Server,
    rehearsal,
)
from tests.waiting import until

SCRIPT = """
scenes:
  - replies: [{say: "You said {{user_text}} and I answer in a good many words, piece by piece"}]
  - {when: throttle, replies: [{say: a b c d e f g h i, error: {status: 429, after_deltas: 1}}]}
  - {when: cut, replies: [{say: a b c d e f g h i, cut_after: 1}]}
  - {when: hang, replies: [{say: late, delay_s: 3600}]}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    script = tmp_path_factory.mktemp("rehearsal") / "script.yaml"
    script.write_text(SCRIPT)
    with rehearsal(script=script) as running:
        yield running


@contextmanager
def bedrock(
    server: Server, text: str, *, path: str, secret: str = SECRET_ACCESS_KEY
) -> Iterator[HTTPResponse]:
    body = json.dumps(
        {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 10,
            "messages": [{"role": "user", "content": text}],
            "tools": [{"name": "Bash"}],
        }
    ).encode()
    request: Any = AWSRequest("POST", server.url + path, data=body)
    SigV4Auth(Credentials(ACCESS_KEY_ID, secret), "bedrock", REGION).add_auth(request)
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", path, body, dict(request.headers.items()))
    with closing(connection), connection.getresponse() as response:
        yield response


PATHS = ["/model/us.anthropic.claude-x-v1:0", "/model/us.anthropic.claude-x-v1%3A0"]


@pytest.mark.parametrize("path", PATHS)
def test_a_request_that_botocore_signed_is_answered_over_a_real_socket(
    server: Server, path: str
) -> None:
    with bedrock(server, "hello", path=f"{path}/invoke") as response:
        assert json.load(response)["content"][0]["text"].startswith("You said hello")
    with bedrock(server, "hello", path=f"{path}/invoke-with-response-stream") as response:
        buffer = EventStreamBuffer()
        buffer.add_data(response.read())
    assert {message.headers[":event-type"] for message in buffer} == {"chunk"}
    entry = server.journal()[-1]
    assert (entry["verdict"], entry["model"]) == ("valid", "us.anthropic.claude-x-v1:0")


@pytest.mark.parametrize("path", PATHS)
def test_a_request_signed_with_another_secret_is_refused(server: Server, path: str) -> None:
    with bedrock(server, "hello", path=f"{path}/invoke", secret="guess") as response:
        assert response.status == 403
        assert response.headers["x-amzn-errortype"] == "InvalidSignatureException"


def test_a_stream_can_fail_inside(server: Server) -> None:
    path = f"{PATHS[0]}/invoke-with-response-stream"
    with bedrock(server, "throttle", path=path) as response:
        buffer = EventStreamBuffer()
        buffer.add_data(response.read())
    assert [message.headers for message in buffer][-1][":exception-type"] == "throttlingException"


@pytest.mark.parametrize("verb", ["invoke", "invoke-with-response-stream"])
def test_a_cut_is_a_broken_connection_to_the_client(server: Server, verb: str) -> None:
    with (
        bedrock(server, "cut", path=f"{PATHS[0]}/{verb}") as response,
        pytest.raises(IncompleteRead) as caught,
    ):
        response.read()
    assert caught.value.partial


def test_sigterm_ends_it_well_though_a_reply_is_still_due(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT)
    with rehearsal(script=script) as server:
        body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hang"}]}
        headers = {"x-api-key": API_KEY, "anthropic-version": "2023-06-01"}
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
            connection.request("POST", "/v1/messages", json.dumps(body), headers)
            until(server.journal)
            server.process.terminate()
            _, errors = server.process.communicate(timeout=60)
    assert server.process.returncode == 0
    assert errors == "rehearsal: this is a rehearsal; no model is called\n"


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (["--listen", "0.0.0.0:0"], "only loopback"),
        (["--script", "/dev/null"], "line 1: script"),
        (["--access-key-id", "AKIDEXAMPLE"], "together"),
    ],
)
def test_a_wrong_start_ends_with_2_and_one_clear_line(arguments: list[str], mend: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hakoiri.rehearsal", *arguments],
        env={**os.environ, "HAKOIRI_REHEARSAL_API_KEY": API_KEY},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert mend in done.stderr
    assert done.stderr.count("\n") == 1
