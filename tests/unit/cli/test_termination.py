import signal
import subprocess
import sys

from hakoiri.cli.termination import EXIT_CODE

PROGRAM = """
import os, signal
from hakoiri.cli.termination import end_in_order_on_sigterm
end_in_order_on_sigterm()
try:
    print("open", flush=True)
    signal.pause()
finally:
    os.kill(os.getpid(), signal.SIGTERM)
    print("closed", flush=True)
"""


def test_what_is_open_is_closed_and_a_second_signal_does_not_cut_that_short() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "open\n"
        program.send_signal(signal.SIGTERM)
        assert program.stdout.read() == "closed\n"
    assert program.returncode == EXIT_CODE
