import io
import json
import os
import pty
import signal
import sys
from collections.abc import Generator
from typing import Any

import pytest

from hakoiri.cli.api_client import ApiClient, ApiError
from hakoiri.cli.command_run import (
    Bytes,
    CommandLine,
    HarmlessText,
    exit_code,
    run_command,
    sink_for,
)
from hakoiri.wire.base64_text import encode

LINE = CommandLine(
    argv=["x"], directory="/workspace", environment={"A": "b"}, stdin=b"\xff", timeout_s=5
)
END = {"exit_code": 0, "signal": None, "timed_out": False, "output_cut": False}


class PlayedApi(ApiClient):
    """A server that answers with these events."""

    def __init__(self, *events: tuple[str, dict[str, Any]] | BaseException) -> None:
        super().__init__("http://localhost")
        self._played = events
        self.asked: dict[str, Any] = {}
        self.closed = False

    def events(
        self, method: str, path: str, body: Any
    ) -> Generator[tuple[str, dict[str, Any]], None, None]:
        self.asked = {"method": method, "path": path, **body}
        try:
            for event in self._played:
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            self.closed = True


def said(stream: str, raw: bytes) -> tuple[str, dict[str, str]]:
    return stream, {"base64": encode(raw)}


def test_every_byte_goes_to_its_own_stream(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    api = PlayedApi(said("stdout", b"\x1b[2J\xff"), said("stderr", b"oh\n"), ("exit", END))
    assert run_command(api, "/v1/workspaces/w-1", LINE, as_json=False, raw=False) == 0
    assert capfdbinary.readouterr() == (b"\x1b[2J\xff", b"oh\n")
    assert api.closed
    assert (api.asked["method"], api.asked["path"]) == ("POST", "/v1/workspaces/w-1/exec")
    assert (api.asked["encoding"], api.asked["stdin"]) == ("base64", encode(b"\xff"))


def test_a_document_tells_all_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    api = PlayedApi(said("stdout", b"a\x1b\xff"), ("exit", END | {"exit_code": 7}))
    assert run_command(api, "/v1/workspaces/w-1", LINE, as_json=True, raw=False) == 7
    told = json.loads(capsys.readouterr().out)
    assert told == END | {"exit_code": 7, "stdout": "a\x1b\ufffd", "stderr": ""}


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ({}, 0),
        ({"exit_code": 3}, 3),
        ({"exit_code": None, "signal": signal.SIGTERM}, 143),
        ({"exit_code": None, "signal": signal.SIGKILL, "timed_out": True}, 124),
    ],
)
def test_the_end_is_an_exit_code(end: dict[str, object], code: int) -> None:
    assert exit_code(END | end) == code


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ({"signal": 9, "timed_out": True}, "killed after 5 s"),
        ({"output_cut": True}, "was dropped"),
    ],
)
def test_what_the_exit_code_does_not_tell_is_told(
    end: dict[str, object], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(PlayedApi(("exit", END | end)), "/w", LINE, as_json=False, raw=False)
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([("error", {"code": "container-lost", "text": "The container\x1b ended"})], r"\\x1b"),
        ([said("stdout", b"a")], "ended before the command did"),
    ],
)
def test_a_command_that_is_lost_is_an_error(events: list[Any], why: str) -> None:
    with pytest.raises(ApiError, match=why):
        run_command(PlayedApi(*events), "/w", LINE, as_json=True, raw=False)


def test_an_interrupt_closes_the_stream_which_kills_the_command() -> None:
    api = PlayedApi(KeyboardInterrupt())
    assert run_command(api, "/w", LINE, as_json=True, raw=False) == 130
    assert api.closed


def test_on_a_terminal_the_box_steers_nothing_unless_it_is_asked_for() -> None:
    ours, terminals = pty.openpty()
    with os.fdopen(terminals, "w") as terminal:
        assert isinstance(sink_for(terminal, raw=False), HarmlessText)
        assert isinstance(sink_for(terminal, raw=True), Bytes)
    os.close(ours)
    with open(os.devnull, "w") as file:  # noqa: PTH123
        assert isinstance(sink_for(file, raw=False), Bytes)


def test_harmless_text_shows_controls_and_waits_for_cut_characters() -> None:
    out = io.BytesIO()
    sink = HarmlessText(out)
    for piece in (b"\x1b]0;x\x07", "ü".encode()[:1], "ü".encode()[1:], b"\r\n"):
        sink.write(piece)
    assert out.getvalue().decode() == r"\x1b]0;x\x07" + "ü" + "\\x0d\n"


def test_a_reader_that_went_away_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        api = PlayedApi(said("stdout", b"a"), ("exit", END))
        assert run_command(api, "/w", LINE, as_json=False, raw=False) == 141
        assert api.closed
