"""Where a credential's value comes from, as its users see it; and the values that never change."""

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from hakoiri.credential_proxy.errors import CredentialError

Value = TypeVar("Value")
ValueOut_co = TypeVar("ValueOut_co", covariant=True)

PREVIOUS_KEPT: Final = 2
"""Replaced values that are still looked for in answers: requests that used them may be on."""


class Source(Protocol[ValueOut_co]):
    """Gives a value that holds now, and tells what is wrong with its origin."""

    @property
    def fault(self) -> str | None:
        """Why the origin gives nothing usable; an older value may still be in use."""
        ...

    def current(self) -> ValueOut_co | None:
        """Return the value if it can be used without waiting."""
        ...

    async def get(self) -> ValueOut_co:
        """Return the value, and wait for it if need be; raises CredentialError."""
        ...

    def held(self) -> tuple[ValueOut_co, ...]:
        """Return the values that may have gone upstream: the newest, and those just replaced."""
        ...


class Rotation(Generic[Value]):
    """A value and the last ones that it replaced."""

    def __init__(self) -> None:
        self._held: tuple[Value, ...] = ()
        self._previous: deque[Value] = deque(maxlen=PREVIOUS_KEPT)

    @property
    def newest(self) -> Value | None:
        """The value, once there is one."""
        return self._held[0] if self._held else None

    @property
    def held(self) -> tuple[Value, ...]:
        """The newest value first; the same tuple until it is replaced."""
        return self._held

    def replace(self, value: Value) -> None:
        """Take `value` in; one equal to the newest changes nothing."""
        if self._held and self._held[0] == value:
            return
        if self._held:
            self._previous.appendleft(self._held[0])
        self._held = (value, *self._previous)


class FixedValue(Generic[Value]):
    """A value that was read once, when the proxy's file was."""

    fault: str | None = None

    def __init__(self, value: Value) -> None:
        self._held = (value,)

    def current(self) -> Value:
        """Return the value."""
        return self._held[0]

    async def get(self) -> Value:
        """Return the value."""
        return self._held[0]

    def held(self) -> tuple[Value, ...]:
        """Return the value."""
        return self._held


class MissingValue(Generic[Value]):
    """A value that is not there; `fault` tells why."""

    def __init__(self, fault: str) -> None:
        self.fault: str | None = fault

    def current(self) -> Value | None:
        """Return nothing."""
        return None

    async def get(self) -> Value:
        """Raise CredentialError with the reason."""
        raise CredentialError(self.fault or "")

    def held(self) -> tuple[Value, ...]:
        """Return nothing."""
        return ()


def fixed_or_missing(read: Callable[[], Value]) -> "Source[Value]":
    """Read once; what is not there leaves the credential not ready instead of failing the file.

    Raises:
        ConfigurationError: the value is there and cannot be used.
    """
    try:
        return FixedValue(read())
    except CredentialError as error:
        return MissingValue(str(error))
