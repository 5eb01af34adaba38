"""Carrying out one request that may go out: tunnel, injected, or as it is."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from hakoiri.credential_proxy.credentials.keyring import Keyring
from hakoiri.credential_proxy.credentials.outgoing_request import OutgoingRequest
from hakoiri.credential_proxy.decision_log import Outcome
from hakoiri.credential_proxy.errors import CredentialError, CredentialProxyError, UpstreamError
from hakoiri.credential_proxy.exchange import BODY_LIMIT_BYTES, Forward, Injection
from hakoiri.credential_proxy.framing import Headers, RequestHead
from hakoiri.credential_proxy.header_rules import answer_headers
from hakoiri.credential_proxy.held_body import BodyTooLargeError, HeldBody
from hakoiri.credential_proxy.listener.request import (
    BodyFaultError,
    ContainerRequest,
    ContainerStalledError,
)
from hakoiri.credential_proxy.message_body import MessageBodyError, read_model
from hakoiri.credential_proxy.tunnel import Tunnel
from hakoiri.credential_proxy.upstream.client import Answering, Body, UpstreamClient


class RequestFailedError(CredentialProxyError):
    """A request that may go out cannot be carried out; `code` is stable."""

    def __init__(self, status: int, code: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """One request on its way; `outcome` is filled in as it goes.

    `keyring` is the one that was in force when `forward` was decided; `scope` says with whom
    connections may be shared.
    """

    request: ContainerRequest
    head: RequestHead
    forward: Forward
    keyring: Keyring
    client: UpstreamClient
    scope: str
    outcome: Outcome

    async def run(self) -> None:
        """Carry the request out and its answer back.

        Raises:
            RequestFailedError: the container's side failed.
            UpstreamError: the upstream's side failed. `request.has_answer` tells whether the
                answer had begun.
        """
        if self.forward.route == "tunnel":
            await self._tunnel()
        elif self.forward.injection is not None:
            await self._inject(self.forward.injection)
        else:
            headers: Headers = (("host", self.forward.upstream.host_header), *self.forward.headers)
            length = self.head.content_length_bytes
            if length is not None:
                headers = (*headers, ("content-length", str(length)))
            await self._send(headers, self._streamed_body() if self.head.has_body else None)

    async def _tunnel(self) -> None:
        tunnel = Tunnel(container=self.request.transport)
        try:
            await self.client.tunnel(
                self.forward.upstream.authority, timings=self.outcome, tunnel=tunnel
            )
            self.outcome.status = 200
            self.request.become(tunnel)
            await tunnel.finished
        finally:
            tunnel.close()
            self.outcome.bytes_up, self.outcome.bytes_down = tunnel.bytes_up, tunnel.bytes_down

    async def _inject(self, injection: Injection) -> None:
        held = HeldBody(limit_bytes=BODY_LIMIT_BYTES)
        try:
            async for chunk in self._streamed_body():
                held.write(chunk)
            _check_model(self.forward, held)
            headers = await self._with_credential(injection, held)
            if not held.size_bytes:
                await self._send(headers, None)
                return
            headers = (*headers, ("content-length", str(held.size_bytes)))
            await self._send(headers, held.read() if held.is_in_memory else held.chunks())
        except BodyTooLargeError as error:
            raise RequestFailedError(413, "body-too-large", str(error)) from error
        except CredentialError as error:
            raise RequestFailedError(503, "credential-not-ready", str(error)) from error
        finally:
            held.close()

    async def _with_credential(self, injection: Injection, held: HeldBody) -> Headers:
        forward = self.forward
        bare = OutgoingRequest(
            method=forward.method,
            path=forward.upstream.path,
            query=forward.upstream.query,
            headers=(("host", forward.upstream.host_header), *forward.headers),
        )
        name, scope, started_s = injection.credential, injection.scope, time.perf_counter()
        if scope is None:
            return (await self.keyring.apply(name, bare)).headers
        outgoing = await self.keyring.apply(name, bare, scope=scope, body_sha256=held.sha256)
        self.outcome.sign_ms = (time.perf_counter() - started_s) * 1000
        return outgoing.headers

    async def _send(self, headers: Headers, body: Body) -> None:
        started_s = time.perf_counter()
        answering = await self.client.send(
            self.forward.upstream,
            method=self.forward.method,
            headers=headers,
            body=body,
            scope=self.scope,
            timings=self.outcome,
            trailers=lambda: self.request.body.trailers,
        )
        try:
            self.outcome.first_byte_ms = (time.perf_counter() - started_s) * 1000
            await self._relay(answering)
        finally:
            answering.end()

    async def _streamed_body(self) -> AsyncIterator[bytes]:
        if not self.head.has_body:
            return
        self._continue_if_expected()
        body = self.request.body
        try:
            while chunk := await body.read():
                self.outcome.bytes_up += len(chunk)
                yield chunk
        except BodyFaultError as error:
            raise RequestFailedError(400, "bad-request", str(error)) from error
        except ContainerStalledError as error:
            raise RequestFailedError(408, "body-timeout", str(error)) from error

    def _continue_if_expected(self) -> None:
        expected = [value.lower() for value in self.head.values("expect")]
        if "100-continue" in expected and self.head.version == (1, 1):
            self.request.tell_to_continue()

    async def _relay(self, answering: Answering) -> None:
        request, outcome, status = self.request, self.outcome, answering.status
        if status < 200:  # noqa: PLR2004 - switching protocols, which nobody asked for
            raise UpstreamError("upstream-broken", "the upstream switched protocols unasked")
        is_model = self.forward.route == "model"
        headers = list(answer_headers(answering.headers, is_model=is_model))
        length_bytes = _take_length(headers)
        outcome.status = status
        whole = answering.take_all()
        if whole is not None:
            outcome.bytes_down = len(whole)
            request.answer_whole(status, headers, whole, length_bytes=length_bytes)
            return
        request.begin_answer(status, headers, length_bytes=length_bytes)
        await self._relay_body(answering)
        request.end_answer()

    async def _relay_body(self, answering: Answering) -> None:
        request, outcome = self.request, self.outcome
        try:
            while chunk := await answering.read():
                request.write(chunk)
                outcome.bytes_down += len(chunk)
                await request.drain()
        except ContainerStalledError as error:
            raise RequestFailedError(408, "client-stalled", str(error)) from error


def _take_length(headers: list[tuple[str, str]]) -> int | None:
    for index, (name, value) in enumerate(headers):
        if name.lower() == "content-length":
            del headers[index]
            return int(value)
    return None


def _check_model(forward: Forward, held: HeldBody) -> None:
    if not forward.models:
        return
    try:
        model = read_model(held.read())
    except MessageBodyError as error:
        raise RequestFailedError(400, "bad-body", str(error)) from error
    if model not in forward.models:
        raise RequestFailedError(403, "model-not-allowed", f"{model[:256]!r} is not allowed")
