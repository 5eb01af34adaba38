"""Each server of the e2e tests is swept at its end for its secrets: here that is seen to find them.

What is not swept: what is packed in the object store, and databases on other servers.
"""

from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.leaks import API_KEY
from tests.e2e.running import SweptServer, hakoiri
from tests.e2e.scripts import RUN
from tests.engine import TestEngine

pytestmark = [pytest.mark.engine, pytest.mark.root]

SIGNED_WITH = "HAKOIRI_REHEARSAL_SECRET_ACCESS_KEY"
"""What the proxy signs the rehearsal model's requests with."""


def test_a_server_that_was_used_leaves_no_secret(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    """With a key, a wrong one, a turn and a request that is refused."""
    settings = {"HAKOIRI_CONTAINER__IMAGE": image}
    with hakoiri(tmp_path, docker_host=engine.docker_host, script=RUN, settings=settings) as server:
        made = server.api.call("POST", "/v1/keys", {"name": "for this test"})
        assert API_KEY.fullmatch(made["key"].encode())
        server.api.call("DELETE", f"/v1/keys/{made['id']}")
        events = server.turn(server.conversation(), "run: curl -s https://denied.example.test/")
        assert events[-1]["type"] == "result"


def test_a_secret_in_any_place_is_found_at_the_end(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    with ExitStack() as ending:
        settings = {"HAKOIRI_CONTAINER__IMAGE": image}
        server = ending.enter_context(
            hakoiri(tmp_path, docker_host=engine.docker_host, settings=settings)
        )
        assert isinstance(server.server, SweptServer)
        secret = server.server.needles[SIGNED_WITH].decode()
        places = [
            server.server.log,
            server.data_dir / "planted",
            server.root / "audit" / server.instance / "planted",
            server.proxy_state_dir / "planted",
            server.run_dir / "planted",
        ]
        for path in places:
            with path.open("a") as file:
                file.write(f"{secret}\n")
        container = server.docker(
            *("create", "--network=none", f"--env=TOLD=hk_{'0' * 16}_{'a' * 64}"),
            *("--label", f"hakoiri.instance={server.instance}", image, "true"),
        )
        try:
            with pytest.raises(AssertionError, match="a secret is where none may be") as raised:
                ending.close()
        finally:
            server.docker("rm", "--force", container)
    told = str(raised.value)
    assert secret not in told
    assert [path for path in places if f"{SIGNED_WITH} in {path}" not in told] == []
    assert f"an API key in docker inspect {container[:12]}" in told
