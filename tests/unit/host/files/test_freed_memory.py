import subprocess
import sys

from hakoiri.host.files.packs import PACK_BYTES

ROUNDS = 20
PAGE_BYTES = 4096

# A process of its own: what is told to the C library holds for the whole process.
SCRIPT = f"""
import resource, sys, threading
from pathlib import Path
from hakoiri.host.files.freed_memory import give_back, keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * {PAGE_BYTES}

def work():
    seen = 0
    for index in range({ROUNDS} + 1):
        packs = [b"x" * ({PACK_BYTES} + number) for number in range(4)]
        del packs
        if index == 0:
            seen = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - seen)
    before = resident()
    give_back()
    print(before - resident())

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def measured(how: str) -> tuple[int, int]:
    """Return the page faults after the first round, and the bytes that were given back."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True
    )
    faults, given_back = map(int, done.stdout.split())
    return faults, given_back


def test_packs_cost_no_page_faults_once_there_was_room_for_them() -> None:
    a_round = 4 * PACK_BYTES // PAGE_BYTES
    assert measured("kept")[0] < a_round
    assert measured("as it is")[0] > a_round * ROUNDS // 2


def test_what_was_kept_is_given_back() -> None:
    assert measured("kept")[1] >= 2 * PACK_BYTES
