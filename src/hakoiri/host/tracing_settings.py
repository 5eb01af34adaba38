"""Whether work is traced, and where the spans go."""

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from hakoiri.host.settings_section import Section
from hakoiri.tracing.launch import QUEUE_LIMIT

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class TracingSettings(Section):
    """Off unless there is an endpoint."""

    endpoint: str | None = Field(
        default=None, pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$", max_length=2000
    )
    """Where OTLP over HTTP is taken, as `http://127.0.0.1:4318`; `/v1/traces` is put after it."""

    ratio: float = Field(default=1.0, ge=0, le=1)
    """Which part of all traces is recorded."""

    trust_callers: bool = False
    """Whether a caller's `traceparent` is gone on with; else it is only linked to."""

    headers_file: Path | None = None
    """TOML, root's to write: headers that each request to the endpoint gets, such as a token."""

    queue_limit: int = Field(default=4096, ge=16, le=QUEUE_LIMIT)
    """Spans that wait, in each process; more are dropped and counted."""

    interval_s: float = Field(default=10, ge=0.05, le=60)
    """Between batches, if none is full before. A batch costs as much as forty spans."""

    timeout_s: float = Field(default=10, ge=0.1, le=60)
    """One batch, all attempts together."""

    @field_validator("endpoint")
    @classmethod
    def _is_a_place(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parts = urlsplit(value)
                _ = parts.port
            except ValueError:
                raise ValueError("is no URL; give https://HOST:PORT") from None
            if not parts.hostname:
                raise ValueError("names no host; give https://HOST:PORT")
        return value

    @model_validator(mode="after")
    def _secrets_are_encrypted(self) -> Self:
        if self.headers_file is None:
            return self
        if self.endpoint is None:
            raise ValueError("headers_file: there is no endpoint to send them to; set it too")
        if self.endpoint.startswith("http://") and urlsplit(self.endpoint).hostname not in LOOPBACK:
            raise ValueError("endpoint: with a headers_file http:// is for loopback; give https://")
        return self

    @property
    def traces_url(self) -> str | None:
        """The URL that spans are posted to.

        OTLP exporter specification, "Endpoint URLs for OTLP/HTTP".
        """
        return f"{self.endpoint.rstrip('/')}/v1/traces" if self.endpoint is not None else None
