"""What a workspace may reach. A policy can name a credential and narrow it, never define one.

The empty policy denies everything.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from hakoiri.wire.budget import Budget
from hakoiri.wire.keeping import Keeping
from hakoiri.wire.messages import Identifier, Message, Runtime, ShortText

HostPattern = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$",
        max_length=253,
    ),
]
"""A host, exact or `*.suffix` of at least two labels (so `*` and `*.com` cannot be written)."""

Method = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z-]{0,31}$")]
PathPattern = Annotated[
    str, StringConstraints(pattern=r"^/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*$", max_length=1024)
]
"""A path as it is sent: `*` stands for any part of one segment, a segment `**` for any number of
whole segments. The query is not looked at."""

BODY_LIMIT_MAX_BYTES: Final = 2**40

Reach = Literal["urls", "mcp", "web_fetch", "web_search", "code_execution", "s3"]
"""What a model's provider fetches or runs when a request says so: a way to hosts of no rule."""

_ANY_SEGMENTS: Final = "**"


class Rule(Message):
    """Requests to `host` on `ports` may pass; what else is given narrows that.

    Methods, paths, body limit, credential, secrets and WebSockets can only be seen inside TLS: such
    a rule has its HTTPS intercepted. An empty list does not narrow.
    """

    host: HostPattern
    ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(
        default=[443], min_length=1, max_length=16
    )
    methods: list[Method] = Field(default=[], max_length=32)
    paths: list[PathPattern] = Field(default=[], max_length=256)
    body_limit_bytes: Annotated[int, Field(ge=0, le=BODY_LIMIT_MAX_BYTES)] | None = None
    credential: Identifier | None = None
    unsigned_payload: bool = False
    secrets: list[Identifier] = Field(default=[], max_length=32)
    websocket: bool = False
    intercept: bool = False

    @field_validator("methods")
    @classmethod
    def _methods_are_requests(cls, value: list[str]) -> list[str]:
        if "CONNECT" in value:
            raise ValueError("CONNECT opens a tunnel and is no method of a request; remove it")
        return value

    @field_validator("paths")
    @classmethod
    def _paths_are_plain(cls, value: list[str]) -> list[str]:
        for path in value:
            segments = path.split("/")[1:]
            if any(segment in (".", "..") for segment in segments) or "" in segments[:-1]:
                raise ValueError(f"{path!r} holds an empty or dot segment; write it without")
            if any(_ANY_SEGMENTS in segment and segment != _ANY_SEGMENTS for segment in segments):
                raise ValueError(f"{path!r}: ** must be a segment of its own, like /a/**/b")
        return value

    @model_validator(mode="after")
    def _unsigned_payload_has_a_credential(self) -> Self:
        if self.unsigned_payload and self.credential is None:
            raise ValueError("unsigned_payload is for a rule with an aws credential; name one")
        return self

    @property
    def needs_interception(self) -> bool:
        """Whether this rule can only be kept by looking inside TLS."""
        return bool(
            self.intercept
            or self.methods
            or self.paths
            or self.body_limit_bytes is not None
            or self.credential is not None
            or self.secrets
            or self.websocket
        )


class ModelRoute(Message):
    """The way to the model: which API, with which of the proxy's credentials, narrowed how far.

    `models` are exact model ids; an empty list allows each model the credential allows. `reach` is
    what the provider may fetch or run for a request; an empty list allows nothing.
    """

    provider: Literal["bedrock", "anthropic"]
    credential: Identifier
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")] | None = None
    models: list[ShortText] = Field(default=[], max_length=100)
    reach: list[Reach] = Field(default=[], max_length=6)


class Policy(Message):
    """All that one workspace may reach through the proxy.

    Of the patterns that fit a host and port the most specific one counts, and of its rules the
    first that fits the request's method and path. `budget` limits the workspace beside the budgets
    of the proxy's own file, `container` shortens how long the server keeps its container; both can
    only be tighter than these.
    """

    version: Literal[1] = 1
    rules: list[Rule] = Field(default=[], max_length=1000)
    model: ModelRoute | None = None
    runtimes: list[Runtime] = Field(default=[], max_length=2)
    """Container runtimes to choose from, the usual one first; empty leaves it to the server."""

    budget: Budget | None = None
    container: Keeping | None = None


DENY_ALL = Policy()
