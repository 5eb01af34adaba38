"""How the real runsc reads flags, which is what `runsc_flags` goes by."""

import re
import subprocess
from pathlib import Path

import pytest
from tests.engine import find_command

from hakoiri.docker_guard.runsc_flags import why_not_sealed
from hakoiri.wire.guard import RUNSC_FLAGS


@pytest.mark.engine
@pytest.mark.parametrize(
    ("arguments", "network"),
    [
        (["--network=none"], "none"),
        (["--network=none", "--network=host"], "host"),
        (["--network=host", "--network=none"], "none"),
        (["--network=none", "-network", "host"], "host"),
        (["--debug-log", "--network=none"], "sandbox"),
    ],
)
def test_the_last_of_two_holds_and_a_value_may_be_the_next_word(
    tmp_path: Path, arguments: list[str], network: str
) -> None:
    done = subprocess.run(
        [
            *(find_command("runsc") or "runsc", *arguments, f"--root={tmp_path}"),
            *("--debug", "--alsologtostderr", "list"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    found = re.search(r"Network: (\w+)", done.stderr)
    assert found is not None, done.stderr
    assert found[1] == network
    others = [flag for flag in RUNSC_FLAGS if flag != "--network=none"]
    assert (why_not_sealed([*arguments, *others]) is None) == (arguments == ["--network=none"])
