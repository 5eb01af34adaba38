"""Carrying an answer back to the container, without the secrets that its request had on it."""

from collections.abc import AsyncIterator
from typing import Final

from hakoiri.credential_proxy.decision_log import Outcome
from hakoiri.credential_proxy.framing import Headers
from hakoiri.credential_proxy.listener.request import ContainerRequest
from hakoiri.credential_proxy.scrubbing.codings import Inflater
from hakoiri.credential_proxy.scrubbing.plan import plan_scrubbing
from hakoiri.credential_proxy.scrubbing.scrubber import SecretPatterns, StreamScrubber
from hakoiri.credential_proxy.upstream.client import Answering

_NO_CONTENT: Final = frozenset({204, 205, 304})


async def relay_answer(
    answering: Answering,
    *,
    request: ContainerRequest,
    headers: Headers,
    patterns: SecretPatterns | None,
    outcome: Outcome,
) -> None:
    """Send the answer; `headers` are those that may pass, `patterns` what must not.

    Raises:
        UpstreamError: the upstream broke off, or its answer cannot be looked through.
        ContainerStalledError: the container does not read it.
    """
    if patterns:
        await _relay_scrubbed(answering, request, headers, patterns, outcome)
        return
    given, length_bytes = _without_length(headers)
    whole = answering.take_all()
    outcome.status = answering.status
    if whole is not None:
        outcome.bytes_down = len(whole)
        request.answer_whole(answering.status, given, whole, length_bytes=length_bytes)
        return
    request.begin_answer(answering.status, given, length_bytes=length_bytes)
    while chunk := await answering.read():
        request.write(chunk)
        outcome.bytes_down += len(chunk)
        await request.drain()
    request.end_answer()


async def _relay_scrubbed(
    answering: Answering,
    request: ContainerRequest,
    headers: Headers,
    patterns: SecretPatterns,
    outcome: Outcome,
) -> None:
    has_body = request.method != "HEAD" and answering.status not in _NO_CONTENT
    plan = plan_scrubbing(headers, patterns)
    given, length_bytes = _without_length(plan.headers)
    scrubber = StreamScrubber(patterns)
    outcome.status = answering.status
    whole = answering.take_all() if plan.coding is None else None
    try:
        if whole is not None:
            clean = scrubber.feed(whole) + scrubber.finish()
            outcome.bytes_down = len(clean)
            request.answer_whole(answering.status, given, clean, length_bytes=length_bytes)
            return
        request.begin_answer(answering.status, given, length_bytes=length_bytes)
        async for piece in _decoded(answering, plan.coding if has_body else None):
            passed = scrubber.feed(piece)
            request.write(passed)
            outcome.bytes_down += len(passed)
            await request.drain()
        rest = scrubber.finish()
        request.write(rest)
        outcome.bytes_down += len(rest)
        request.end_answer()
    finally:
        outcome.scrubbed = plan.found + scrubber.found
        outcome.scrubbed_headers = plan.found


async def _decoded(answering: Answering, coding: str | None) -> AsyncIterator[bytes]:
    inflater = Inflater(coding) if coding is not None else None
    while chunk := await answering.read():
        if inflater is None:
            yield chunk
            continue
        for piece in inflater.feed(chunk):
            yield piece
    if inflater is not None:
        inflater.finish()


def _without_length(headers: Headers) -> tuple[list[tuple[str, str]], int | None]:
    given = []
    length_bytes = None
    for name, value in headers:
        if name.lower() == "content-length":
            length_bytes = int(value)
        else:
            given.append((name, value))
    return given, length_bytes
