import os
import subprocess
import sys
from pathlib import Path

from tests.escape.places import (
    command_holds,
    file_holds,
    process_holds,
    stream_holds,
    tree_holds,
)

NEEDLE = b"planted-here"


def test_a_needle_across_two_pieces_is_found() -> None:
    assert stream_holds([b"..plan", b"ted-", b"here.."], [NEEDLE, b"other"]) == [NEEDLE]


def test_what_is_not_there_is_not_found() -> None:
    assert stream_holds([b"planted-her", b"x"], [NEEDLE]) == []
    assert stream_holds([], [NEEDLE]) == []


def test_files_are_searched_and_links_and_fifos_left_alone(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    outside = tmp_path / "outside"
    for path in (outside, tree / "below" / "file"):
        path.write_bytes(b"x" * 2_000_000 + NEEDLE)
    (tree / "link").symlink_to(outside)
    os.mkfifo(tree / "fifo")
    assert tree_holds(tree, NEEDLE) == [tree / "below" / "file"]
    assert not file_holds(tree / "fifo", NEEDLE)
    assert not file_holds(tree / "missing", NEEDLE)


def test_a_process_is_searched_by_environment_and_command_line() -> None:
    command = [sys.executable, "-c", "print(1, flush=True); input()", "in-the-command"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env={"A": NEEDLE.decode()}) as process:
        assert process.stdout is not None
        process.stdout.read(1)  # only a program that runs shows what it was started with
        found = process_holds(process.pid, [NEEDLE, b"in-the-command", b"other"])
        process.communicate(b"\n")
    assert found == [NEEDLE, b"in-the-command"]
    assert process_holds(process.pid, [NEEDLE]) == []


def test_a_commands_output_is_searched() -> None:
    assert command_holds(["echo", NEEDLE.decode()], [NEEDLE, b"other"]) == [NEEDLE]
