import errno
import socket
from pathlib import Path

import pytest

from hakoiri.wire.probe import ProbeFinding
from hakoiri.workspace_agent.probe import files
from hakoiri.workspace_agent.probe.attempt import Attempt, Finding, make
from hakoiri.workspace_agent.probe.files import file_attempts


def attempt(name: str) -> Attempt:
    (one,) = [one for one in file_attempts() if one.name == name]
    return one


@pytest.mark.parametrize(
    ("code", "result"),
    [(errno.ENOENT, "refused"), (errno.EACCES, "refused"), (errno.ECONNREFUSED, "open")],
)
def test_an_engines_socket_at_which_nobody_listens_now_is_there_all_the_same(
    monkeypatch: pytest.MonkeyPatch, code: int, result: str
) -> None:
    class Failing(socket.socket):
        def connect(self, _: object) -> None:
            raise OSError(code, "told")

    tried = attempt("socket /run/docker.sock")
    monkeypatch.setattr(socket, "socket", Failing)
    assert make(tried).result == result


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ECONNREFUSED, errno.EACCES])
def test_a_proxy_that_could_not_be_asked_has_refused_nothing(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    class Failing(socket.socket):
        def connect(self, _: object) -> None:
            raise OSError(code, "told")

    tried = attempt("proxy socket: speak without a policy")
    monkeypatch.setattr(socket, "socket", Failing)
    assert make(tried).result == "open"


def test_programs_that_cannot_be_listed_may_be_any(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(errno.EACCES, "told")

    tried = attempt("program that gains rights")
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert make(tried) == Finding("program that gains rights", "open", "EACCES")


@pytest.mark.parametrize(
    ("there", "result", "how"),
    [
        (["agent", "proxy"], "refused", "only its own two"),
        (["agent", "proxy", "other.sock"], "open", "other.sock"),
        ([], "open", "cannot be listed"),
    ],
)
def test_sockets_are_known_only_where_they_can_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: list[str], result: str, how: str
) -> None:
    for name in there:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(files, "RUN_DIRECTORY", tmp_path)
    monkeypatch.setattr(files, "PROXY", tmp_path / "proxy")
    found = make(attempt("sockets of others"))
    assert found.result == result
    assert how in found.how


def test_every_file_is_tried_once_under_a_name_that_the_report_takes() -> None:
    names = [attempt.name for attempt in file_attempts()]
    assert len(names) == len(set(names))
    assert {
        "write /proc/sysrq-trigger",
        "read /proc/kcore",
        "new file in /etc",
        "socket /var/run/docker.sock",
        "proxy socket: remove",
    } <= set(names)
    for name in names:
        ProbeFinding(name=name, result="refused", how="EPERM")
