"""Real clients in a container reach sites over HTTPS with keys that none of them holds."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e import aws_like_site, socket_site
from tests.e2e.aws_like_site import Store
from tests.e2e.https_site import (
    HOST,
    INDEX_HOST,
    TOKEN,
    Site,
    https_site,
    plain_site,
    trusting_file,
)
from tests.e2e.running import Hakoiri, data_of, prepare
from tests.e2e.scripts import RUN
from tests.e2e.wheels import AWS_SDK
from tests.engine import TestEngine

pytestmark = [pytest.mark.engine, pytest.mark.root]

PLAIN_HOST = "plain.example.test"
DENIED_HOST = "denied.example.test"


@dataclass(frozen=True, slots=True)
class Sites:
    """All that the clients may reach."""

    site: Site
    index: Site
    store: Store
    store_port: int
    socket_port: int
    plain_port: int
    ca_file: Path


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    with ExitStack() as stack:
        readable = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="hakoiri-trust-"))
        stack.callback(shutil.rmtree, readable)
        root = tmp_path_factory.mktemp("sites")
        site = stack.enter_context(https_site(root / "site"))
        index = stack.enter_context(https_site(root / "index", host=INDEX_HOST, token=None))
        store_server, store = stack.enter_context(aws_like_site.aws_like_site(root))
        socket_server = stack.enter_context(socket_site.socket_site(root))
        servers = (site, index, store_server, socket_server)
        yield Sites(
            site=site,
            index=index,
            store=store,
            store_port=store_server.port,
            socket_port=socket_server.port,
            plain_port=stack.enter_context(plain_site(root / "site")),
            ca_file=trusting_file((server.certificate_pem for server in servers), readable),
        )


def proxy_file(sites: Sites) -> str:
    ports = (
        sites.site.port,
        sites.index.port,
        sites.store_port,
        sites.socket_port,
        sites.plain_port,
    )
    allowed = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    names = (
        HOST,
        INDEX_HOST,
        aws_like_site.HOST,
        socket_site.HOST,
        PLAIN_HOST,
        DENIED_HOST,
    )
    hosts = "\n".join(f'"{name}" = "127.0.0.1"' for name in names)
    return f"""
[credentials.site]
kind = "bearer"
value_env = "SITE_TOKEN"
hosts = ["{HOST}"]
endpoint = "https://{HOST}:{sites.site.port}"

[credentials.socket]
kind = "bearer"
value_env = "SOCKET_TOKEN"
hosts = ["{socket_site.HOST}"]
endpoint = "https://{socket_site.HOST}:{sites.socket_port}"

[credentials.store]
kind = "aws"
source = "static"
access_key_id_env = "STORE_ACCESS_KEY_ID"
secret_access_key_env = "STORE_SECRET_ACCESS_KEY"
endpoint = "https://{aws_like_site.HOST}:{sites.store_port}"
[credentials.store.hosts."{aws_like_site.HOST}"]
service = "s3"
region = "{aws_like_site.REGION}"

