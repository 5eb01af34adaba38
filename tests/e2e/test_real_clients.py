"""Real clients in a container reach a site over HTTPS with a token that none of them holds."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.https_site import HOST, TOKEN, Site, https_site, trusting_file
from tests.e2e.running import Hakoiri, data_of, prepare
from tests.e2e.scripts import RUN
from tests.engine import TestEngine

pytestmark = [pytest.mark.engine, pytest.mark.root]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with https_site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="module")
def server(
    site: Site, engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    readable = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="hakoiri-trust-"))
    made = prepare(
        tmp_path_factory.mktemp("clients"),
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    )
    own = made.root / "proxy"
    (own / "proxy.toml").write_text(f"""
[credentials.site]
kind = "bearer"
value_env = "SITE_TOKEN"
hosts = ["{HOST}"]
endpoint = "https://{HOST}:{site.port}"
[network]
allow_addresses = ["127.0.0.1:{site.port}"]
ca_file = "{trusting_file(site, readable)}"
[network.hosts]
"{HOST}" = "127.0.0.1"
""")
    (own / "proxy.env").write_text(f"SITE_TOKEN={TOKEN}\n")
    (own / "proxy.env").chmod(0o600)
    try:
        with made.server:
            policy = made.api.call("GET", "/v1/policies/default")
            policy["rules"] = [{"host": HOST, "methods": ["GET"], "credential": "site"}]
            made.api.call("PUT", "/v1/policies/default", policy)
            yield made
    finally:
        shutil.rmtree(readable)


@pytest.fixture(scope="module")
def conversation(server: Hakoiri) -> str:
    return server.conversation()


CLIENTS = {
    "curl": ("curl -sS https://{host}/hello.txt", "hello from the site"),
    "git": (
        "git clone --quiet https://{host}/repo.git /tmp/repo && cat /tmp/repo/README",
        "hello from git",
    ),
    "pip": (
        (
            "pip install --quiet --disable-pip-version-check --no-cache-dir --target /tmp/wheels"
            " --index-url https://{host}/simple boxed-demo && PYTHONPATH=/tmp/wheels"
            " python3 -m boxed_demo"
        ),
        "hello from pip",
    ),
    "npm": (
        (
            "npm install --silent --no-audit --no-fund --prefix /tmp/node --cache /tmp/npm"
            " --registry https://{host}/ boxed-demo && node /tmp/node/node_modules/boxed-demo"
        ),
        "hello from npm",
    ),
    "node https": (
        (
            'node -e \'require("https").get("https://{host}/hello.txt",'
            " answer => answer.pipe(process.stdout))'"
        ),
        "hello from the site",
    ),
    "node fetch": (
        (
            'node -e \'fetch("https://{host}/hello.txt").then(answer => answer.text())'
            ".then(text => process.stdout.write(text))'"
        ),
        "hello from the site",
    ),
    "python": (
        (
            "python3 -c 'import urllib.request as u;"
            ' print(u.urlopen("https://{host}/hello.txt").read().decode())\''
        ),
        "hello from the site",
    ),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_gets_what_only_the_token_opens(
    server: Hakoiri, conversation: str, site: Site, client: str
) -> None:
    command, wanted = CLIENTS[client]
    assert output(server, conversation, command.replace("{host}", HOST)).strip() == wanted
    assert site.refused == []


def test_what_the_site_tells_of_the_token_does_not_reach_the_container(
    server: Hakoiri, conversation: str
) -> None:
    told = output(server, conversation, f"curl -sS https://{HOST}/who")
    assert TOKEN not in told
    assert told.strip() == "Bearer " + "*" * len(TOKEN)
    assert TOKEN not in output(server, conversation, "env; cat /proc/self/environ")


def test_a_method_that_the_rule_does_not_name_is_refused(
    server: Hakoiri, conversation: str
) -> None:
    told = output(server, conversation, f"curl -sS -X DELETE https://{HOST}/hello.txt")
    assert "method-not-allowed" in told


def output(server: Hakoiri, conversation: str, command: str) -> str:
    events = server.turn(conversation, f"run: {command}")
    assert events[-1]["type"] == "result", events[-1]
    text: str = data_of(events, "tool_result")[0]["text"]
    return text
