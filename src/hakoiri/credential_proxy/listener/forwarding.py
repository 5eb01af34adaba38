"""Carrying out one request that may go out: tunnel, injected, or as it is."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Final

from hakoiri.credential_proxy.budgets.charge import ModelCharge
from hakoiri.credential_proxy.budgets.meter import Meter
from hakoiri.credential_proxy.credentials.keyring import Keyring
from hakoiri.credential_proxy.credentials.outgoing_request import OutgoingRequest
from hakoiri.credential_proxy.credentials.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD
from hakoiri.credential_proxy.decision import HELD_BODY_LIMIT_BYTES, Forward
from hakoiri.credential_proxy.decision_log import Outcome
from hakoiri.credential_proxy.errors import CredentialError, CredentialProxyError, UpstreamError
from hakoiri.credential_proxy.framing import Headers, RequestHead
from hakoiri.credential_proxy.header_rules import answer_headers
from hakoiri.credential_proxy.held_body import BodyTooLargeError, HeldBody
from hakoiri.credential_proxy.http1.rendering import ESTABLISHED, render_answer_head
from hakoiri.credential_proxy.interception.hello_guard import HelloGuard
from hakoiri.credential_proxy.interception.leaf_cache import LeafCache
from hakoiri.credential_proxy.listener.answer_relay import relay_answer
from hakoiri.credential_proxy.listener.body_check import BodyCheck, BodyRefusedError
from hakoiri.credential_proxy.listener.request import (
    BodyFaultError,
    ContainerRequest,
    ContainerStalledError,
)
from hakoiri.credential_proxy.placeholders import names_replaced, replace_placeholders
from hakoiri.credential_proxy.scrubbing.codings import narrow_accept_encoding
from hakoiri.credential_proxy.scrubbing.pattern_cache import PatternCache
from hakoiri.credential_proxy.scrubbing.watched_patterns import WatchedPatterns, whose
from hakoiri.credential_proxy.tunnel import Tunnel
from hakoiri.credential_proxy.upgrade import is_accepted
from hakoiri.credential_proxy.upstream.client import Answering, Body, UpstreamClient, has_switched

UPGRADE_HEADERS: Final = (("connection", "Upgrade"), ("upgrade", "websocket"))


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
    connections may be shared; `looking` is held while a body of the container is looked through.
    """

    request: ContainerRequest
    head: RequestHead
    forward: Forward
    keyring: Keyring
    client: UpstreamClient
    leaves: LeafCache
    patterns: PatternCache
    scope: str
    outcome: Outcome
    meter: Meter
    looking: asyncio.Lock
    charge: ModelCharge | None = None

    async def run(self) -> None:
        """Carry the request out and its answer back, and charge a model call.

        Raises:
            RequestFailedError: the container's side failed.
            OverBudgetError: a budget does not allow it, or no more of it.
            UpstreamError: the upstream's side failed. `request.has_answer` tells whether the
                answer had begun.
        """
        try:
            await self._run()
        finally:
            self._settle()

    async def _run(self) -> None:
        if self.forward.route == "tunnel":
            await self._tunnel()
        elif self.forward.route == "intercept":
            await self._intercept()
        elif self._must_be_held():
            await self._send_held()
        else:
            await self._send_streamed()

    async def _tunnel(self) -> None:
        authority = self.forward.upstream.authority
        tunnel = Tunnel(
            container=self.request.transport, guard=HelloGuard(authority), meter=self.meter
        )
        await self.client.tunnel(authority, timings=self.outcome, tunnel=tunnel)
        self.outcome.status = 200
        await self._until_finished(tunnel, ESTABLISHED)

    async def _until_finished(self, tunnel: Tunnel, head: bytes) -> None:
        try:
            self.request.become(tunnel, head)
            await tunnel.finished
        finally:
            tunnel.close()
            self.outcome.bytes_up, self.outcome.bytes_down = tunnel.bytes_up, tunnel.bytes_down
        if tunnel.refusal is not None:
            raise RequestFailedError(403, tunnel.refusal.code, str(tunnel.refusal))
        if tunnel.over_budget is not None:
            raise tunnel.over_budget

    async def _intercept(self) -> None:
        authority = self.forward.upstream.authority
        if self.request.glued:
            reason = "wait for the answer to CONNECT before you begin TLS"
            raise RequestFailedError(400, "bad-request", reason)
        self.outcome.status = 200
        try:
            await self.request.intercept(self.leaves.context_for(authority.host), authority)
        except OSError as error:
            reason = "the TLS handshake with the container failed"
            raise RequestFailedError(400, "tls-handshake-failed", reason) from error

    def _must_be_held(self) -> bool:
        """Whether the body must be whole before the request goes out.

        It is signed, or names the model, or says what a model call may take at most, or might turn
        out too long: half a request that breaks off looks to some upstreams like a whole one.
        """
        if self.charge is not None and self.charge.needs_reservation:
            return True
        if not self.head.has_body:
            return False
        injection = self.forward.injection
        is_signed = (
            injection is not None and injection.scope is not None and not injection.unsigned_payload
        )
        is_unbounded = self.head.is_chunked and self.forward.body_limit_bytes is not None
        is_looked_at = bool(self.forward.models) or self.forward.reach is not None
        return is_signed or is_looked_at or is_unbounded

    async def _send_streamed(self) -> None:
        outgoing = await self._outgoing(EMPTY_SHA256 if not self.head.has_body else None)
        length_bytes = self.head.content_length_bytes
        await self._send(
            outgoing,
            self._streamed_body() if self.head.has_body else None,
            length_bytes=length_bytes,
        )

    async def _send_held(self) -> None:
        limit_bytes = self.forward.body_limit_bytes
        held = HeldBody(limit_bytes=HELD_BODY_LIMIT_BYTES if limit_bytes is None else limit_bytes)
        try:
            async for chunk in self._streamed_body():
                held.write(chunk)
            await self._check_body(held)
            outgoing = await self._outgoing(held.sha256)
            body = held.read() if held.is_in_memory else held.chunks()
            await self._send(outgoing, body, length_bytes=held.size_bytes)
        except BodyTooLargeError as error:
            raise RequestFailedError(413, "body-too-large", str(error)) from error
        finally:
            held.close()

    async def _check_body(self, held: HeldBody) -> None:
        """Check what a model request's body says, and reserve what it asks for at most."""
        if self.forward.call is None:
            return
        check = BodyCheck(
            forward=self.forward, charge=self.charge, outcome=self.outcome, looking=self.looking
        )
        try:
            await check.run(held)
        except BodyRefusedError as error:
            raise RequestFailedError(error.status, error.code, str(error)) from error

    def _settle(self) -> None:
        if self.charge is None:
            return
        outcome = self.outcome
        is_tls = self.forward.upstream.scheme == "https"
        connected_ms = outcome.tls_ms if is_tls else outcome.connect_ms
        if not outcome.reused and connected_ms is None:
            self.charge.never_sent()
        outcome.charged = self.charge.settle()

    async def _outgoing(self, body_sha256: str | None) -> OutgoingRequest:
        """Return the request with what belongs on it; None for a body that is not hashed."""
        forward = self.forward
        headers: Headers = (("host", forward.upstream.host_header), *forward.headers)
        if forward.is_websocket:
            headers = (*headers, *UPGRADE_HEADERS)
        upstream = forward.upstream
        outgoing = OutgoingRequest(forward.method, upstream.path, upstream.query, headers)
        if forward.injection is None and not forward.secrets:
            return outgoing
        started_s = time.perf_counter()
        try:
            return await self._with_secrets(outgoing, body_sha256)
        except CredentialError as error:
            raise RequestFailedError(503, "credential-not-ready", str(error)) from error
        finally:
            self.outcome.sign_ms = (time.perf_counter() - started_s) * 1000

    async def _with_secrets(
        self, outgoing: OutgoingRequest, body_sha256: str | None
    ) -> OutgoingRequest:
        forward = self.forward
        headers = tuple([
            (name, narrow_accept_encoding(value) if name == "accept-encoding" else value)
            for name, value in outgoing.headers
        ])  # fmt: skip
        query = outgoing.query
        if forward.secrets:
            secrets = await self.keyring.placeholders(forward.secrets)
            self.outcome.secrets = names_replaced(headers, query)
            revealed = {name: secret.reveal() for name, secret in secrets.items()}
            headers, query = replace_placeholders(headers, query, secrets=revealed)
        outgoing = OutgoingRequest(outgoing.method, outgoing.path, query, headers)
        injection = forward.injection
        if injection is None:
            return outgoing
        if injection.scope is None:
            return await self.keyring.apply(injection.credential, outgoing)
        return await self.keyring.apply(
            injection.credential,
            outgoing,
            scope=injection.scope,
            body_sha256=body_sha256 or UNSIGNED_PAYLOAD,
        )

    async def _send(
        self, outgoing: OutgoingRequest, body: Body, *, length_bytes: int | None
    ) -> None:
        headers = outgoing.headers
        if length_bytes is not None:
            headers = (*headers, ("content-length", str(length_bytes)))
        upstream = self.forward.upstream
        if (outgoing.path, outgoing.query) != (upstream.path, upstream.query):
            upstream = replace(upstream, path=outgoing.path, query=outgoing.query)
        if self.charge is not None:
            self.charge.sends()
        started_s = time.perf_counter()
        answering = await self.client.send(
            upstream,
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
                self.meter.up(len(chunk))
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
        if has_switched(answering.status):
            await self._websocket(answering)
            return
        is_model = self.forward.route == "model"
        patterns = self._patterns()
        if self.charge is not None:
            named = {name.lower(): value for name, value in answering.headers}
            is_readable = bool(patterns) or "content-encoding" not in named
            self.charge.answered(answering.status, named, is_readable=is_readable)
        try:
            await relay_answer(
                answering,
                request=self.request,
                headers=answer_headers(answering.headers, is_model=is_model),
                patterns=patterns,
                outcome=self.outcome,
                seen=self._seen,
            )
        except ContainerStalledError as error:
            raise RequestFailedError(408, "client-stalled", str(error)) from error
        finally:
            if patterns is not None and patterns.seen:
                carried = {name: self.keyring.secrets_in_force([name]) for name in self._carried()}
                self.outcome.scrubbed_of = whose(patterns.seen, carried)
        if self.charge is not None:
            self.charge.finish()

    def _seen(self, piece: bytes) -> None:
        """Count a piece of the answer before it is sent. Raises OverBudgetError."""
        if self.charge is not None:
            self.charge.feed(piece)
        self.meter.down(len(piece))

    def _carried(self) -> list[str]:
        """Return the names of the credentials that the upstream was given."""
        names = [*self.forward.secrets]
        if self.forward.injection is not None:
            names.append(self.forward.injection.credential)
        return names

    def _patterns(self) -> WatchedPatterns | None:
        """Return what the upstream was given and must not send back."""
        names = self._carried()
        if not names:
            return None
        return WatchedPatterns(self.patterns.of(self.keyring.secrets_in_force(names)))

    async def _websocket(self, answering: Answering) -> None:
        if not self.forward.is_websocket or not is_accepted(self.head, answering.headers):
            raise UpstreamError("upstream-broken", "the upstream switched protocols unasked")
        headers = (*answer_headers(answering.headers, is_model=False), *UPGRADE_HEADERS)
        tunnel = Tunnel(container=self.request.transport, meter=self.meter)
        answering.adopt(tunnel)
        self.outcome.status = answering.status
        await self._until_finished(tunnel, render_answer_head(answering.status, headers))
