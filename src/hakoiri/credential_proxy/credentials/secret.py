"""A value that cannot be shown by accident."""

import hmac
import re
from typing import Final, NoReturn

from hakoiri.credential_proxy.errors import ConfigurationError

_VISIBLE_ASCII: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
SECRET_LIMIT_CHARS: Final = 8192


class Secret:
    """A secret; only `reveal` gives it out. Every other way to see it shows `***`.

    Two of the same value are equal, so that a set of secrets can key what was prepared for it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str, *, name: str) -> None:
        """Hold `value`.

        Raises:
            ConfigurationError: it is empty, too long, or has a character that is not visible ASCII
                (a CR or LF would start a header of its own; RFC 9110, section 5.5). `name` says
                where it came from.
        """
        if len(value) > SECRET_LIMIT_CHARS or _VISIBLE_ASCII.fullmatch(value) is None:
            raise ConfigurationError(
                f"{name}: the secret must be 1 to {SECRET_LIMIT_CHARS} visible ASCII characters"
                " without line breaks; store it again"
            )
        self._value = value

    def reveal(self) -> str:
        """Give the secret out, to be put on a request."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, format_spec: str) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
