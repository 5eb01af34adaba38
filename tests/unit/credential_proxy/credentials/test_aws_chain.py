import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import CredentialRetrievalError

from hakoiri.credential_proxy.credentials.aws_chain import RETRY_AFTER_S, AwsChain
from hakoiri.credential_proxy.errors import CredentialError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class World:
    """A botocore session whose answer a test sets, and a clock."""

    find: Callable[[], Any]
    asked: int = 0
    now_s: float = 0.0
    timeout_s: float = 10.0
    threads: set[int] = field(default_factory=set)

    def get_credentials(self) -> Any:
        self.asked += 1
        self.threads.add(threading.get_ident())
        return self.find()

    def chain(self) -> AwsChain:
        return AwsChain(
            clock_s=lambda: self.now_s, new_session=lambda: self, timeout_s=self.timeout_s
        )


class Rotating:
    """Credentials that are due for refresh at each question."""

    def __init__(self) -> None:
        self.refreshed = 0
        self.is_due = True

    def refresh_needed(self) -> bool:
        return self.is_due

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        self.refreshed += self.is_due
        return ReadOnlyCredentials(f"AKID{self.refreshed}", "secret", "token", None)


async def test_keys_are_found_once_off_the_loops_thread_with_their_session_token() -> None:
    world = World(find=lambda: Credentials("AKID", "secret", "token"))
    chain = world.chain()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(chain.keys()) for _ in range(3)]
    for task in asking:
        keys = task.result()
        assert (keys.access_key_id, keys.secret_access_key.reveal()) == ("AKID", "secret")
        assert keys.session_token is not None
        assert keys.session_token.reveal() == "token"
    assert world.asked == 1
    assert threading.get_ident() not in world.threads


async def test_rotated_keys_are_used_by_the_next_request() -> None:
    rotating = Rotating()
    chain = World(find=lambda: rotating).chain()
    assert (await chain.keys()).access_key_id == "AKID1"
    assert (await chain.keys()).access_key_id == "AKID2"
    rotating.is_due = False
    assert (await chain.keys()).access_key_id == "AKID2"


async def test_a_chain_that_finds_nothing_is_not_asked_again_at_once() -> None:
    world = World(find=lambda: None)
    chain = world.chain()
    for _ in range(2):
        with pytest.raises(CredentialError, match="found no credentials"):
            await chain.keys()
    assert world.asked == 1
    world.now_s, world.find = RETRY_AFTER_S, lambda: Credentials("AKID", "secret")
    assert (await chain.keys()).session_token is None


async def test_botocores_errors_become_ours_without_its_text() -> None:
    def fail() -> None:
        raise CredentialRetrievalError(provider="planted", error_msg="planted")

    with pytest.raises(CredentialError, match="CredentialRetrievalError") as failed:
        await World(find=fail).chain().keys()
    assert "planted" not in str(failed.value)


async def test_a_chain_that_does_not_answer_is_given_up() -> None:
    go = threading.Event()
    world = World(find=lambda: go.wait(10), timeout_s=0.01)
    with pytest.raises(CredentialError, match="in time"):
        await world.chain().keys()
    go.set()


async def test_keys_that_would_break_a_header_are_refused() -> None:
    with pytest.raises(CredentialError, match="visible ASCII"):
        await World(find=lambda: Credentials("AKID", "sec\nret")).chain().keys()
