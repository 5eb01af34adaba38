import json
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.audit.chains import lines, write

from hakoiri.audit import reader
from hakoiri.audit.query import QUESTION_LIMIT_BYTES
from hakoiri.audit.reader import ReaderServer


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ReaderServer]:
    chain = tmp_path / "server"
    chain.mkdir()
    write(chain, lines(5))
    with ReaderServer(tmp_path / "r.sock", {"server": chain}) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: ReaderServer, question: bytes) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.server_address))
        client.sendall(question)
        with client.makefile("rb") as answer:
            found: dict[str, Any] = json.loads(answer.readline())
            return found


def test_a_question_has_an_answer(served: ReaderServer) -> None:
    answer = ask(served, b'{"limit": 2}\n')
    assert [one["unmapped"]["turn"] for one in answer["events"]] == [5, 4]
    rest = ask(served, json.dumps({"before": answer["next"]}).encode() + b"\n")
    assert [one["unmapped"]["turn"] for one in rest["events"]] == [3, 2, 1]


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (b"what is there?\n", "bad-question"),
        (b'{"chain": "../../etc"}\n', "bad-question"),
        (b'{"before": "AAAA"}\n', "bad-cursor"),
        (b"x" * (QUESTION_LIMIT_BYTES + 1), "bad-question"),
    ],
)
def test_what_is_no_question_gets_a_word(served: ReaderServer, question: bytes, code: str) -> None:
    assert ask(served, question) == {"error": code}


def test_a_log_that_cannot_be_read_is_told_and_why_stays_inside(
    served: ReaderServer, capsys: pytest.CaptureFixture[str]
) -> None:
    (served.chains["server"] / f"{6:015d}.jsonl").symlink_to("/etc/passwd")
    assert ask(served, b"{}\n") == {"error": "unreadable"}
    assert "audit_log_unreadable" in capsys.readouterr().out


def test_only_a_few_are_answered_at_once(served: ReaderServer) -> None:
    for _ in range(reader.AT_ONCE):
        assert served.slots.acquire(blocking=False)
    assert ask(served, b"{}\n") == {"error": "busy"}


def test_only_owner_and_group_may_ask(served: ReaderServer) -> None:
    assert stat.S_IMODE(Path(str(served.server_address)).stat().st_mode) == 0o660
