import subprocess
import sys
from dataclasses import asdict

import pytest

from hakoiri.wire.probe import ProbeRequest
from hakoiri.workspace_agent.probe.asked import Asked

REQUEST = ProbeRequest(
    runtime="runsc",
    owner_uid=7,
    owner_gid=8,
    namespaces={"ipc": 4_026_531_839},
    open_files=4096,
    file_limit_bytes=2**30,
    apparmor=None,
    thorough=True,
)


def test_it_is_what_the_agent_checked() -> None:
    assert asdict(Asked.read(REQUEST.model_dump_json())) == REQUEST.model_dump()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"runtime": "runc", "more": 1}'])
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        Asked.read(text)


def test_the_program_loads_no_library_that_takes_long() -> None:
    script = (
        "import sys, hakoiri.workspace_agent.probe.__main__; "
        "print([name for name in ('pydantic', 'asyncio', 'aiohttp') if name in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert loaded.stdout.strip() == "[]"
