import asyncio
import base64
import json
import pickle
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.credentials import Credentials

from hakoiri.credential_proxy.configuration import parse_configuration
from hakoiri.credential_proxy.credentials.keyring import Keyring
from hakoiri.credential_proxy.credentials.outgoing_request import OutgoingRequest
from hakoiri.credential_proxy.credentials.refreshed_value import RefreshTasks
from hakoiri.credential_proxy.credentials.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD
from hakoiri.credential_proxy.credentials.source_loader import SourceLoader
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialError
from hakoiri.credential_proxy.signing_scope import SigningScope

pytestmark = pytest.mark.anyio
FILE = """
[credentials.chain]
kind = "aws"
services = ["bedrock"]
regions = ["us-east-1"]
[credentials.static]
kind = "aws"
source = "static"
access_key_id_env = "ID"
secret_access_key_env = "SECRET"
session_token_env = "TOKEN"
services = ["bedrock"]
regions = ["us-east-1"]
[credentials.header]
kind = "header"
header = "X-Api-Key"
value_env = "KEY"
hosts = ["api.example.com"]
[credentials.basic]
kind = "basic"
username = "git"
value_file = "VALUE"
hosts = ["git.example.com"]
[credentials.query]
kind = "query"
parameter = "key"
value_env = "KEY"
hosts = ["maps.example.com"]
[credentials.stand-in]
kind = "secret"
value_env = "STAND_IN"
hosts = ["api.example.com"]
"""
ENVIRON = {
    "ID": "AKID",
    "SECRET": "planted-secret",
    "TOKEN": "planted-token",
    "KEY": "planted",
    "STAND_IN": "planted-stand-in",
}
REQUEST = OutgoingRequest("GET", "/", "a=1", (("host", "a.test"), ("accept", "*/*")))
SCOPE = SigningScope("us-east-1", "bedrock")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Session:
    def __init__(self, profile: str | None) -> None:
        assert profile is None

    def get_credentials(self) -> Credentials:
        return Credentials("AKIDCHAIN", "planted-secret")


@dataclass
class World:
    """The proxy's file, environment and clock."""

    value: Path
    environ: dict[str, str] = field(default_factory=lambda: dict(ENVIRON))
    now: datetime = NOW
    text: str = FILE
    tasks: RefreshTasks = field(default_factory=RefreshTasks)

    def write(self, text: str) -> None:
        self.value.write_text(text)
        self.value.chmod(0o600)

    def load(self) -> Keyring:
        loader = SourceLoader(
            environ=self.environ,
            now=lambda: self.now,
            clock_s=lambda: 0.0,
            tasks=self.tasks,
            new_session=Session,
        )
        configuration = parse_configuration(self.text.replace("VALUE", str(self.value)))
        return Keyring.load(configuration, loader=loader)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "value")
    world.write("planted-password")
    yield world
    await world.tasks.close()


async def applied(keyring: Keyring, name: str) -> dict[str, str]:
    return dict((await keyring.apply(name, REQUEST)).headers)


async def signed(keyring: Keyring, name: str, request: OutgoingRequest = REQUEST) -> dict[str, str]:
    outgoing = await keyring.apply(name, request, scope=SCOPE, body_sha256=EMPTY_SHA256)
    return dict(outgoing.headers)


async def test_each_credential_is_used_in_its_way(world: World) -> None:
    keyring = world.load()
    assert (await applied(keyring, "header"))["x-api-key"] == "planted"
    basic = base64.b64encode(b"git:planted-password").decode()
    assert (await applied(keyring, "basic"))["authorization"] == f"Basic {basic}"
    assert (await keyring.apply("query", REQUEST)).query == "a=1&key=planted"
    static = await signed(keyring, "static")
    assert "Credential=AKID/20260101/us-east-1/bedrock" in static["authorization"]
    assert static["x-amz-security-token"] == "planted-token"
    chain = await signed(keyring, "chain")
    assert "Credential=AKIDCHAIN/" in chain["authorization"]
    assert "x-amz-security-token" not in chain
    assert {name for name in keyring.known_placeholders if keyring.is_placeholder_name(name)} == {
        "stand-in"
    }
    assert [keyring.is_signing(name) for name in ("chain", "static", "header")] == [
        True,
        True,
        False,
    ]


async def test_what_the_client_signed_with_is_replaced_and_what_it_tells_aws_is_signed(
    world: World,
) -> None:
    theirs = (
        ("Host", "a.test"),
        ("Authorization", "theirs"),
        ("X-Amz-Date", "theirs"),
        ("X-AMZ-Security-Token", "theirs"),
        ("x-amz-security-token", "theirs"),
        ("x-amz-content-sha256", "theirs"),
        ("X-Amz-Target", "Service.Do"),
        ("content-type", "application/json"),
        ("accept", "*/*"),
    )
    request = OutgoingRequest("POST", "/", "", theirs)
    keyring = world.load()
    for name in ("chain", "static"):
        outgoing = await keyring.apply(name, request, scope=SCOPE, body_sha256=EMPTY_SHA256)
        names = [name.lower() for name, _ in outgoing.headers]
        assert len(names) == len(set(names))
        assert "theirs" not in dict(outgoing.headers).values()
        authorization = dict(outgoing.headers)["authorization"]
        token = "x-amz-security-token;" if name == "static" else ""
        expected = f"SignedHeaders=content-type;host;x-amz-date;{token}x-amz-target,"
        assert expected in authorization


async def test_a_body_may_be_left_unsigned(world: World) -> None:
    outgoing = await world.load().apply(
        "static", REQUEST, scope=SCOPE, body_sha256=UNSIGNED_PAYLOAD
    )
    assert dict(outgoing.headers)["x-amz-content-sha256"] == UNSIGNED_PAYLOAD


