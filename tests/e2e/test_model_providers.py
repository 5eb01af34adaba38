"""The agent's CLI, from inside a container, against both model APIs, with keys it does not have."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from tests.e2e.running import Hakoiri, data_of, prepare
from tests.e2e.scripts import RUN
from tests.engine import TestEngine
from tests.integration.rehearsal.server import (
    ACCESS_KEY_ID,
    API_KEY,
    REGION,
    SECRET_ACCESS_KEY,
    Server,
    rehearsal,
)

pytestmark = [pytest.mark.engine, pytest.mark.root]

Provider = Literal["bedrock", "anthropic"]
IDENTITIES = {"bedrock": ACCESS_KEY_ID, "anthropic": "api-key"}
CREDENTIALS = {
    "bedrock": f"""
kind = "aws"
source = "static"
access_key_id_env = "KEY_ID"
secret_access_key_env = "SECRET_KEY"
services = ["bedrock"]
regions = ["{REGION}"]
""",
    "anthropic": """
kind = "header"
header = "x-api-key"
value_env = "API_KEY"
hosts = ["api.anthropic.com"]
""",
}


@dataclass(frozen=True, slots=True)
class Running:
    """A server with a provider other than the rehearsal, and the API that stands in for it."""

    provider: Provider
    server: Hakoiri
    model: Server


@pytest.fixture(scope="module", params=["bedrock", "anthropic"])
def running(
    request: pytest.FixtureRequest,
    engine: TestEngine,
    image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    provider: Provider = request.param
    root = tmp_path_factory.mktemp(provider)
    script = root / "run.yaml"
    script.write_text(RUN)
    with rehearsal(script=script) as model:
        made = prepare(
            root,
            docker_host=engine.docker_host,
            settings={
                "HAKOIRI_CONTAINER__IMAGE": image,
                "HAKOIRI_MODEL__PROVIDER": provider,
                "HAKOIRI_MODEL__REGION": REGION,
            },
        )
        write_proxy_files(root / "proxy", provider, model.port)
        with made.server:
            yield Running(provider, made, model)


def write_proxy_files(own: Path, provider: Provider, port: int) -> None:
    (own / "proxy.toml").write_text(
        f"[credentials.{provider}]{CREDENTIALS[provider]}"
        f'endpoint = "http://127.0.0.1:{port}"\n'
        f'[network]\nallow_addresses = ["127.0.0.1:{port}"]\n'
    )
    (own / "proxy.env").write_text(
        f"KEY_ID={ACCESS_KEY_ID}\nSECRET_KEY={SECRET_ACCESS_KEY}\nAPI_KEY={API_KEY}\n"
    )
    (own / "proxy.env").chmod(0o600)


def test_a_turn_runs_with_a_key_that_only_the_proxy_has(running: Running) -> None:
    server = running.server
    events = server.turn(server.conversation(), "run: env; cat /proc/*/environ; echo boxed")
    assert events[-1]["type"] == "result", events[-1]
    seen = data_of(events, "tool_result")[0]["text"]
    assert "boxed" in seen
    assert not [secret for secret in (SECRET_ACCESS_KEY, API_KEY) if secret in seen]
    asked = running.model.journal()
    assert {entry["verdict"] for entry in asked} == {"valid"}
    assert {entry["identity"] for entry in asked} == {IDENTITIES[running.provider]}


def test_a_model_that_the_policy_does_not_name_is_refused_and_not_asked(running: Running) -> None:
    server = running.server
    before = server.api.call("GET", "/v1/policies/default")
    narrower = {**before, "model": {**before["model"], "models": ["another-model"]}}
    server.api.call("PUT", "/v1/policies/default", narrower)
    asked = len(running.model.journal())
    try:
        conversation = server.conversation()
        last = server.turn(conversation, "hello")[-1]
    finally:
        server.api.call("PUT", "/v1/policies/default", before)
    assert last["type"] == "error"
    assert last["data"]["code"] == "request-refused"
    assert "model-not-allowed" in last["data"]["text"]
    assert len(running.model.journal()) == asked
    assert server.turn(server.conversation(), "hello")[-1]["type"] == "result"
