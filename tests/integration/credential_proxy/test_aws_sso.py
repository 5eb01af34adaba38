"""botocore's SSO chain against portal and token servers of the test."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hakoiri.credential_proxy.credential_definitions import AwsCredential
from hakoiri.credential_proxy.credentials.refreshed_value import RefreshTasks
from hakoiri.credential_proxy.credentials.sigv4 import AwsKeys
from hakoiri.credential_proxy.credentials.source import Source
from hakoiri.credential_proxy.credentials.source_loader import SourceLoader
from hakoiri.credential_proxy.errors import CredentialError

from .conftest import chains_have_ended

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
START_URL = "https://sso.example.test/start"
PORTAL = "sso_account_id = 123456789012\nsso_role_name = agents\n"
WITH_SESSION = f"""
[profile agents]
sso_session = office
{PORTAL}
[sso-session office]
sso_region = eu-west-1
sso_start_url = {START_URL}
sso_registration_scopes = sso:account:access
"""
WITHOUT_SESSION = f"""
[profile agents]
sso_region = eu-west-1
sso_start_url = {START_URL}
{PORTAL}
"""


@dataclass
class Portal:
    """What the login left on disk, and the servers that it is shown to."""

    cache: Path
    tasks: RefreshTasks = field(default_factory=RefreshTasks)
    valid_token: str = "planted-access-token"
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def credentials(self, request: web.Request) -> web.Response:
        """GetRoleCredentials (AWS SSO Portal API Reference)."""
        token = request.headers["x-amz-sso_bearer_token"]
        self.seen.append(("credentials", {"token": token, **request.query}))
        if token != self.valid_token:
            body = {"message": "Session token not found or invalid"}
            kind = {"x-amzn-ErrorType": "UnauthorizedException"}
            return web.json_response(body, status=401, headers=kind)
        ends_ms = int((datetime.now(UTC) + 6 * HOUR).timestamp() * 1000)
        keys = {
            "accessKeyId": "AKIDSSO",
            "secretAccessKey": "planted",
            "sessionToken": "token",
            "expiration": ends_ms,
        }
        return web.json_response({"roleCredentials": keys})

    async def token(self, request: web.Request) -> web.Response:
        """CreateToken (AWS SSO OIDC API Reference)."""
        asked = await request.json()
        self.seen.append(("token", asked))
        self.valid_token = "renewed-access-token"
        return web.json_response(
            {"accessToken": self.valid_token, "expiresIn": 3600, "refreshToken": "next"}
        )

    def log_in(self, name: str, *, life: timedelta) -> Path:
        """Leave on disk what `aws sso login` leaves."""
        now = datetime.now(UTC)
        content = {
            "startUrl": START_URL,
            "region": "eu-west-1",
            "accessToken": self.valid_token,
            "expiresAt": (now + life).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "clientId": "client",
            "clientSecret": "planted-client-secret",
            "registrationExpiresAt": (now + 24 * HOUR).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "refreshToken": "planted-refresh-token",
        }
        self.cache.mkdir(parents=True, exist_ok=True)
        path = self.cache / f"{sha1(name.encode(), usedforsecurity=False).hexdigest()}.json"
        path.write_text(json.dumps(content))
        return path

    def source(self) -> Source[AwsKeys]:
        """The source as the proxy's file would make it."""
        loader = SourceLoader(
            environ={}, now=lambda: datetime.now(UTC), clock_s=lambda: 0.0, tasks=self.tasks
        )
        fields = {"kind": "aws", "services": ["bedrock"], "regions": ["eu-west-1"]}
        return loader.keys("a", AwsCredential.model_validate({**fields, "profile": "agents"}))


@pytest.fixture
async def portal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Portal]:
    cache = tmp_path / "home" / ".aws" / "sso" / "cache"
    # botocore looks up HOME when it is imported, long before a test sets it
    monkeypatch.setattr("botocore.tokens.SSOTokenProvider._SSO_TOKEN_CACHE_DIR", str(cache))
    monkeypatch.setattr("botocore.credentials.SSOProvider._SSO_TOKEN_CACHE_DIR", str(cache))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    made = Portal(cache)
    application = web.Application()
    application.router.add_get("/federation/credentials", made.credentials)
    application.router.add_post("/token", made.token)
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(chains_have_ended)
        stack.push_async_callback(made.tasks.close)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO_OIDC", url)
        yield made


@pytest.mark.parametrize(
    ("config", "name"), [(WITH_SESSION, "office"), (WITHOUT_SESSION, START_URL)]
)
async def test_a_logins_token_becomes_the_roles_keys(
    portal: Portal, tmp_path: Path, config: str, name: str
) -> None:
    (tmp_path / "config").write_text(config)
    portal.log_in(name, life=HOUR)
    keys = await portal.source().get()
    assert keys.access_key_id == "AKIDSSO"
    assert keys.session_token is not None
    assert keys.session_token.reveal() == "token"
    (call,) = portal.seen
    assert call == (
        "credentials",
        {"token": "planted-access-token", "role_name": "agents", "account_id": "123456789012"},
    )


async def test_a_token_that_ends_is_renewed_by_itself_and_kept(
    portal: Portal, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(WITH_SESSION)
    kept = portal.log_in("office", life=timedelta(minutes=1))
    assert (await portal.source().get()).access_key_id == "AKIDSSO"
    renewal, call = portal.seen
    assert renewal[1]["refreshToken"] == "planted-refresh-token"
    assert call[1]["token"] == "renewed-access-token"
    assert json.loads(kept.read_text())["refreshToken"] == "next"


@pytest.mark.parametrize("config", [WITH_SESSION, WITHOUT_SESSION])
async def test_without_a_login_the_reason_is_told_and_no_secret(
    portal: Portal, tmp_path: Path, config: str
) -> None:
    (tmp_path / "config").write_text(config)
    with pytest.raises(CredentialError, match=r"the AWS credential chain failed: .*SSO"):
        await portal.source().get()
    assert portal.seen == []


async def test_a_login_that_the_portal_knows_no_more_is_told(
    portal: Portal, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(WITH_SESSION)
    portal.log_in("office", life=HOUR)
    portal.valid_token = "another"
    with pytest.raises(CredentialError, match="UnauthorizedSSOTokenError") as told:
        await portal.source().get()
    assert "planted" not in str(told.value)
