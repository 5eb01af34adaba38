from datetime import UTC, datetime

import pytest
from botocore.credentials import Credentials

from hakoiri.credential_proxy.configuration import parse_configuration
from hakoiri.credential_proxy.credentials.aws_chain import AwsChain
from hakoiri.credential_proxy.credentials.keyring import Keyring
from hakoiri.credential_proxy.credentials.sigv4 import EMPTY_SHA256, SignableRequest
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialError
from hakoiri.credential_proxy.signing_scope import SigningScope

pytestmark = pytest.mark.anyio
CONFIGURATION = parse_configuration("""
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
""")
ENVIRON = {"ID": "AKID", "SECRET": "planted-secret", "TOKEN": "planted-token", "KEY": "planted"}
REQUEST = SignableRequest("GET", "/", "", (("host", "a.test"),), EMPTY_SHA256)
SCOPE = SigningScope("us-east-1", "bedrock")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Session:
    def get_credentials(self) -> Credentials:
        return Credentials("AKIDCHAIN", "planted-secret")


def load(environ: dict[str, str]) -> Keyring:
    return Keyring.load(
        CONFIGURATION,
        environ=environ,
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        new_chain=lambda: AwsChain(clock_s=lambda: 0.0, new_session=Session),
    )


async def test_each_credential_is_used_in_its_way() -> None:
    keyring = load(ENVIRON)
    assert keyring.header("header") == ("x-api-key", "planted")
    static = dict(await keyring.sign("static", REQUEST, SCOPE))
    assert "Credential=AKID/20260101/us-east-1/bedrock" in static["authorization"]
    assert static["x-amz-security-token"] == "planted-token"
    chain = dict(await keyring.sign("chain", REQUEST, SCOPE))
    assert "Credential=AKIDCHAIN/" in chain["authorization"]
    assert "x-amz-security-token" not in chain


async def test_a_credential_is_not_used_in_another_way() -> None:
    keyring = load(ENVIRON)
    with pytest.raises(CredentialError):
        keyring.header("static")
    with pytest.raises(CredentialError):
        await keyring.sign("header", REQUEST, SCOPE)


async def test_what_is_missing_is_told_and_the_rest_works() -> None:
    keyring = load({"ID": "AKID"})
    health = {entry.name: entry for entry in await keyring.health()}
    assert list(health) == ["chain", "header", "static"]
    assert [entry.ready for entry in health.values()] == [True, False, False]
    assert "KEY is not set" in health["header"].reason
    assert "SECRET is not set" in health["static"].reason
    with pytest.raises(CredentialError, match="KEY is not set"):
        keyring.header("header")
    with pytest.raises(CredentialError, match="SECRET is not set"):
        await keyring.sign("static", REQUEST, SCOPE)


def test_a_secret_with_a_line_break_is_refused_at_load_and_not_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"credentials\.header\.value_env") as refused:
        load({**ENVIRON, "KEY": "planted\r\nX: y"})
    assert "planted" not in str(refused.value)
