"""botocore's own chain against metadata and STS servers of the test; only time is injected."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from hakoiri.credential_proxy.credential_definitions import AwsCredential
from hakoiri.credential_proxy.credentials.aws_chain import RENEW_PAUSE_S
from hakoiri.credential_proxy.credentials.refreshed_value import RefreshTasks
from hakoiri.credential_proxy.credentials.sigv4 import AwsKeys
from hakoiri.credential_proxy.credentials.source import Source
from hakoiri.credential_proxy.credentials.source_loader import SourceLoader
from hakoiri.credential_proxy.errors import CredentialError

from .conftest import chains_have_ended

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)
ROLE = "arn:aws:iam::123456789012:role/agents"


@dataclass
class Aws:
    """Metadata and STS on loopback: hands out numbered keys that end after `life`."""

    life: timedelta = 6 * HOUR
    is_broken: bool = False
    given: int = 0
    url: str = ""
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    now_s: float = 0.0
    tasks: RefreshTasks = field(default_factory=RefreshTasks)

    def _keys(self) -> dict[str, str]:
        if self.is_broken:
            raise web.HTTPInternalServerError
        self.given += 1
        return {
            "AccessKeyId": f"AKID{self.given}",
            "SecretAccessKey": "planted",
            "Token": f"token{self.given}",
            "Expiration": (datetime.now(UTC) + self.life).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    async def container(self, request: web.Request) -> web.Response:
        """The ECS and EKS endpoint."""
        self.seen.append(("container", dict(request.headers)))
        return web.json_response(self._keys())

    async def imds_token(self, request: web.Request) -> web.Response:
        """IMDSv2: no answer without this token."""
        assert request.headers["x-aws-ec2-metadata-token-ttl-seconds"]
        return web.Response(text="imds-token")

    async def imds_roles(self, request: web.Request) -> web.Response:
        """The name of the instance's role."""
        return web.Response(text="instance-role")

    async def imds_keys(self, request: web.Request) -> web.Response:
        """The keys of the instance's role."""
        self.seen.append(("imds", dict(request.headers)))
        return web.json_response({"Code": "Success", "Type": "AWS-HMAC", **self._keys()})

    async def sts(self, request: web.Request) -> web.Response:
        """AssumeRole in the query protocol."""
        form = {name: values[0] for name, values in parse_qs(await request.text()).items()}
        self.seen.append(("sts", {**request.headers, **form}))
        if form["RoleArn"] != ROLE:
            denied = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
            return web.Response(status=403, text=denied, content_type="text/xml")
        keys = self._keys()
        token = keys.pop("Token")
        fields = "".join(f"<{n}>{v}</{n}>" for n, v in {**keys, "SessionToken": token}.items())
        user = (
            f"<AssumedRoleUser><Arn>{ROLE}</Arn><AssumedRoleId>A</AssumedRoleId></AssumedRoleUser>"
        )
        text = (
            f"<AssumeRoleResponse><AssumeRoleResult><Credentials>{fields}</Credentials>{user}"
            "</AssumeRoleResult></AssumeRoleResponse>"
        )
        return web.Response(text=text, content_type="text/xml")

    def source(self, **more: object) -> Source[AwsKeys]:
        """A source as the proxy's file would make it."""
        loader = SourceLoader(
            environ={}, now=lambda: datetime.now(UTC), clock_s=lambda: self.now_s, tasks=self.tasks
        )
        fields = {"kind": "aws", "services": ["bedrock"], "regions": ["eu-west-1"], **more}
        return loader.keys("a", AwsCredential.model_validate(fields))

    async def renewed(self, source: Source[AwsKeys], until: Callable[[AwsKeys], bool]) -> AwsKeys:
        """Use `source` as requests would, with the pause between questions, until it holds."""
        async with asyncio.timeout(60):
            while True:
                self.now_s += RENEW_PAUSE_S
                keys = await source.get()
                if until(keys):
                    return keys
                await asyncio.sleep(0.01)


@pytest.fixture
async def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Aws]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    aws = Aws()
    application = web.Application()
    imds = "/latest/meta-data/iam/security-credentials/"
    application.router.add_get("/container", aws.container)
    application.router.add_put("/latest/api/token", aws.imds_token)
    application.router.add_get(imds, aws.imds_roles)
    application.router.add_get(f"{imds}instance-role", aws.imds_keys)
    application.router.add_post("/", aws.sts)
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(chains_have_ended)
        stack.push_async_callback(aws.tasks.close)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        aws.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield aws


def ids(keys: AwsKeys) -> tuple[str, str | None]:
    token = keys.session_token
    return keys.access_key_id, token.reveal() if token is not None else None


