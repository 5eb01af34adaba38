"""Event logs as server-sent events: replayed from a number on, then live."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from hakoiri.host.api.authentication import Tenant
from hakoiri.host.api.conversation_ids import ConversationId
from hakoiri.host.api.problems import RefusedError
from hakoiri.host.conversations.conversation_service import ConversationService
from hakoiri.host.conversations.event_feed import is_end_of_turn
from hakoiri.host.conversations.ports import ServerStoppingError
from hakoiri.wire.events import ConversationEvent
from hakoiri.wire.problems import Problem
from hakoiri.wire.sse import COMMENT_KEEPALIVE, encode_block

KEEPALIVE_S: Final = 15
NUMBER_LIMIT: Final = 2**53
"""The largest number that every JSON reader counts exactly."""

STREAM_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
    "X-Content-Type-Options": "nosniff",
}
STREAM_STOPPED: Final = b": the server stops; reconnect with Last-Event-ID\n\n"
"""Then comes the regular end of the answer, not an error status or a reset: browsers' EventSource
asks again after an end, and never again after an error status (HTML, 9.2.3)."""

Pages = AsyncGenerator[Sequence[ConversationEvent], None]


def router(*, conversations: ConversationService) -> APIRouter:
    """`GET /v1/conversations/{id}/events`."""
    routes = APIRouter()

    @routes.get(
        "/v1/conversations/{conversation_id}/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )
    async def follow_events(
        tenant: Tenant,
        conversation_id: ConversationId,
        after: Annotated[int, Query(ge=0, le=NUMBER_LIMIT)] = 0,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> StreamingResponse:
        """Replay the log after a number, then follow it. `Last-Event-ID` counts before `after`."""
        number = after if last_event_id is None else _number(last_event_id)
        pages = await conversations.pages(
            tenant=tenant,
            conversation_id=conversation_id,
            after=number,
            idle_timeout_s=KEEPALIVE_S,
        )
        return event_stream(pages)

    return routes


def event_stream(pages: Pages, *, until_turn: int | None = None) -> StreamingResponse:
    """Return the pages as an SSE response; with `until_turn` it ends with that turn."""
    return StreamingResponse(
        _blocks(pages, until_turn), media_type="text/event-stream", headers=STREAM_HEADERS
    )


async def _blocks(pages: Pages, until_turn: int | None) -> AsyncIterator[bytes]:
    async with aclosing(pages):
        try:
            async for page in pages:
                shown, is_over = _up_to_end(page, until_turn)
                yield b"".join(map(_block, shown)) if shown else COMMENT_KEEPALIVE
                if is_over:
                    return
        except ServerStoppingError:
            yield STREAM_STOPPED


def _up_to_end(
    page: Sequence[ConversationEvent], until_turn: int | None
) -> tuple[Sequence[ConversationEvent], bool]:
    if until_turn is not None:
        for index, event in enumerate(page):
            if is_end_of_turn(event, until_turn):
                return page[: index + 1], True
    return page, False


def _block(event: ConversationEvent) -> bytes:
    return encode_block(number=event.id, event=event.type, data=event.model_dump_json())


def _number(last_event_id: str) -> int:
    text = last_event_id.strip()
    if text.isascii() and text.isdecimal() and len(text) <= len(str(NUMBER_LIMIT)):
        return min(int(text), NUMBER_LIMIT)
    raise RefusedError(
        Problem.of(
            "invalid-request",
            title="The request is not valid",
            status=422,
            detail="Last-Event-ID: send the number of the last event you have, or leave it out",
        )
    )