[network]
allow_addresses = [{allowed}]
ca_file = "{sites.ca_file}"
[network.hosts]
{hosts}
"""


def rules(sites: Sites) -> list[dict[str, object]]:
    store = ["/agents/**"]
    return [
        {"host": HOST, "methods": ["GET"], "credential": "site"},
        {"host": PLAIN_HOST, "ports": [sites.plain_port], "methods": ["GET"]},
        {"host": aws_like_site.HOST, "paths": store, "credential": "store"},
        {"host": socket_site.HOST, "websocket": True, "credential": "socket"},
    ]


@pytest.fixture(scope="module")
def server(
    sites: Sites, engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    made = prepare(
        tmp_path_factory.mktemp("clients"),
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    )
    own = made.root / "proxy"
    (own / "proxy.toml").write_text(proxy_file(sites))
    (own / "proxy.env").write_text(
        f"SITE_TOKEN={TOKEN}\nSOCKET_TOKEN={socket_site.TOKEN}\n"
        f"STORE_ACCESS_KEY_ID={aws_like_site.KEYS.access_key}\n"
        f"STORE_SECRET_ACCESS_KEY={aws_like_site.KEYS.secret_key}\n"
    )
    (own / "proxy.env").chmod(0o600)
    with made.server:
        policy = made.api.call("GET", "/v1/policies/default")
        policy["rules"] = rules(sites)
        made.api.call("PUT", "/v1/policies/default", policy)
        yield made


@pytest.fixture(scope="module")
def conversation(server: Hakoiri) -> str:
    return server.conversation()


CLIENTS = {
    "curl": ("curl -sS --fail https://{host}/hello.txt", "hello from the site"),
    "git": (
        (
            "rm -rf /tmp/repo; git clone --quiet https://{host}/repo.git /tmp/repo"
            " && cat /tmp/repo/README"
        ),
        "hello from git",
    ),
    "pip": (
        (
            "rm -rf /tmp/wheels; pip install --quiet --retries 0 --disable-pip-version-check"
            " --no-cache-dir --target /tmp/wheels --index-url https://{host}/simple boxed-demo"
            " && PYTHONPATH=/tmp/wheels python3 -m boxed_demo"
        ),
        "hello from pip",
    ),
    "npm": (
        (
            "rm -rf /tmp/node /tmp/npm; npm install --silent --no-audit --no-fund"
            " --fetch-retries 0 --prefix /tmp/node --cache /tmp/npm --registry https://{host}/"
            " boxed-demo && node /tmp/node/node_modules/boxed-demo"
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


TELLS_LITTLE = {"pip", "npm", "node fetch"}
"""These say that they failed, but asked to be quiet or by themselves not with which status."""


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_gets_what_only_the_token_opens(
    server: Hakoiri, conversation: str, sites: Sites, client: str
) -> None:
    command, wanted = CLIENTS[client]
    assert output(server, conversation, command.replace("{host}", HOST)).strip() == wanted
    assert sites.site.refused == []


@pytest.mark.parametrize("client", CLIENTS)
def test_the_same_client_fails_towards_a_host_that_no_rule_names(
    server: Hakoiri, conversation: str, client: str
) -> None:
    command, wanted = CLIENTS[client]
    refused = f"({command.replace('{host}', DENIED_HOST)}) || echo refused with $?"
    told = output(server, conversation, refused)
    assert "refused with" in told
    assert "403" in told or client in TELLS_LITTLE
    assert wanted not in told


PLAIN_CLIENTS = {
    "node http": (
        'node -e \'require("http").get("{url}", answer => {'
        " if (answer.statusCode !== 200) process.exitCode = 1;"
        " answer.pipe(process.stdout); })'"
    ),
    "node fetch": (
        'node -e \'fetch("{url}").then(async answer => {'
        " if (!answer.ok) process.exitCode = 1;"
        " process.stdout.write(await answer.text()); })'"
    ),
    "curl": "curl -sS --fail-with-body {url}",
}


@pytest.mark.parametrize("client", PLAIN_CLIENTS)
def test_plain_http_takes_the_proxy_too(
    server: Hakoiri, conversation: str, sites: Sites, client: str
) -> None:
    url = f"http://{PLAIN_HOST}:{sites.plain_port}/hello.txt"
    command = PLAIN_CLIENTS[client]
    assert output(server, conversation, command.replace("{url}", url)) == "hello from the site"
    denied = command.replace("{url}", f"http://{DENIED_HOST}:{sites.plain_port}/hello.txt")
    told = output(server, conversation, f"({denied}) || echo refused with $?")
    assert "host-not-allowed" in told
    assert "refused with" in told


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


@pytest.fixture(scope="module")
def installed(server: Hakoiri, conversation: str) -> str:
    """A directory in the container with the libraries that some clients need."""
    target = "$HOME/libraries"
    told = output(
        server,
        conversation,
        f"pip install --quiet --no-cache-dir --disable-pip-version-check --target {target}"
        f" --index-url https://{HOST}/simple {' '.join(AWS_SDK)} websockets && echo installed",
    )
    assert told.strip() == "installed"
    return target


S3 = """\
import boto3
from botocore.exceptions import ClientError
store = boto3.client("s3", endpoint_url="https://{host}", region_name="{region}"{more})
store.put_object(Bucket="agents", Key="a b/note+1.txt", Body=b"kept by boto3")
print(store.get_object(Bucket="agents", Key="a b/note+1.txt")["Body"].read().decode())
try:
    store.get_object(Bucket="others", Key="note")