async def test_a_credential_is_not_used_in_another_way(world: World) -> None:
    keyring = world.load()
    for name, scope, body_sha256 in (
        ("static", None, None),
        ("static", SCOPE, None),
        ("static", None, EMPTY_SHA256),
        ("header", SCOPE, EMPTY_SHA256),
        ("stand-in", None, None),
        ("absent", None, None),
    ):
        with pytest.raises(CredentialError):
            await keyring.apply(name, REQUEST, scope=scope, body_sha256=body_sha256)


async def test_a_placeholder_stands_for_its_own_secret_and_no_other_credential_does(
    world: World,
) -> None:
    keyring = world.load()
    found = await keyring.placeholders(["stand-in"])
    assert {name: secret.reveal() for name, secret in found.items()} == {
        "stand-in": "planted-stand-in"
    }
    assert await keyring.placeholders([]) == {}
    for name in ("header", "static", "absent"):
        with pytest.raises(CredentialError, match="no placeholder"):
            await keyring.placeholders([name])
    del world.environ["STAND_IN"]
    with pytest.raises(CredentialError, match="STAND_IN is not set"):
        await world.load().placeholders(["stand-in"])


async def test_what_is_missing_is_told_and_the_rest_works(world: World) -> None:
    for variable in ("SECRET", "KEY"):
        del world.environ[variable]
    keyring = world.load()
    assert not keyring.ready()
    health = {entry.name: entry for entry in await keyring.health()}
    assert list(health) == ["basic", "chain", "header", "query", "stand-in", "static"]
    assert [entry.ready for entry in health.values()] == [True, True, False, False, True, False]
    assert "KEY is not set" in health["header"].reason
    assert "SECRET is not set" in health["static"].reason
    with pytest.raises(CredentialError, match="KEY is not set"):
        await applied(keyring, "header")
    with pytest.raises(CredentialError, match="SECRET is not set"):
        await signed(keyring, "static")


async def test_a_secret_rotated_in_its_file_is_used_by_the_next_request(world: World) -> None:
    keyring = world.load()
    before = (await applied(keyring, "basic"))["authorization"]
    kept = keyring.secrets_in_force(["basic"])
    assert keyring.secrets_in_force(["basic"]) == kept
    world.write("planted-anew")
    after = (await applied(keyring, "basic"))["authorization"]
    assert after != before
    in_force = [secret.reveal() for secret in keyring.secrets_in_force(["basic"])]
    for password in ("planted-anew", "planted-password"):
        assert password in in_force
        assert base64.b64encode(f"git:{password}".encode()).decode() in in_force


async def test_a_broken_rotation_keeps_the_old_secret_and_is_told(world: World) -> None:
    keyring = world.load()
    before = await applied(keyring, "basic")
    world.write("planted\nbroken")
    assert await applied(keyring, "basic") == before
    entry = next(entry for entry in await keyring.health() if entry.name == "basic")
    assert entry.ready
    assert "credentials.basic.value_file" in entry.reason
    assert "planted" not in entry.reason
    assert keyring.ready()


async def test_the_secrets_of_a_request_are_those_of_its_credentials_once_each(
    world: World,
) -> None:
    keyring = world.load()
    in_force = keyring.secrets_in_force(["static", "header", "query", "absent"])
    assert [secret.reveal() for secret in in_force] == [
        "planted-secret",
        "planted-token",
        "planted",
    ]
    assert keyring.secrets_in_force(["chain"]) == (), "nothing has gone upstream yet"
    await signed(keyring, "chain")
    assert [s.reveal() for s in keyring.secrets_in_force(["chain"])] == ["planted-secret"]


async def test_keys_that_have_ended_sign_nothing(world: World) -> None:
    end = (NOW + timedelta(hours=1)).isoformat()
    document = {"AccessKeyId": "AKID", "SecretAccessKey": "planted", "Expiration": end}
    world.write(json.dumps(document))
    world.text = (
        '[credentials.file]\nkind = "aws"\nsource = "file"\nkeys_file = "VALUE"\n'
        'services = ["bedrock"]\nregions = ["us-east-1"]\n'
    )
    keyring = world.load()
    await signed(keyring, "file")
    world.now = NOW + timedelta(hours=1)
    with pytest.raises(CredentialError, match="have ended"):
        await signed(keyring, "file")
    assert not (await keyring.health())[0].ready


async def test_nothing_is_started_while_all_is_at_hand(world: World) -> None:
    keyring = world.load()
    await signed(keyring, "chain")
    tasks = asyncio.all_tasks()
    for name in ("chain", "static"):
        call = keyring.apply(name, REQUEST, scope=SCOPE, body_sha256=EMPTY_SHA256)
        with pytest.raises(StopIteration):
            call.send(None)
    assert asyncio.all_tasks() == tasks


async def test_a_secret_with_a_line_break_is_refused_at_load_and_not_shown(world: World) -> None:
    world.environ["KEY"] = "planted\r\nX: y"
    with pytest.raises(ConfigurationError, match=r"credentials\.header\.value_env") as refused:
        world.load()
    assert "planted" not in str(refused.value)


async def test_nothing_about_a_request_or_the_keyring_shows_a_secret(world: World) -> None:
    keyring = world.load()
    outgoing = await keyring.apply("header", REQUEST)
    for shown in (repr(outgoing), repr(keyring), repr(keyring.secrets_in_force(["static"]))):
        assert "planted" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(keyring.secrets_in_force(["static"]))
