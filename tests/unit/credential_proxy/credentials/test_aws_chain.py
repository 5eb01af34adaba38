import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import ClientError, CredentialRetrievalError

from hakoiri.credential_proxy.credential_definitions import AwsCredential
from hakoiri.credential_proxy.credentials.aws_chain import RENEW_PAUSE_S, AssumedRole, AwsChain
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialError

pytestmark = pytest.mark.anyio
ROLE = "arn:aws:iam::123456789012:role/r"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class World:
    """A botocore session whose answer a test sets."""

    find: Callable[[], Any]
    now_s: float = 0.0
    asked: int = 0
    profiles: list[str | None] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def get_credentials(self) -> Any:
        self.asked += 1
        self.threads.add(threading.get_ident())
        return self.find()

    def chain(self, profile: str | None = None) -> AwsChain:
        def new_session(*, profile: str | None) -> World:
            self.profiles.append(profile)
            return self

        return AwsChain(clock_s=lambda: self.now_s, profile=profile, new_session=new_session)


class Rotating:
    """Credentials that botocore would refresh: `due` and `ended` are its answers."""

    def __init__(self) -> None:
        self.given = 0
        self.due = self.ended = False

    def refresh_needed(self, refresh_in: int | None = None) -> bool:
        return self.ended if refresh_in == 0 else self.due

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        self.given += 1
        return ReadOnlyCredentials(f"AKID{self.given}", "secret", "token", None)


async def test_keys_are_found_off_the_loops_thread_with_their_session_token() -> None:
    world = World(find=lambda: Credentials("AKID", "secret", "token"))
    chain = world.chain("mine")
    for _ in range(2):
        lease = await chain.fetch()
        assert lease.value.access_key_id == "AKID"
        assert [secret.reveal() for secret in lease.value.secrets()] == ["secret", "token"]
        assert not lease.is_due()
        assert not lease.is_expired()
    assert world.asked == 1
    assert world.profiles == ["mine"]
    assert threading.get_ident() not in world.threads


async def test_botocore_tells_when_keys_are_due_and_when_they_have_ended() -> None:
    rotating = Rotating()
    world = World(find=lambda: rotating)
    chain = world.chain()
    lease = await chain.fetch()
    assert (lease.is_due(), lease.is_expired()) == (False, False)
    rotating.due = True
    assert not lease.is_due(), "keys that have just come are not asked for again"
    world.now_s = RENEW_PAUSE_S
    assert (lease.is_due(), lease.is_expired()) == (True, False)
    rotating.ended = True
    assert lease.is_expired()
    assert (await chain.fetch()).value.access_key_id == "AKID2"


async def test_a_chain_that_finds_nothing_looks_again_when_it_is_asked_again() -> None:
    world = World(find=lambda: None)
    chain = world.chain()
    with pytest.raises(CredentialError, match="found no credentials"):
        await chain.fetch()
    world.find = lambda: Credentials("AKID", "secret")
    assert (await chain.fetch()).value.session_token is None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CredentialRetrievalError(provider="planted", error_msg="planted"), "RetrievalError"),
        (ValueError("planted"), "ValueError"),
        (ClientError({"Error": {"Code": "AccessDenied", "Message": "planted"}}, "x"), "Denied"),
        (ClientError({"Error": {"Code": "planted\n", "Message": "planted"}}, "x"), "an error"),
    ],
)
async def test_errors_of_botocore_become_ours_without_their_text(
    error: Exception, said: str
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(CredentialError, match=said) as failed:
        await World(find=fail).chain().fetch()
    assert "planted" not in str(failed.value)
    assert failed.value.__cause__ is None


async def test_a_chain_that_hangs_takes_one_thread_however_often_it_is_asked() -> None:
    go = threading.Event()
    world = World(find=lambda: go.wait(60) and Credentials("AKID", "secret"))
    chain = world.chain()
    try:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await chain.fetch()
        assert len(world.threads) == 1
        waiting = asyncio.Task(chain.fetch())
        await asyncio.sleep(0)
    finally:
        go.set()
    assert (await waiting).value.access_key_id == "AKID"
    assert world.asked == 1, "a question given up by one is answered to the next"


async def test_keys_that_would_break_a_header_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="visible ASCII"):
        await World(find=lambda: Credentials("AKID", "sec\nret")).chain().fetch()


def test_the_role_is_what_the_file_says() -> None:
    fields: dict[str, Any] = {"kind": "aws", "services": ["s3"], "buckets": ["*"]}
    bare = AwsCredential.model_validate({**fields, "regions": ["eu-west-1"]})
    assert AssumedRole.of(bare) is None
    plain = AwsCredential.model_validate({**fields, "regions": ["eu-west-1"], "role_arn": ROLE})
    role = AssumedRole.of(plain)
    assert role is not None
    assert (role.arn, role.region) == (ROLE, "eu-west-1")
    assert role.parameters() == {"RoleSessionName": "hakoiri"}
    more = {"role_session_name": "me", "external_id": "x 1", "role_duration_s": 900}
    full = AssumedRole.of(plain.model_copy(update=more))
    assert full is not None
    assert full.parameters() == {
        "RoleSessionName": "me",
        "ExternalId": "x 1",
        "DurationSeconds": 900,
    }
