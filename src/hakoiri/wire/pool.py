"""The warm pool as an operator sets it and sees it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hakoiri.wire.messages import Message, Runtime, ShortText

SIZE_LIMIT = 1000
"""Above what one host can hold: an idle warm container takes some 60 MB."""

AGE_MIN_S = 10
AGE_LIMIT_S = 7 * 86_400

Count = Annotated[int, Field(ge=0, le=SIZE_LIMIT)]


class PoolSize(Message):
    """How many warm containers of one runtime there shall be.

    Below `min` refilling goes on beside a cold start, up to `target` when there is nothing else to
    do; there are never more than `max`, those that start or go included. All 0 is no pool.
    """

    min: Count
    target: Count
    max: Count

    @model_validator(mode="after")
    def _are_in_order(self) -> Self:
        if not self.min <= self.target <= self.max:
            raise ValueError(
                f"min <= target <= max is needed, not {self.min}, {self.target}, {self.max}"
            )
        return self


class PoolConfiguration(Message):
    """The whole pool; a runtime that is not named has none."""

    runtimes: dict[Runtime, PoolSize]
    max_age_s: float = Field(ge=AGE_MIN_S, le=AGE_LIMIT_S)
    """No older container is given to anybody; its successor is started before it goes."""

    refills_at_once: int = Field(ge=1, le=16)
    preconnect: bool
    """Whether the agent's own process runs in a warm container already. It costs memory."""


class PoolRuntimeReport(Message):
    """One runtime's warm containers now."""

    state: Literal["off", "full", "refilling", "failing"]
    reason: ShortText = ""
    ready: Count
    starting: Count
    retiring: Count
    target: Count


class PoolReport(Message):
    """What the pool is set to and by whom, and what there is of it."""

    source: Literal["settings", "stored"]
    configuration: PoolConfiguration
    runtimes: dict[Runtime, PoolRuntimeReport]
