"""`hakoiri demo` as a user runs it, under both runtimes: every promise must hold."""

import json
import os
import subprocess
import sys

import pytest
from tests.engine import TestEngine

PROMISES = 8


@pytest.mark.engine
@pytest.mark.root
@pytest.mark.usefixtures("image")
@pytest.mark.parametrize("runtime", ["runc", "runsc"])
def test_every_promise_of_the_demo_holds(engine: TestEngine, runtime: str) -> None:
    environment = os.environ | {
        "DOCKER_HOST": engine.docker_host,
        "HAKOIRI_DOCKER_HOST": engine.docker_host,
        "HAKOIRI_CONTAINER__RUNTIME": runtime,
    }
    played = subprocess.run(
        [sys.executable, "-P", "-m", "hakoiri.cli", "demo", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    proofs = json.loads(played.stdout)["proofs"]
    assert [proof for proof in proofs if not proof["held"]] == []
    assert len(proofs) == PROMISES
    assert played.returncode == 0
