import subprocess
import sys
from typing import cast

import pytest

from hakoiri.docker_guard import process
from hakoiri.docker_guard.call_log import CallLog
from hakoiri.docker_guard.rules import GuardLaunch

PIECES = 64

# A process of its own: what is told to the C library holds for the whole process.
SCRIPT = f"""
import ctypes, sys
from hakoiri.docker_guard.even_memory import MAPPED_FROM_BYTES, keep_memory_even

class Told(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "mappings", "hblkhd", "usmblks", "fsmblks", "uordblks",
        "fordblks", "keepcost",
    )]

library = ctypes.CDLL(None)
library.mallinfo2.restype = Told
if sys.argv[1] == "even":
    assert keep_memory_even()
large = bytes(1024 * 1024)
del large  # from now on, by default, such pieces are put into the heap
before = library.mallinfo2().mappings
pieces = [bytes(MAPPED_FROM_BYTES) for _ in range({PIECES})]
print(library.mallinfo2().mappings - before)
"""


def mappings(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_a_large_piece_leaves_no_hole_between_what_is_kept() -> None:
    assert mappings("even") > PIECES * 3 // 4  # the first find room that is there already
    assert mappings("as it is") == 0


@pytest.mark.anyio
async def test_a_guard_says_so_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> bool:
        raise OSError("told first")

    monkeypatch.setattr(process, "keep_memory_even", told)
    with pytest.raises(OSError, match="told first"):
        await process.serve(cast("GuardLaunch", None), log=CallLog())