async def test_keys_come_from_the_proxys_environment(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    source = aws.source()
    assert ids(await source.get()) == ("AKIDENV", "token")


async def test_keys_come_from_the_profile_that_the_file_names(aws: Aws, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key = planted\n"
        "[agents]\naws_access_key_id = AKIDAGENTS\naws_secret_access_key = planted\n"
    )
    assert ids(await aws.source().get()) == ("AKIDDEFAULT", None)
    assert ids(await aws.source(profile="agents").get()) == ("AKIDAGENTS", None)
    with pytest.raises(CredentialError, match="ProfileNotFound"):
        await aws.source(profile="absent").get()


async def test_keys_come_from_a_credential_process_and_are_renewed(
    aws: Aws, tmp_path: Path
) -> None:
    ending = (datetime.now(UTC) + HOUR / 12).isoformat()
    script = tmp_path / "process.py"
    script.write_text(
        "import json, pathlib\n"
        f"count = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "number = len(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text('x' * number)\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'AKID{number}',"
        f" 'SecretAccessKey': 'planted', 'SessionToken': 't', 'Expiration': {ending!r}}}))\n"
    )
    (tmp_path / "config").write_text(
        f"[profile agents]\ncredential_process = {sys.executable} {script}\n"
    )
    source = aws.source(profile="agents")
    first = await source.get()
    assert first == await source.get()
    renewed = await aws.renewed(source, lambda keys: keys != first)
    assert source.held()[:2] == (renewed, first)


async def test_keys_come_from_the_containers_endpoint_with_its_token(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "endpoint-token")
    source = aws.source()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(source.get()) for _ in range(20)]
    assert {ids(task.result()) for task in asking} == {("AKID1", "token1")}
    assert [kind for kind, _ in aws.seen] == ["container"], "twenty who wait ask once"
    assert aws.seen[0][1]["Authorization"] == "endpoint-token"
    aws.now_s += 3600
    assert ids(await source.get()) == ("AKID1", "token1")
    assert aws.given == 1, "keys that hold for long are not asked for again"


async def test_keys_that_end_soon_are_renewed_and_the_old_ones_serve_meanwhile(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    aws.life = HOUR / 5  # within botocore's 15 minutes
    source = aws.source()
    first = await source.get()
    given = aws.given
    assert [await source.get() for _ in range(10)] == [first] * 10
    assert aws.given == given, "short-lived keys are not asked for at each request"
    aws.now_s += RENEW_PAUSE_S
    assert source.current() == first, "the old ones serve while the new ones are fetched"
    aws.life = 6 * HOUR
    renewed = await aws.renewed(source, lambda keys: keys != first)
    assert ids(renewed) == (f"AKID{aws.given}", f"token{aws.given}")
    assert source.held()[:2] == (renewed, first)


async def test_an_endpoint_that_breaks_leaves_keys_that_hold_in_use(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/container")
    aws.life = HOUR / 12  # within botocore's 10 minutes: a refresh that fails is an error
    source = aws.source()
    first = await source.get()
    aws.is_broken = True
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    async with asyncio.timeout(60):
        while source.fault is None:
            aws.now_s += RENEW_PAUSE_S
            assert await source.get() == first
            await asyncio.sleep(0.01)
    assert "credentials.a: the AWS credential chain failed" in source.fault
    assert await source.get() == first


async def test_keys_come_from_the_instances_metadata_with_a_session_token(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.url)
    source = aws.source()
    assert ids(await source.get()) == ("AKID1", "token1")
    assert aws.seen[0][1]["x-aws-ec2-metadata-token"] == "imds-token"


async def test_a_role_is_assumed_with_the_chains_keys_and_assumed_again_in_time(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.url)
    aws.life = HOUR / 5
    more = {"role_session_name": "agents", "external_id": "x-1", "role_duration_s": 900}
    source = aws.source(role_arn=ROLE, **more)
    first = await source.get()
    call = aws.seen[0][1]
    assert "Credential=AKIDENV/" in call["Authorization"]
    assert "/eu-west-1/sts/" in call["Authorization"]
    wanted = {
        "Action": "AssumeRole",
        "RoleArn": ROLE,
        "RoleSessionName": "agents",
        "ExternalId": "x-1",
        "DurationSeconds": "900",
    }
    assert wanted.items() <= call.items()
    assert ids(await aws.renewed(source, lambda keys: keys != first))[0].startswith("AKID")


async def test_a_role_is_assumed_where_the_profile_says_so(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(
        f"[profile agents]\nrole_arn = {ROLE}\nsource_profile = base\nregion = eu-west-1\n"
    )
    (tmp_path / "credentials").write_text(
        "[base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = planted\n"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.url)
    assert ids(await aws.source(profile="agents").get()) == ("AKID1", "token1")
    assert "Credential=AKIDBASE/" in aws.seen[0][1]["Authorization"]


async def test_a_role_that_is_denied_is_told_by_its_code(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.url)
    with pytest.raises(CredentialError, match="STS said AccessDenied"):
        await aws.source(role_arn=ROLE + "-other").get()


async def test_a_chain_without_keys_says_so(aws: Aws) -> None:
    with pytest.raises(CredentialError, match="found no credentials"):
        await aws.source().get()
    assert aws.seen == []
