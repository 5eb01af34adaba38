import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials
from pydantic import TypeAdapter

from hakoiri.credential_proxy.credential_definitions import (
    AwsCredential,
    Credential,
    ValueCredential,
)
from hakoiri.credential_proxy.credentials.refreshed_value import RETRY_AFTER_S, RefreshTasks
from hakoiri.credential_proxy.credentials.source_loader import SourceLoader
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialError

pytestmark = pytest.mark.anyio
_CREDENTIAL: TypeAdapter[Any] = TypeAdapter(Credential)
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class World:
    """A clock, an environment, and a file that commands print."""

    file: Path
    now_s: float = 0.0
    environ: dict[str, str] = field(default_factory=dict)
    tasks: RefreshTasks = field(default_factory=RefreshTasks)

    @property
    def loader(self) -> SourceLoader:
        return SourceLoader(
            environ=self.environ,
            now=lambda: START + timedelta(seconds=self.now_s),
            clock_s=lambda: self.now_s,
            tasks=self.tasks,
            new_session=lambda **_: _Session(),
        )

    @property
    def command(self) -> list[str]:
        return ["/bin/cat", str(self.file)]

    def write(self, text: str) -> None:
        self.file.write_text(text)
        self.file.chmod(0o600)

    def write_keys(self, key_id: str, *, ends_after_s: float | None = None) -> None:
        document: dict[str, Any] = {"AccessKeyId": key_id, "SecretAccessKey": "planted"}
        if ends_after_s is not None:
            document["Expiration"] = (START + timedelta(seconds=ends_after_s)).isoformat()
        self.write(json.dumps(document))


class _Session:
    def get_credentials(self) -> Credentials:
        return Credentials("AKIDCHAIN", "planted")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "value")
    yield world
    await world.tasks.close()


def bearer(**source: object) -> ValueCredential:
    parsed: ValueCredential = _CREDENTIAL.validate_python(
        {"kind": "bearer", "hosts": ["a.test"], **source}
    )
    return parsed


def aws(**more: object) -> AwsCredential:
    fields = {"kind": "aws", "services": ["bedrock"], "regions": ["us-east-1"], **more}
    return AwsCredential.model_validate(fields)


async def test_a_variable_is_read_and_one_that_is_not_set_is_told_by_name(world: World) -> None:
    credential = bearer(value_env="KEY")
    with pytest.raises(CredentialError, match=r"credentials\.a\.value_env: KEY is not set"):
        await world.loader.secret("a", credential).get()
    world.environ["KEY"] = "planted"
    assert (await world.loader.secret("a", credential).get()).secret.reveal() == "planted"
    world.environ["KEY"] = "planted\n"
    with pytest.raises(ConfigurationError, match=r"credentials\.a\.value_env"):
        world.loader.secret("a", credential)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
async def test_a_file_is_watched_and_loses_its_last_line_break(world: World, end: str) -> None:
    credential = bearer(value_file=world.file)
    world.write(f"first{end}")
    source = world.loader.secret("a", credential)
    assert (await source.get()).sent.reveal() == "Bearer first"
    world.write(f"second{end}")
    assert (await source.get()).sent.reveal() == "Bearer second"
    world.write("a\nb\n")
    assert (await source.get()).sent.reveal() == "Bearer second"
    assert "credentials.a.value_file" in (source.fault or "")


async def test_a_command_is_run_again_when_its_time_is_over_and_kept_as_long_again(
    world: World,
) -> None:
    world.write("first\n")
    source = world.loader.secret("a", bearer(value_command=world.command, value_ttl_s=60))
    assert (await source.get()).secret.reveal() == "first"
    world.write("second\n")
    world.now_s = 59
    assert (await source.get()).secret.reveal() == "first"
    world.file.unlink()
    world.now_s = 119
    assert (await source.get()).secret.reveal() == "first"
    world.now_s = 120
    with pytest.raises(CredentialError, match=r"credentials\.a\.value_command: .* code 1"):
        await source.get()
    world.write("third\n")
    world.now_s += RETRY_AFTER_S
    assert (await source.get()).secret.reveal() == "third"


async def test_a_command_that_prints_what_cannot_be_sent_is_told_without_it(world: World) -> None:
    world.write("planted\r\nX: y\n")
    source = world.loader.secret("a", bearer(value_command=world.command))
    with pytest.raises(CredentialError, match="visible ASCII") as refused:
        await source.get()
    assert "planted" not in str(refused.value)


async def test_static_keys_come_from_their_variables(world: World) -> None:
    credential = aws(
        source="static",
        access_key_id_env="ID",
        secret_access_key_env="SECRET",
        session_token_env="TOKEN",
    )
    world.environ |= {"ID": "AKID", "SECRET": "planted"}
    with pytest.raises(CredentialError, match="session_token_env: TOKEN is not set"):
        await world.loader.keys("a", credential).get()
    world.environ["TOKEN"] = "token"
    keys = await world.loader.keys("a", credential).get()
    assert keys.access_key_id == "AKID"
    assert [secret.reveal() for secret in keys.secrets()] == ["planted", "token"]


async def test_a_keys_file_is_watched(world: World) -> None:
    world.write_keys("FIRST")
    source = world.loader.keys("a", aws(source="file", keys_file=world.file))
    assert (await source.get()).access_key_id == "FIRST"
    world.write_keys("SECOND")
    assert (await source.get()).access_key_id == "SECOND"
    world.write("{")
    assert (await source.get()).access_key_id == "SECOND"
    assert "credentials.a.keys_file" in (source.fault or "")


@pytest.mark.parametrize(
    ("ends_after_s", "ttl_s", "due_s", "ended_s"),
    [
        (3600, None, 3300, 3600),
        (400, None, 200, 400),
        (3600, 100, 100, 3600),
        (None, None, 300, 600),
        (None, 100, 100, 200),
    ],
)
async def test_keys_of_a_command_are_renewed_before_they_end(
    world: World, ends_after_s: int | None, ttl_s: int | None, due_s: int, ended_s: int
) -> None:
    world.write_keys("FIRST", ends_after_s=ends_after_s)
    credential = aws(source="command", keys_command=world.command, keys_ttl_s=ttl_s)
    source = world.loader.keys("a", credential)
    first = await source.get()
    world.now_s = due_s - 1
    world.file.unlink()
    assert await source.get() == first
    assert source.fault is None
    world.now_s = ended_s - 1
    assert await source.get() == first
    world.now_s = ended_s
    with pytest.raises(CredentialError, match=r"credentials\.a\.keys_command: .* code 1"):
        await source.get()


async def test_keys_that_have_ended_when_a_command_gives_them_are_refused(world: World) -> None:
    world.write_keys("FIRST", ends_after_s=0)
    source = world.loader.keys("a", aws(source="command", keys_command=world.command))
    with pytest.raises(CredentialError, match="ended already"):
        await source.get()


async def test_the_chain_is_asked_at_the_first_use(world: World) -> None:
    source = world.loader.keys("a", aws())
    assert source.current() is None
    assert (await source.get()).access_key_id == "AKIDCHAIN"
    assert source.current() is not None
