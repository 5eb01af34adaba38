"""The base of every message, and the bounded field types they share."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

REMEMBERS_NAMES: Final = ConfigDict(cache_strings="keys")
"""Of the JSON that is read, only the names of fields are remembered.

By default pydantic remembers the values, too, if they are short: 16,384 of them, for as long as the
process lives. They are ids and words of conversations, which seldom come again: some 1.5 MiB, and
what a tenant said would outlive its deletion.
"""


class Message(BaseModel):
    """A closed, immutable message: unknown fields are refused, never ignored."""

    model_config = REMEMBERS_NAMES | ConfigDict(extra="forbid", frozen=True, strict=False)


class LenientMessage(BaseModel):
    """A message whose unknown fields are dropped, for documents other parties extend."""

    model_config = REMEMBERS_NAMES | ConfigDict(extra="ignore", frozen=True)


MESSAGE_TEXT_LIMIT_CHARS = 1_000_000
"""One user message: a million characters, several times any model's useful input."""

BODY_LIMIT_BYTES = 8 * 1024 * 1024
"""One JSON request body: a message at its limit in any script, and most of it escaped."""

EVENT_TEXT_LIMIT_CHARS = 1_000_000
"""One event's text. The agent truncates to this and says so; the host refuses more."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""Our ids: lower case, digits and dashes; safe as a file name, a label and a URL segment."""

SessionId = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F-]{1,64}$")]
"""The agent CLI's session id (a UUID)."""

Generation = Annotated[int, Field(ge=1, le=2**31)]
"""Counted up each time a workspace gets a new container."""

EventText = Annotated[str, StringConstraints(max_length=EVENT_TEXT_LIMIT_CHARS)]
"""Text that a model or a tool produced."""

ShortText = Annotated[str, StringConstraints(max_length=4096)]
"""A reason, a name, a sentence."""

Runtime = Literal["runc", "runsc"]
"""The container runtimes that there are filters and checks for."""
