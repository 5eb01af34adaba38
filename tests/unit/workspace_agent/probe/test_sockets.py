import errno
import socket
from collections.abc import Iterator

import pytest

from hakoiri.wire.probe import ProbeFinding
from hakoiri.workspace_agent.probe.attempt import Attempt, make
from hakoiri.workspace_agent.probe.sockets import connector, socket_attempts


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        yield port


@pytest.fixture
def shut() -> int:
    """A port of loopback at which nobody listens: a connection is answered with a reset."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def found(act: Attempt) -> tuple[str, str]:
    finding = make(act)
    return finding.result, finding.how


def attempt(name: str) -> Attempt:
    (one,) = [one for one in socket_attempts() if one.name == name]
    return one


def test_somebody_who_answers_is_open(listening: int) -> None:
    assert found(Attempt("connect", connector("127.0.0.1", listening))) == ("open", "connected")


def test_a_reset_is_an_answer_and_no_refusal(shut: int) -> None:
    result, how = found(Attempt("connect", connector("127.0.0.1", shut)))
    assert (result, how) == ("open", "ECONNREFUSED: there is a way")


@pytest.mark.parametrize(
    ("code", "result"),
    [
        (errno.ENETUNREACH, "refused"),
        (errno.EHOSTUNREACH, "refused"),
        (errno.EADDRNOTAVAIL, "refused"),
        (errno.ENETDOWN, "refused"),
        (errno.ECONNREFUSED, "open"),
        (errno.ECONNRESET, "open"),
        (errno.EPERM, "open"),
        (errno.EACCES, "open"),
        (errno.ETIMEDOUT, "open"),
    ],
)
@pytest.mark.parametrize("name", ["connect: engine over tcp", "datagram to a name server"])
def test_only_a_kernel_that_has_no_way_refuses(
    monkeypatch: pytest.MonkeyPatch, name: str, code: int, result: str
) -> None:
    class Failing(socket.socket):
        def connect(self, _: object) -> None:
            raise OSError(code, "told")

        def sendto(self, *_: object) -> int:
            raise OSError(code, "told")

    tried = attempt(name)
    monkeypatch.setattr(socket, "socket", Failing)
    assert found(tried)[0] == result


@pytest.mark.parametrize(
    ("code", "result"),
    [(socket.EAI_AGAIN, "refused"), (socket.EAI_NONAME, "open"), (socket.EAI_FAIL, "open")],
)
def test_a_name_server_that_knows_no_such_name_was_reached(
    monkeypatch: pytest.MonkeyPatch, code: int, result: str
) -> None:
    def look_up(*_: object) -> None:
        raise socket.gaierror(code, "told")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert found(attempt("name lookup"))[0] == result


def test_every_way_is_tried_once_under_a_name_that_the_report_takes() -> None:
    names = [attempt.name for attempt in socket_attempts()]
    assert len(names) == len(set(names))
    assert {"socket packet", "socket vsock", "socket crypto: af_alg", "name lookup"} <= set(names)
    for name in names:
        ProbeFinding(name=name, result="refused", how="EPERM")
