"""What a model's tokens cost, by the proxy's own file. No I/O."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from hakoiri.credential_proxy.budgets.usage import Usage
from hakoiri.wire.messages import Message

ModelPattern = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:/*-]+$", max_length=256)]
"""A model id in which `*` stands for any characters."""

UsdPerMillion = Annotated[float, Field(ge=0, le=10**6, allow_inf_nan=False)]
_PICOUSD_PER_TOKEN: Final = 1_000_000
"""A dollar for a million tokens is a millionth of a dollar, or so many picodollars, for one."""


class Price(Message):
    """US dollars for a million tokens of each kind."""

    input: UsdPerMillion
    output: UsdPerMillion
    cache_write: UsdPerMillion
    cache_read: UsdPerMillion

    @cached_property
    def _picousd(self) -> tuple[int, int, int, int]:
        each = (self.input, self.output, self.cache_write, self.cache_read)
        first, second, third, fourth = (round(usd * _PICOUSD_PER_TOKEN) for usd in each)
        return first, second, third, fourth

    def cost_microusd(self, usage: Usage) -> int:
        """Return what `usage` costs, rounded up to millionths of a dollar."""
        of_input, of_output, of_write, of_read = self._picousd
        picousd = (
            usage.input_tokens * of_input
            + usage.output_tokens * of_output
            + usage.cache_write_tokens * of_write
            + usage.cache_read_tokens * of_read
        )
        return -(-picousd // _PICOUSD_PER_TOKEN)

    def most_microusd(self, *, input_tokens: int, output_tokens: int) -> int:
        """Return the most that a request may cost: its input may all be written to the cache."""
        usage = Usage(output_tokens=output_tokens)
        kinds = (
            Usage(input_tokens=input_tokens),
            Usage(cache_write_tokens=input_tokens),
            Usage(cache_read_tokens=input_tokens),
        )
        return self.cost_microusd(usage) + max(self.cost_microusd(kind) for kind in kinds)


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices by pattern; of those that fit a model the one with the most letters counts."""

    ordered: tuple[tuple[tuple[str, ...], Price], ...]

    @classmethod
    def of(cls, prices: dict[str, Price]) -> "PriceList":
        """Order `prices`: a pattern without `*` first, then the longer before the shorter."""

        def rank(pattern: str) -> tuple[bool, int, str]:
            return "*" in pattern, -len(pattern.replace("*", "")), pattern

        return cls(tuple((tuple(p.split("*")), prices[p]) for p in sorted(prices, key=rank)))

    def find(self, model: str) -> Price | None:
        """Return the price of `model`; None when no pattern fits."""
        for parts, price in self.ordered:
            if _fits(model, parts):
                return price
        return None


def _fits(model: str, parts: tuple[str, ...]) -> bool:
    """Whether `model` is the parts with anything between them; in linear time."""
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return model == first
    if not model.startswith(first):
        return False
    at = len(first)
    for part in parts[1:-1]:
        found = model.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(model) - len(last) >= at and model.endswith(last)
