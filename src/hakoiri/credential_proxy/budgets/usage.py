"""Tokens as a model's provider counts them."""

from dataclasses import dataclass
from typing import Final, Protocol

TOKENS_MAX: Final = 10**9
"""No answer takes more; a number above is not believed."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The four kinds of tokens that are billed; `input_tokens` are those outside the cache."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0

    @property
    def total(self) -> int:
        """All tokens, as a budget of tokens counts them."""
        return (
            self.input_tokens
            + self.output_tokens
            + self.cache_write_tokens
            + self.cache_read_tokens
        )

    @property
    def has_input(self) -> bool:
        """Whether it was told what the request's own tokens are."""
        return bool(self.input_tokens or self.cache_write_tokens or self.cache_read_tokens)

    def raised_to(self, other: "Usage") -> "Usage":
        """Return the higher of both, one by one: what is told in a stream only grows."""
        return Usage(
            max(self.input_tokens, other.input_tokens),
            max(self.output_tokens, other.output_tokens),
            max(self.cache_write_tokens, other.cache_write_tokens),
            max(self.cache_read_tokens, other.cache_read_tokens),
        )


class UsageReader(Protocol):
    """Reads an answer as it passes, in bounded memory; what it cannot read it leaves out."""

    @property
    def usage(self) -> Usage:
        """What was told so far."""
        ...

    @property
    def is_final(self) -> bool:
        """Whether that is all."""
        ...

    @property
    def model(self) -> str | None:
        """The model that answered."""
        ...

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the answer's body."""
        ...

    def finish(self) -> None:
        """The body is whole."""
        ...
