"""`--production`: what is missing is refused before anything is touched, in the doctor's words."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.e2e.running import hakoiri
from tests.e2e.scripts import RUN
from tests.engine import TestEngine

from hakoiri.cli.doctor.apparmor_facts import read_apparmor

pytestmark = [pytest.mark.engine, pytest.mark.root]


def run(
    command: str, *options: str, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "hakoiri.cli", command, *options],
        env={"PATH": os.environ["PATH"], **variables},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_server_that_lacks_a_layer_does_not_start_and_the_doctor_says_the_same(
    tmp_path: Path, engine: TestEngine
) -> None:
    variables = {
        "HAKOIRI_DATA_DIR": str(tmp_path / "data"),
        "HAKOIRI_DOCKER_HOST": engine.docker_host,
        "HAKOIRI_GUARD__LIVE_DIR": str(tmp_path / "live"),
        "HAKOIRI_MODEL__PROVIDER": "rehearsal",
    }
    refused = run("serve", "--production", variables=variables)
    told = run("doctor", "--production", "-o", "json", variables=variables)

    report = json.loads(told.stdout)
    expected = [
        f"hakoiri serve: {one['name']}: {one['text']}; mend: {one['mend']}"
        for one in report["findings"]
        if one["name"].startswith("production: ") and one["state"] == "missing"
    ]
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.splitlines() == expected
    lacking = {line.split(": ")[2] for line in expected}
    assert {"apparmor", "image signature", "model", "api keys"} <= lacking
    assert (told.returncode, report["ok"]) == (1, False)
    assert list(tmp_path.iterdir()) == [], "nothing was made"


def test_without_the_word_the_doctor_and_the_server_are_as_they_were(
    tmp_path: Path, engine: TestEngine
) -> None:
    told = run(
        "doctor",
        "--json",
        variables={
            "HAKOIRI_DATA_DIR": str(tmp_path),
            "HAKOIRI_DOCKER_HOST": engine.docker_host,
        },
    )
    names = [one["name"] for one in json.loads(told.stdout)["findings"]]
    assert "apparmor" in names
    assert not any(name.startswith("production: ") for name in names)


def test_a_server_on_a_kernel_without_apparmor_serves_and_says_so(
    tmp_path: Path, engine: TestEngine, image: str
) -> None:
    with hakoiri(tmp_path, docker_host=engine.docker_host, script=RUN) as running:
        ready = running.server.api.call("GET", "/ready")
        (told,) = running.server_log("apparmor")
    assert ready["ready"]
    if read_apparmor().enabled:
        assert ready["apparmor"]["profile"] is None
        assert "no profile is named" in ready["apparmor"]["reason"]
    else:
        assert ready["apparmor"]["state"] == "degraded"
        assert "the kernel has no AppArmor" in ready["apparmor"]["reason"]
    assert (told["level"], told["reason"]) == ("warning", ready["apparmor"]["reason"])
