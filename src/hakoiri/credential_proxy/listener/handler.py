"""Each request of a container: read its head, have it decided, carry it out, record it."""

import asyncio
import time
from typing import Final

from aiohttp import web

from hakoiri.credential_proxy.container_socket import ContainerSocket, TooManyRequestsError
from hakoiri.credential_proxy.decision_log import DecisionLog, Outcome
from hakoiri.credential_proxy.errors import UpstreamError
from hakoiri.credential_proxy.exchange import Decision, Forward, Refuse, decide, route_of
from hakoiri.credential_proxy.framing import RequestHead, find_fault, head_of
from hakoiri.credential_proxy.in_force import InForce
from hakoiri.credential_proxy.listener.connection import ContainerServer, render_raw
from hakoiri.credential_proxy.listener.forwarding import Forwarding, RequestFailedError
from hakoiri.credential_proxy.listener.responses import NothingMore, refusal
from hakoiri.credential_proxy.upstream import UpstreamClient

_CLIENT_GONE_STATUS: Final = 499


class _BlockedError(Exception):
    """What came after the head turned a decision to forward into a refusal."""

    def __init__(self, decision: Refuse) -> None:
        super().__init__(decision.reason)
        self.decision = decision


class Listener:
    """Handles the requests of one container's socket."""

    def __init__(
        self,
        *,
        container_socket: ContainerSocket,
        in_force: InForce,
        client: UpstreamClient,
        log: DecisionLog,
    ) -> None:
        self._socket = container_socket
        self._in_force = in_force
        self._client = client
        self._log = log

    def server(self) -> ContainerServer:
        """Make the server whose connections come here."""
        return ContainerServer(self.handle, unreadable=self._unreadable)

    def is_refused(self, head: RequestHead) -> bool:
        """Whether a request that was let through would be refused by what is in force now."""
        return isinstance(self._decide(head), Refuse)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle one request; each is decided anew, whatever came before it on the connection."""
        message = request._message  # noqa: SLF001 - the raw target and headers are nowhere else
        version = (message.version.major, message.version.minor)
        raw_headers = tuple(message.raw_headers)
        fault = find_fault(
            method=message.method, target=message.path, version=version, raw_headers=raw_headers
        )
        if fault is not None:
            self._unreadable(400, "bad-request")
            if request.transport is not None:  # in our version of HTTP, whatever theirs was
                raw = render_raw(400, "Bad Request", code="bad-request", reason=fault)
                request.transport.write(raw)
            return NothingMore()
        head = head_of(
            method=message.method, target=message.path, version=version, raw_headers=raw_headers
        )
        return await self._carry_out(request, head)

    async def _carry_out(self, request: web.BaseRequest, head: RequestHead) -> web.StreamResponse:
        owner, started_s = self._socket.owner, time.perf_counter()
        outcome = Outcome()
        decision = self._decide(head)
        try:
            with self._socket.slot(head, route_of(head)):
                return await self._answer(request, head, decision, outcome)
        except TooManyRequestsError as error:
            decision = Refuse(429, "too-many-requests", str(error), route_of(head))
            return _refuse(decision, outcome)
        except _BlockedError as error:
            decision = error.decision
            return _refuse(decision, outcome)
        except asyncio.CancelledError:
            outcome.reason = "client-gone" if request.transport is None else "cut"
            outcome.status = outcome.status or _CLIENT_GONE_STATUS
            raise
        finally:
            outcome.total_ms = (time.perf_counter() - started_s) * 1000
            self._socket.count(is_allowed=isinstance(decision, Forward))
            self._log.decided(owner=owner, head=head, decision=decision, outcome=outcome)

    async def _answer(
        self, request: web.BaseRequest, head: RequestHead, decision: Decision, outcome: Outcome
    ) -> web.StreamResponse:
        if isinstance(decision, Refuse):
            return _refuse(decision, outcome)
        forwarding = Forwarding(
            request=request,
            head=head,
            forward=decision,
            keyring=self._in_force.keyring,
            client=self._client,
            outcome=outcome,
        )
        try:
            return await forwarding.run()
        except (RequestFailedError, UpstreamError) as error:
            if outcome.status == 0:
                failed = _failed(decision, error)
                if isinstance(error, RequestFailedError) or error.is_refusal:
                    raise _BlockedError(failed) from error
                return _refuse(failed, outcome)
            # The answer has begun; only cutting it tells that it is not whole.
            outcome.reason = error.code
            if request.transport is not None:
                request.transport.abort()
            return NothingMore()

    def _decide(self, head: RequestHead) -> Decision:
        configuration = self._in_force.configuration
        return decide(head, binding=self._socket.binding, configuration=configuration)

    def _unreadable(self, status: int, reason: str) -> None:
        self._socket.count(is_allowed=False)
        outcome = Outcome(status=status, reason=reason)
        self._log.unreadable(owner=self._socket.owner, outcome=outcome)


def _failed(forward: Forward, error: RequestFailedError | UpstreamError) -> Refuse:
    authority = forward.upstream.authority
    return Refuse(error.status, error.code, str(error), forward.route, authority, forward.rule)


def _refuse(decision: Refuse, outcome: Outcome) -> web.Response:
    outcome.status, outcome.reason = decision.status, decision.code
    return refusal(
        status=decision.status, code=decision.code, reason=decision.reason, route=decision.route
    )
