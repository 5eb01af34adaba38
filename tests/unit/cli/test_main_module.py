"""`python -m hakoiri.cli`: interrupts, pipes that are closed, terminals without letters."""

import os
import subprocess
import sys

INTERRUPTED = """
import sys
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "hakoiri.cli.main":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupts())
sys.argv = ["hakoiri", "conversation"]
from hakoiri.cli.__main__ import run
run()
"""


def test_an_interrupt_while_it_loads_is_no_traceback() -> None:
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, check=False)
    assert ended.returncode == 130
    assert ended.stderr == b""


def test_a_reader_that_went_away_is_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "hakoiri.cli", "--help"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert b"Traceback" not in ended.stderr
    assert ended.returncode == 1


def test_a_terminal_without_letters_gets_them_written_out() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "hakoiri.cli", "workspace", "diff", "--help"],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert b"Traceback" not in ended.stderr
    assert ended.stdout.isascii()
