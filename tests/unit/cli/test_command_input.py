import io
import os
import pty
import sys
from pathlib import Path

import pytest

from hakoiri.cli.command_input import InputError, read_input
from hakoiri.wire.command_limits import STDIN_LIMIT_BYTES


def test_a_pipe_and_a_file_are_read_to_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"\xff\0")
    os.close(writing)
    path = tmp_path / "input"
    path.write_bytes(b"abc")
    for source, expected in ((os.fdopen(reading), b"\xff\0"), (path.open(), b"abc")):
        with source:
            monkeypatch.setattr(sys, "stdin", source)
            assert read_input(even_from_terminal=False) == expected


def test_a_terminal_is_read_only_if_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, terminals = pty.openpty()
    with os.fdopen(terminals) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        assert read_input(even_from_terminal=False) is None
        os.write(ours, b"typed\n\x04")
        assert read_input(even_from_terminal=True) == b"typed\n"
    os.close(ours)


def test_where_there_is_no_input_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert read_input(even_from_terminal=False) is None
    monkeypatch.setattr(sys, "stdin", io.StringIO("no descriptor"))
    assert read_input(even_from_terminal=False) is None


def test_too_much_is_told_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "input"
    with path.open("wb") as file:
        file.truncate(STDIN_LIMIT_BYTES + 1)
    with path.open() as source:
        monkeypatch.setattr(sys, "stdin", source)
        with pytest.raises(InputError, match="send it as a file"):
            read_input(even_from_terminal=False)
