"""What a client tells when a server is not there, is none, or breaks off."""

import errno
import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hakoiri.cli.api_client import ApiClient, ApiError, path_of_conversation


class Server(ThreadingHTTPServer):
    """Answers each request with what it was told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.headers = {"Content-Type": "application/json"}
        self.body = b"{}"
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.paths.append(self.path)
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_GET  # noqa: N815 - its name

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def told(server: Server) -> str:
    with pytest.raises(ApiError) as refused:
        ApiClient(server.url).call("GET", "/v1/pool")
    return str(refused.value)


def test_a_server_that_is_not_there_is_told_with_the_mend(server: Server) -> None:
    server.shutdown()
    server.socket.close()
    with pytest.raises(ApiError, match=r"no server answers at .* start one with `hakoiri serve`"):
        ApiClient(server.url, timeout_s=5).call("GET", "/v1/pool")


def test_a_server_that_dies_as_it_is_called_is_told_with_the_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reset(_: HTTPConnection) -> None:
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(HTTPConnection, "connect", reset)
    with pytest.raises(ApiError, match=r"reset by peer\); start one with `hakoiri serve`"):
        ApiClient("http://127.0.0.1:1").call("GET", "/v1/pool")


@pytest.mark.parametrize("url", ["127.0.0.1:8420", "http://host:99999", "http://host/v1"])
def test_a_url_that_is_none_names_the_option(url: str) -> None:
    with pytest.raises(ApiError, match=r"^--url .*write http://HOST:PORT"):
        ApiClient(url)


@pytest.mark.parametrize("key", ["ключ", "two\nlines"])
def test_a_key_that_cannot_be_sent_names_the_option(key: str) -> None:
    with pytest.raises(ApiError, match="HAKOIRI_KEY"):
        ApiClient("http://127.0.0.1:1", key=key)


def test_what_is_no_hakoiri_is_told(server: Server) -> None:
    server.body = b"<html>"
    assert "is no Hakoiri server; see --url" in told(server)


def test_who_is_sent_elsewhere_is_told_where(server: Server) -> None:
    server.status = 301
    server.headers["Location"] = "https://box.example.test/"
    assert "sends on to https://box.example.test/" in told(server)


def test_an_answer_that_breaks_off_is_told(server: Server) -> None:
    server.headers["Content-Length"] = "100"
    assert "broke off" in told(server)


def test_a_refusal_that_is_no_problem_is_told(server: Server) -> None:
    server.status, server.body = 502, b"bad gateway"
    assert told(server) == "the server answered 502: without a reason"


def events(*kinds: str) -> bytes:
    return b"".join(
        f"id: {number}\nevent: {kind}\ndata: {json.dumps({'type': kind})}\n\n".encode()
        for number, kind in enumerate(kinds, 1)
    )


def test_a_turn_whose_stream_ends_before_it_is_told(server: Server) -> None:
    server.body = events("user_message", "text_delta")
    seen: list[dict[str, object]] = []
    with pytest.raises(ApiError, match="`hakoiri conversation events c-1` shows it"):
        seen.extend(ApiClient(server.url).send("c-1", "x"))
    server.body = events("user_message", "result", "user_message")
    assert [event["type"] for event in ApiClient(server.url).send("c-1", "x")] == [
        "user_message",
        "result",
    ]


def test_an_id_is_one_part_of_the_path_whatever_it_holds(server: Server) -> None:
    ApiClient(server.url).call("GET", path_of_conversation("a b/../c?d#e"))
    assert server.paths == ["/v1/conversations/a%20b%2F..%2Fc%3Fd%23e"]
