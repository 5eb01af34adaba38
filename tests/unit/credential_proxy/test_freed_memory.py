import subprocess
import sys

PIECE_BYTES = 256 * 1024
ROUNDS = 20
PAGE_BYTES = 4096

# A process of its own: what is told to the C library holds for the whole process.
SCRIPT = f"""
import resource, sys
from hakoiri.credential_proxy.freed_memory import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
seen = 0
for index in range({ROUNDS} + 1):
    pieces = [b"x" * ({PIECE_BYTES} + number) for number in range(4)]
    del pieces
    if index == 0:
        seen = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - seen)
"""


def faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_pieces_of_a_body_cost_no_page_faults_once_there_was_room_for_them() -> None:
    a_round = 4 * PIECE_BYTES // PAGE_BYTES
    assert faults("kept") < a_round
    assert faults("as it is") > a_round * ROUNDS // 2
