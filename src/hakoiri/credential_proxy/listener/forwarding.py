"""Carrying out one request that may go out: tunnel, injected, or as it is."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from hakoiri.credential_proxy.credentials.keyring import Keyring
from hakoiri.credential_proxy.credentials.sigv4 import SignableRequest
from hakoiri.credential_proxy.decision_log import Outcome
from hakoiri.credential_proxy.errors import CredentialError, CredentialProxyError
from hakoiri.credential_proxy.exchange import BODY_LIMIT_BYTES, Forward, Injection
from hakoiri.credential_proxy.framing import Headers, RequestHead
from hakoiri.credential_proxy.header_rules import answer_headers
from hakoiri.credential_proxy.held_body import BodyTooLargeError, HeldBody
from hakoiri.credential_proxy.listener.connection import ContainerConnection
from hakoiri.credential_proxy.listener.responses import NothingMore, RelayedResponse
from hakoiri.credential_proxy.message_body import MessageBodyError, read_model
from hakoiri.credential_proxy.upstream import Answer, Body, UpstreamClient

BODY_IDLE_TIMEOUT_S: Final = 60.0
ANSWER_STALL_TIMEOUT_S: Final = 60.0
"""How long a container may leave an answer unread while there is more to send."""

_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_SIGNED_HEADERS: Final = frozenset({"content-type"})


class RequestFailedError(CredentialProxyError):
    """A request that may go out cannot be carried out; `code` is stable."""

    def __init__(self, status: int, code: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """One request on its way; `outcome` is filled in as it goes.

    `keyring` is the one that was in force when `forward` was decided.
    """

    request: web.BaseRequest
    head: RequestHead
    forward: Forward
    keyring: Keyring
    client: UpstreamClient
    outcome: Outcome

    async def run(self) -> web.StreamResponse:
        """Carry the request out and its answer back.

        Raises:
            RequestFailedError: the container's side failed.
            UpstreamError: the upstream's side failed. `outcome.status` tells whether the answer
                had begun.
        """
        if self.forward.route == "tunnel":
            return await self._tunnel()
        if self.forward.injection is not None:
            return await self._inject(self.forward.injection)
        headers: Headers = (("host", self.forward.upstream.host_header), *self.forward.headers)
        if self.head.content_length_bytes is not None:
            headers = (*headers, ("content-length", str(self.head.content_length_bytes)))
        return await self._send(headers, self._body_chunks() if self.head.has_body else None)

    async def _tunnel(self) -> web.StreamResponse:
        container, connection = self.request.transport, self.request.protocol
        if container is None or not isinstance(connection, ContainerConnection):
            raise RequestFailedError(400, "client-gone", "the connection is gone")
        tunnel = await self.client.tunnel(self.forward.upstream.authority, container=container)
        try:
            self.outcome.status = 200
            container.write(_ESTABLISHED)
            tunnel.start(connection.become(tunnel))
            await tunnel.finished
        finally:
            tunnel.close()
            self.outcome.bytes_up, self.outcome.bytes_down = tunnel.bytes_up, tunnel.bytes_down
        return NothingMore()

    async def _inject(self, injection: Injection) -> web.StreamResponse:
        held = HeldBody(limit_bytes=BODY_LIMIT_BYTES)
        try:
            async for chunk in self._body_chunks():
                held.write(chunk)
            _check_model(self.forward, held)
            headers = await self._with_credential(injection, held)
            if not held.size_bytes:
                return await self._send(headers, None)
            headers = (*headers, ("content-length", str(held.size_bytes)))
            return await self._send(headers, held.read() if held.is_in_memory else held.chunks())
        except BodyTooLargeError as error:
            raise RequestFailedError(413, "body-too-large", str(error)) from error
        except CredentialError as error:
            raise RequestFailedError(503, "credential-not-ready", str(error)) from error
        finally:
            held.close()

    async def _with_credential(self, injection: Injection, held: HeldBody) -> Headers:
        forward = self.forward
        headers: Headers = (("host", forward.upstream.host_header), *forward.headers)
        if injection.scope is None:
            return (*headers, self.keyring.header(injection.credential))
        signable = SignableRequest(
            method=forward.method,
            path=forward.upstream.path,
            query=forward.upstream.query,
            headers=(headers[0], *((n, v) for n, v in forward.headers if n in _SIGNED_HEADERS)),
            body_sha256=held.sha256,
        )
        return (*headers, *await self.keyring.sign(injection.credential, signable, injection.scope))

    async def _send(self, headers: Headers, body: Body) -> web.StreamResponse:
        injection = self.forward.injection
        started_s = time.perf_counter()
        async with self.client.send(
            self.forward.upstream,
            method=self.forward.method,
            headers=headers,
            body=body,
            credential=injection.credential if injection is not None else None,
        ) as answer:
            self.outcome.first_byte_ms = (time.perf_counter() - started_s) * 1000
            return await self._relay(answer)

    async def _body_chunks(self) -> AsyncIterator[bytes]:
        if not self.head.has_body:
            return
        self._continue_if_expected()
        try:
            while True:
                async with asyncio.timeout(BODY_IDLE_TIMEOUT_S):
                    chunk = await self.request.content.readany()
                if not chunk:
                    break
                self.outcome.bytes_up += len(chunk)
                yield chunk
        except TimeoutError as error:
            raise RequestFailedError(408, "body-timeout", "the body stopped coming") from error
        except RequestPayloadError as error:
            raise RequestFailedError(400, "bad-request", "the body is not sound") from error
        connection = self.request.protocol
        if not self.head.is_chunked or not isinstance(connection, ContainerConnection):
            return
        if not connection.is_chunked_end:
            raise RequestFailedError(400, "bad-request", "something follows the chunked body")

    def _continue_if_expected(self) -> None:
        expected = [value.lower() for value in self.head.values("expect")]
        if "100-continue" in expected and self.request.transport is not None:
            self.request.transport.write(_CONTINUE)

    async def _relay(self, answer: Answer) -> web.StreamResponse:
        response = RelayedResponse(status=answer.status)
        is_model = self.forward.route == "model"
        response.headers.extend(answer_headers(answer.headers, is_model=is_model))
        if self.head.is_chunked:  # the parser may keep a trailer for the next request
            response.force_close()
        self.outcome.status = answer.status
        await response.prepare(self.request)
        async for chunk in answer.chunks():
            try:
                async with asyncio.timeout(ANSWER_STALL_TIMEOUT_S):
                    await response.write(chunk)
            except TimeoutError as error:
                reason = "the container does not read the answer"
                raise RequestFailedError(408, "client-stalled", reason) from error
            self.outcome.bytes_down += len(chunk)
        return response


def _check_model(forward: Forward, held: HeldBody) -> None:
    if not forward.models:
        return
    try:
        model = read_model(held.read())
    except MessageBodyError as error:
        raise RequestFailedError(400, "bad-body", str(error)) from error
    if model not in forward.models:
        raise RequestFailedError(403, "model-not-allowed", f"{model[:256]!r} is not allowed")
