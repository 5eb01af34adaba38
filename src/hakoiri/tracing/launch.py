"""Where a process sends its spans, as it is told at its start. Headers may hold a secret."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

HEADERS_LIMIT = 16
QUEUE_LIMIT = 65_536

HeaderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e][\x20-\x7e]{0,4095}$")]


class TracingLaunch(BaseModel):
    """Handed over on standard input, never in arguments or the environment.

    `endpoint` is where OTLP/HTTP is taken, with its path. `ratio` of all traces are recorded.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    endpoint: str = Field(pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$", max_length=2048)
    headers: dict[HeaderName, HeaderValue] = Field(default={}, repr=False, max_length=HEADERS_LIMIT)
    ratio: float = Field(default=1.0, ge=0, le=1)
    queue_limit: int = Field(default=4096, ge=16, le=QUEUE_LIMIT)
    interval_s: float = Field(default=10.0, ge=0.05, le=60)
    timeout_s: float = Field(default=10.0, ge=0.1, le=60)
    instance: str = Field(max_length=63)
