"""Loads a filter into itself, then asks it or becomes another program; of the standard library.

under_filter.py FILTER ask <CALLS    prints each call's errno, as JSON; see `asking` in bpf.py
under_filter.py FILTER run COMMAND…
"""

import ctypes
import json
import os
import sys
from pathlib import Path

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ASKED = 0x4A554447
NO_CALL = 0xFFFF
INSTRUCTION_BYTES = 8

# it keeps Python's lock, for whose sake there would be calls in between
LIBC = ctypes.PyDLL(None, use_errno=True)


class Program(ctypes.Structure):
    """What the kernel takes: `struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def load(text: bytes) -> None:
    """Put the filter on this process, for good."""
    program = Program(len(text) // INSTRUCTION_BYTES, text)
    for what in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if LIBC.prctl(*what) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def call(number: int, arguments: list[int], last: int) -> int:
    """Make a call; return its errno, 0 if it worked."""
    padded = [*arguments, 0, 0, 0, 0, 0][:5]
    ctypes.set_errno(0)
    answer = LIBC.syscall(*(ctypes.c_long(one) for one in (number, *padded, last)))
    return ctypes.get_errno() if answer == -1 else 0


def ask(number: int, arguments: list[int]) -> int:
    """Ask the filter about a call, then make one by which the register of the question is empty."""
    answer = call(number, arguments, ASKED)
    call(NO_CALL, [], 0)
    return answer


def main() -> None:
    """Load it, and do what is asked for."""
    calls = json.load(sys.stdin) if sys.argv[2] == "ask" else []
    load(Path(sys.argv[1]).read_bytes())
    if sys.argv[2] == "run":
        os.execv(sys.argv[3], sys.argv[3:])
    print(json.dumps([ask(number, arguments) for number, *arguments in calls]))


main()