except ClientError as error:
    print("refused with", error.response["ResponseMetadata"]["HTTPStatusCode"])
"""
NO_KEYS = ', config=__import__("botocore.config", fromlist=["x"]).Config(signature_version=N)'
WITH_PLACEHOLDERS = ', aws_access_key_id="placeholder", aws_secret_access_key="placeholder"'


@pytest.mark.parametrize(
    "more",
    [WITH_PLACEHOLDERS, NO_KEYS.replace("N)", '__import__("botocore").UNSIGNED)')],
    ids=["placeholder keys", "no keys"],
)
def test_boto3_reaches_its_bucket_with_keys_that_only_the_proxy_has(
    server: Hakoiri, conversation: str, sites: Sites, installed: str, more: str
) -> None:
    sites.store.objects.clear()
    code = S3.format(host=aws_like_site.HOST, region=aws_like_site.REGION, more=more)
    told = python(server, conversation, installed, code)
    assert told.splitlines() == ["kept by boto3", "refused with 403"]
    assert sites.store.objects == {"/agents/a%20b/note%2B1.txt": b"kept by boto3"}
    assert sites.store.refused == [], "botocore would have signed it so"


SOCKET = """\
from websockets.exceptions import InvalidStatus, ProxyError, WebSocketException
from websockets.sync.client import connect
try:
    with connect("wss://{host}/", open_timeout=60) as socket:
        socket.send("over the wall")
        print(socket.recv())
except (WebSocketException, OSError) as error:
    print("refused:", error)
"""


def test_a_websocket_client_talks_both_ways_with_a_token_it_does_not_have(
    server: Hakoiri, conversation: str, installed: str
) -> None:
    code = SOCKET.format(host=socket_site.HOST)
    assert python(server, conversation, installed, code).strip() == "echo over the wall"


@pytest.mark.parametrize("host", [HOST, DENIED_HOST])
def test_a_websocket_where_no_rule_has_one_is_refused(
    server: Hakoiri, conversation: str, installed: str, host: str
) -> None:
    told = python(server, conversation, installed, SOCKET.format(host=host))
    assert told.startswith("refused:")
    assert "403" in told


def test_an_expanded_packages_preset_lets_pip_fetch_and_nobody_send(
    server: Hakoiri, sites: Sites, tmp_path: Path
) -> None:
    index = f"https://{INDEX_HOST}:{sites.index.port}"
    before = server.api.call("GET", "/v1/policies/default")
    text = hakoiri(server, "policy", "get")
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {index}/simple\n")
    given = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    arguments = ("policy", "preset", "packages", "--source", "pip", "--into", "-")
    whole = hakoiri(server, *arguments, given=text, environment=given)
    hakoiri(server, "policy", "set", "-", given=whole)
    try:
        conversation = server.conversation()
        command = CLIENTS["pip"][0].replace("https://{host}", index)
        assert output(server, conversation, command).strip() == "hello from pip"
        sent = output(server, conversation, f"curl -sS -d planted {index}/simple/")
        assert "method-not-allowed" in sent
        assert sites.index.posted == []
    finally:
        server.api.call("PUT", "/v1/policies/default", before)
    told = output(server, conversation, f"curl -sS {index}/simple/ || echo refused with $?")
    assert "refused with" in told, "what the policy no longer names is shut at once"


def hakoiri(
    server: Hakoiri, *arguments: str, given: str = "", environment: dict[str, str] | None = None
) -> str:
    """Run the command line as an operator does."""
    without = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    url = () if arguments[1] == "preset" else ("--url", f"http://127.0.0.1:{server.server.port}")
    return subprocess.run(
        [str(Path(sys.executable).with_name("hakoiri")), *arguments, *url],
        input=given,
        env=without | (environment or {}),
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def python(server: Hakoiri, conversation: str, libraries: str, code: str) -> str:
    """Run a Python program in the container."""
    put = f"cat > /tmp/program.py <<'END'\n{code}\nEND\n"
    return output(server, conversation, f"{put}PYTHONPATH={libraries} python3 /tmp/program.py")


def output(server: Hakoiri, conversation: str, command: str) -> str:
    events = server.turn(conversation, f"run: {command}")
    assert events[-1]["type"] == "result", events[-1]
    text: str = data_of(events, "tool_result")[0]["text"]
    return text
