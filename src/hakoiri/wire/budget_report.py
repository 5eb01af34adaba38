"""What the proxy tells of budgets (`GET /budgets` on its control socket)."""

from typing import Literal

from pydantic import Field

from hakoiri.wire.budget import Budget
from hakoiri.wire.messages import Identifier, Message, ShortText


class BudgetUse(Message):
    """What one holder has used today, and holds now. `budget` is that of the proxy's own file.

    `untold_calls` are today's model calls, since the proxy started, whose usage no provider told:
    broken off, or not readable. They were charged by what may have been made.
    """

    kind: Literal["installation", "tenant", "workspace"]
    tenant: Identifier | None = None
    workspace: Identifier | None = None
    requests: int = Field(ge=0)
    open_requests: int = Field(ge=0)
    open_tunnels: int = Field(ge=0)
    bytes_up: int = Field(ge=0)
    bytes_down: int = Field(ge=0)
    model_tokens: int = Field(ge=0)
    untold_calls: int = Field(ge=0)
    model_tokens_reserved: int = Field(ge=0)
    spend_microusd: int = Field(ge=0)
    spend_microusd_reserved: int = Field(ge=0)
    month_spend_microusd: int = Field(ge=0)
    budget: Budget = Budget()


class BudgetReport(Message):
    """The holders that used most, and how many are left out.

    `fault` tells why what was used cannot be written down now, if so.
    """

    day_ends: ShortText
    month_ends: ShortText
    holders: list[BudgetUse] = Field(max_length=1000)
    left_out: int = Field(ge=0)
    fault: ShortText = ""
