"""In a process of its own: what is left out would stay so for the tests that follow."""

import subprocess
import sys

SCRIPT = """
import gc
from hakoiri.garbage import pass_over_what_is_loaded

class Cycle:
    def __init__(self):
        self.itself = self

before = len(gc.get_objects())
pass_over_what_is_loaded()
assert gc.get_freeze_count() >= before
assert len(gc.get_objects()) < before / 10
assert gc.isenabled()
gc.collect()
Cycle()
assert gc.collect() >= 1, "what comes later is collected"
"""


def test_what_is_loaded_is_passed_over_and_what_comes_later_is_not() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
