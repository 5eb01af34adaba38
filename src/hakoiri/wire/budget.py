"""What a workspace, a tenant or the whole installation may use. What is not given does not limit.

A policy may carry one for its workspace; those of the proxy's own file hold beside it, and of two
the tighter one counts. Days and months are those of UTC.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from hakoiri.wire.messages import Message

COUNT_MAX = 10**15
Count = Annotated[int, Field(ge=0, le=COUNT_MAX)]
Dollars = Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=10**6, allow_inf_nan=False)]


class Budget(Message):
    """`requests_burst` requests may come at once, by default as many as in a second."""

    requests_per_s: Rate | None = None
    requests_burst: Annotated[int, Field(ge=1, le=10**6)] | None = None
    concurrent_requests: Count | None = None
    concurrent_tunnels: Count | None = None
    bytes_up_per_day: Count | None = None
    bytes_down_per_day: Count | None = None
    model_tokens_per_day: Count | None = None
    spend_usd_per_day: Dollars | None = None
    spend_usd_per_month: Dollars | None = None

    @model_validator(mode="after")
    def _burst_has_a_rate(self) -> Self:
        if self.requests_burst is not None and self.requests_per_s is None:
            raise ValueError("requests_burst needs requests_per_s")
        return self
