"""The proxy's file is changed while the server runs: SIGHUP puts it in force."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from tests import waiting
from tests.e2e.running import prepare
from tests.e2e.scripts import RUN
from tests.engine import TestEngine

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root]

WAIT_S = 60.0
until = partial(waiting.until, wait_s=WAIT_S)
FILE = """
[credentials.site]
kind = "bearer"
value_env = "SITE_TOKEN"
hosts = ["site.example.test"]
"""


def test_a_changed_proxy_file_is_put_in_force_and_a_broken_one_changes_nothing(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    made = prepare(
        tmp_path,
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    )
    file = made.root / "proxy" / "proxy.toml"
    with made.server:
        policy = made.api.call("GET", "/v1/policies/default")
        policy["rules"] = [{"host": "site.example.test", "credential": "site"}]

        def is_known() -> bool:
            try:
                made.api.call("PUT", "/v1/policies/default", policy)
            except ApiError:
                return False
            return True

        conversation = made.conversation()
        assert made.turn(conversation, "run: echo before")[-1]["type"] == "result"
        assert not is_known()
        (proxy,) = made.processes("hakoiri.credential_proxy")
        file.write_text(FILE)
        os.kill(made.server.pid, signal.SIGHUP)
        until(is_known)

        file.write_text(FILE + "hosts = 5\n")
        os.kill(made.server.pid, signal.SIGHUP)
        until(lambda: "the old proxy file stays" in made.server.log.read_text())
        assert is_known()
        assert made.processes("hakoiri.credential_proxy") == [proxy]
        # the rehearsal model's own credential is still there
        assert made.turn(conversation, "run: echo after")[-1]["type"] == "result"
