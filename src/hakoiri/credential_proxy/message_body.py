"""What a model request's body says of itself: the model it names, and the most it asks for.

A field that is doubled, or spelled in another letter case, is refused: the upstream's parser might
read the other one.
"""

import json
import re
from typing import Any, Final, Self

from hakoiri.credential_proxy.budgets.charge import Operation
from hakoiri.credential_proxy.errors import CredentialProxyError

ELEMENTS_LIMIT: Final = 300_000
"""Brackets, braces and commas outside strings: what parsing takes in time and memory goes by them.
A long conversation has some ten thousand; all neighbours wait while a body is parsed (50 ms for so
many)."""

_ELEMENTS: Final = (b",", b"[", b"{")
_STRINGS_LIMIT: Final = 3 * ELEMENTS_LIMIT
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string, or one that never ends, up to the end: so that no place is looked at twice."""

TOKENS_MAX: Final = 10**7
_MOST: Final = frozenset(
    {"max_tokens", "maxtokens", "max_tokens_to_sample", "max_new_tokens", "max_completion_tokens"}
)


class MessageBodyError(CredentialProxyError):
    """The body does not say it beyond doubt."""


class MessageBody:
    """A JSON object, with its fields as they came."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Parse a body.

        Raises:
            MessageBodyError: it is not a JSON object in UTF-8, or has too many elements.
        """
        if _has_too_many_elements(body):
            raise MessageBodyError(f"the body has more than {ELEMENTS_LIMIT} elements")
        try:
            document = json.loads(body.decode("utf-8"), object_pairs_hook=list)
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            raise MessageBodyError("the body is not JSON in UTF-8") from error
        if not body.lstrip(b" \t\r\n").startswith(b"{"):
            raise MessageBodyError("the body is not a JSON object")
        return cls(document)

    def model(self) -> str:
        """Return the model it names. Raises MessageBodyError unless it does once, as a string."""
        model = self._field("model")
        if not isinstance(model, str):
            raise MessageBodyError("the body must name its model once, as a string")
        return model

    def max_tokens(self, operation: Operation) -> int | None:
        """Return the most tokens it asks for; None if it does not say.

        Raises:
            MessageBodyError: it says so twice, elsewhere too, or not as a whole number.
        """
        if operation != "converse":
            return self.number("max_tokens")
        extra = self._inner("additionalModelRequestFields")
        if extra is not None and any(name.casefold() in _MOST for name, _ in extra.pairs):
            raise MessageBodyError("say the most tokens in inferenceConfig.maxTokens alone")
        inner = self._inner("inferenceConfig")
        return None if inner is None else inner.number("maxTokens")

    def _field(self, field: str) -> object:
        named = [(name, value) for name, value in self.pairs if name.casefold() == field.casefold()]
        if not named:
            return None
        if len(named) != 1 or named[0][0] != field:
            raise MessageBodyError(f"the body must have one {field}, in this spelling")
        return named[0][1]

    def _inner(self, field: str) -> "MessageBody | None":
        value = self._field(field)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(pair, tuple) for pair in value):
            raise MessageBodyError(f"{field} is not a JSON object")
        return MessageBody(value)

    def number(self, field: str) -> int | None:
        """Return a field that is a count. Raises MessageBodyError for anything else."""
        value = self._field(field)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= TOKENS_MAX:
            raise MessageBodyError(f"{field} must be a whole number from 1 to {TOKENS_MAX}")
        return value


def _has_too_many_elements(body: bytes) -> bool:
    if sum(map(body.count, _ELEMENTS)) <= ELEMENTS_LIMIT:
        return False
    outside = _STRING.sub(b"", body, count=_STRINGS_LIMIT)
    return sum(map(outside.count, _ELEMENTS)) > ELEMENTS_LIMIT
