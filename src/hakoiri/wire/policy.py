"""What a workspace may reach. A policy can name a credential and narrow it, never define one.

The empty policy denies everything.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from hakoiri.wire.messages import Identifier, Message, ShortText

HostPattern = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$",
        max_length=253,
    ),
]
"""A host, exact or `*.suffix` of at least two labels (so `*` and `*.com` cannot be written)."""


class Rule(Message):
    """Requests to `host` on `ports` may pass."""

    host: HostPattern
    ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(
        default=[443], min_length=1, max_length=16
    )


class ModelRoute(Message):
    """The way to the model: which API, with which of the proxy's credentials, narrowed how far.

    `models` are exact model ids; an empty list allows each model the credential allows.
    """

    provider: Literal["bedrock", "anthropic"]
    credential: Identifier
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")] | None = None
    models: list[ShortText] = Field(default=[], max_length=100)


class Policy(Message):
    """All that one workspace may reach through the proxy."""

    version: Literal[1] = 1
    rules: list[Rule] = Field(default=[], max_length=1000)
    model: ModelRoute | None = None


DENY_ALL = Policy()
