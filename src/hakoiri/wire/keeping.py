"""How long a workspace's container is kept. What is not given is the server's own setting."""

from typing import Annotated

from pydantic import Field

from hakoiri.wire.messages import Message

DAY_S = 86_400
LIFETIME_MIN_S = 60
LIFETIME_MAX_S = 30 * DAY_S

Idle = Annotated[float, Field(ge=1, le=DAY_S, allow_inf_nan=False)]
Lifetime = Annotated[float, Field(ge=LIFETIME_MIN_S, le=LIFETIME_MAX_S, allow_inf_nan=False)]


class Keeping(Message):
    """Seconds. The server's settings are the most that counts: a policy can only ask for less.

    `idle_timeout_s`: idle this long, it is removed; `pause_after_s`: it is frozen before;
    `lifetime_s`: this old, it is replaced at its next pause.
    """

    idle_timeout_s: Idle | None = None
    pause_after_s: Idle | None = None
    lifetime_s: Lifetime | None = None
