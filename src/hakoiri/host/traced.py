"""Whether the server's work is traced, and where its spans go."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog

from hakoiri.host.api.request_tracing import Traces
from hakoiri.host.launch import ServerLaunch
from hakoiri.host.tracing_settings import TracingSettings
from hakoiri.tracing.exporting import Tracing, open_tracing
from hakoiri.tracing.spans import allow_traces

SERVICE = "hakoiri-server"

log = structlog.get_logger(__name__)


@asynccontextmanager
async def traced(launch: ServerLaunch) -> AsyncIterator[Tracing | None]:
    """Open the way out for spans, if there is one, and let traces begin in what is begun here."""
    async with open_tracing(
        launch.tracing, service=SERVICE, version=version("hakoiri"), tell_state=_tell_state
    ) as tracing:
        if tracing is not None:
            allow_traces(tracing.tracer)
        yield tracing


def traces_of(tracing: Tracing | None, settings: TracingSettings) -> Traces | None:
    """Return what the API begins traces with."""
    if tracing is None:
        return None
    return Traces(tracing.tracer, trusts_callers=settings.trust_callers)


def _tell_state(is_taken: bool) -> None:  # noqa: FBT001 - the one thing it is told
    if is_taken:
        log.info("trace_export_works_again")
    else:
        log.warning("trace_export_failing", effect="spans are lost; nothing else depends on them")
