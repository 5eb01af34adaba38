import pytest

from hakoiri.credential_proxy.credentials.source import (
    PREVIOUS_KEPT,
    FixedValue,
    MissingValue,
    Rotation,
    fixed_or_missing,
)
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_rotation_keeps_the_newest_and_the_last_ones_it_replaced() -> None:
    rotation: Rotation[int] = Rotation()
    assert rotation.held == ()
    for value in range(PREVIOUS_KEPT + 3):
        rotation.replace(value)
    newest = PREVIOUS_KEPT + 2
    assert rotation.newest == newest
    assert rotation.held == tuple(range(newest, newest - PREVIOUS_KEPT - 1, -1))


def test_an_equal_value_replaces_nothing() -> None:
    rotation: Rotation[str] = Rotation()
    rotation.replace("a")
    held = rotation.held
    rotation.replace("a")
    assert rotation.held is held


async def test_a_value_is_there_or_tells_why_not() -> None:
    def read() -> str:
        raise CredentialError("KEY is not set")

    fixed, missing = fixed_or_missing(lambda: "planted"), fixed_or_missing(read)
    assert isinstance(fixed, FixedValue)
    assert (fixed.current(), await fixed.get(), fixed.held(), fixed.fault) == (
        "planted",
        "planted",
        ("planted",),
        None,
    )
    assert isinstance(missing, MissingValue)
    assert (missing.current(), missing.held(), missing.fault) == (None, (), "KEY is not set")
    with pytest.raises(CredentialError, match="KEY is not set"):
        await missing.get()


def test_a_value_that_cannot_be_used_is_refused_when_it_is_read() -> None:
    def read() -> str:
        raise ConfigurationError("broken")

    with pytest.raises(ConfigurationError, match="broken"):
        fixed_or_missing(read)
