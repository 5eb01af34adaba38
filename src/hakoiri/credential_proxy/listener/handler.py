"""Each request of a container: read its head, have it decided, carry it out, record it."""

import asyncio
import time
from typing import Final

from hakoiri.credential_proxy.budgets.charge import ModelCharge
from hakoiri.credential_proxy.budgets.gate import Gate
from hakoiri.credential_proxy.budgets.holder import OverBudgetError
from hakoiri.credential_proxy.budgets.meter import Meter
from hakoiri.credential_proxy.budgets.settings import Terms
from hakoiri.credential_proxy.container_socket import (
    TUNNELS,
    ContainerSocket,
    TooManyRequestsError,
)
from hakoiri.credential_proxy.decision import Decision, Forward, Refuse, Retry, Route
from hakoiri.credential_proxy.decision_log import Outcome
from hakoiri.credential_proxy.errors import UpstreamError
from hakoiri.credential_proxy.exchange import decide, route_of
from hakoiri.credential_proxy.framing import RequestHead, find_fault, head_of
from hakoiri.credential_proxy.in_force import InForce
from hakoiri.credential_proxy.interception.leaf_cache import LeafCache
from hakoiri.credential_proxy.listener.forwarding import Forwarding, RequestFailedError
from hakoiri.credential_proxy.listener.request import ContainerRequest
from hakoiri.credential_proxy.listener.server import ContainerServer
from hakoiri.credential_proxy.records import Records
from hakoiri.credential_proxy.refusals import REASON_HEADER, render_refusal, retry_headers
from hakoiri.credential_proxy.scrubbing.pattern_cache import PatternCache
from hakoiri.credential_proxy.upstream.client import UpstreamClient

_CLIENT_GONE_STATUS: Final = 499
_FORBIDDEN: Final = 403


class Listener:
    """Handles the requests of one container's socket."""

    def __init__(
        self,
        *,
        container_socket: ContainerSocket,
        in_force: InForce,
        client: UpstreamClient,
        leaves: LeafCache,
        records: Records,
        gate: Gate,
    ) -> None:
        self._socket = container_socket
        self._in_force = in_force
        self._client = client
        self._leaves = leaves
        self._patterns = PatternCache()
        self._records = records
        self._gate = gate
        self._looking = asyncio.Lock()

    def server(self) -> ContainerServer:
        """Make the server whose connections come here."""
        return ContainerServer(self.handle, unreadable=self._unreadable)

    def is_refused(self, head: RequestHead, route: Route) -> bool:
        """Whether what was let through by `route` would not be so by what is in force now."""
        decision = self._decide(head)
        return isinstance(decision, Refuse) or decision.route != route

    async def handle(self, request: ContainerRequest) -> None:
        """Handle one request; each is decided anew, whatever came before it on the connection."""
        fault = find_fault(
            method=request.method,
            target=request.target,
            version=request.version,
            raw_headers=request.raw_headers,
        )
        if fault is not None:
            self._unreadable(400, "bad-request")
            _answer_refusal(request, Refuse(400, "bad-request", fault))
            return
        head = head_of(
            method=request.method,
            target=request.target,
            version=request.version,
            raw_headers=request.raw_headers,
            intercepted=request.intercepted,
        )
        await self._carry_out(request, head)

    async def _carry_out(self, request: ContainerRequest, head: RequestHead) -> None:
        owner, started_s = self._socket.owner, time.perf_counter()
        outcome = Outcome()
        decision = self._records.admitted(self._decide(head), route=route_of(head))
        try:
            route = decision.route or route_of(head)
            with self._socket.slot(head, route):
                meter = self._meter(head, route)
                try:
                    decision = await self._answer(request, head, decision, outcome, meter)
                finally:
                    meter.close()
        except TooManyRequestsError as error:
            decision = Refuse(429, "too-many-requests", str(error), route_of(head))
            _refuse(request, decision, outcome)
        except OverBudgetError as error:
            decision = _failed(decision, error)
            _refuse(request, decision, outcome)
        except asyncio.CancelledError:
            outcome.reason = "client-gone" if request.is_client_gone else "cut"
            outcome.status = outcome.status or _CLIENT_GONE_STATUS
            raise
        finally:
            outcome.total_ms = (time.perf_counter() - started_s) * 1000
            self._socket.count(is_allowed=isinstance(decision, Forward))
            self._records.decided(owner=owner, head=head, decision=decision, outcome=outcome)

    def _meter(self, head: RequestHead, route: Route) -> Meter:
        """Take the request from the budgets of its workspace. Raises OverBudgetError."""
        binding, gate = self._socket.binding, self._gate
        if binding is None:
            return gate.unbound()
        return gate.open(
            tenant=binding.tenant,
            workspace=binding.workspace,
            own=binding.policy.budget,
            terms=self._terms,
            is_tunnel=route in TUNNELS,
            bytes_up=head.content_length_bytes or 0,
        )

    def _terms(self) -> Terms:
        return self._in_force.configuration.terms

    async def _answer(
        self,
        request: ContainerRequest,
        head: RequestHead,
        decision: Decision,
        outcome: Outcome,
        meter: Meter,
    ) -> Decision:
        """Carry `decision` out; return what it was in the end."""
        if isinstance(decision, Refuse):
            _refuse(request, decision, outcome)
            return decision
        forwarding = Forwarding(
            request=request,
            head=head,
            forward=decision,
            keyring=self._in_force.keyring,
            client=self._client,
            leaves=self._leaves,
            patterns=self._patterns,
            scope=self._scope(decision),
            outcome=outcome,
            meter=meter,
            looking=self._looking,
            charge=self._charge(decision, meter),
        )
        try:
            await forwarding.run()
        except (RequestFailedError, UpstreamError, OverBudgetError) as error:
            failed = _failed(decision, error)
            if request.has_answer:
                outcome.reason = error.code
                if isinstance(error, RequestFailedError):
                    request.abort()
                else:
                    request.break_off()
                return failed if error.status == _FORBIDDEN else decision
            _refuse(request, failed, outcome)
            if not isinstance(error, UpstreamError) or error.is_refusal:
                return failed
        return decision

    def _charge(self, forward: Forward, meter: Meter) -> ModelCharge | None:
        call = forward.call
        if call is None or call.operation is None:
            return None
        terms = self._terms()
        return ModelCharge(meter=meter, terms=terms, model=call.model, now_s=self._gate.now_s)

    def _scope(self, forward: Forward) -> str:
        """Say with whom a connection may be shared: others of the tenant, else nobody.

        Policy and credential must be the same. What one tenant's request leaves behind at a flawed
        upstream must not meet another's.
        """
        binding = self._socket.binding
        if forward.injection is None or binding is None:
            return self._socket.container
        return f"{binding.tenant}:{binding.digest}:{forward.injection.credential}"

    def _decide(self, head: RequestHead) -> Decision:
        configuration = self._in_force.configuration
        return decide(head, binding=self._socket.binding, configuration=configuration)

    def _unreadable(self, status: int, reason: str) -> None:
        self._socket.count(is_allowed=False)
        outcome = Outcome(status=status, reason=reason)
        self._records.unreadable(owner=self._socket.owner, outcome=outcome)


def _failed(
    decision: Decision, error: RequestFailedError | UpstreamError | OverBudgetError
) -> Refuse:
    authority = decision.upstream.authority if isinstance(decision, Forward) else decision.authority
    return Refuse(
        status=error.status,
        code=error.code,
        reason=str(error),
        route=decision.route,
        authority=authority,
        rule=decision.rule,
        retry=(
            Retry(error.retry_after_s, error.is_passing)
            if isinstance(error, OverBudgetError)
            else None
        ),
    )


def _refuse(request: ContainerRequest, decision: Refuse, outcome: Outcome) -> None:
    outcome.status, outcome.reason = decision.status, decision.code
    _answer_refusal(request, decision)


def _answer_refusal(request: ContainerRequest, decision: Refuse) -> None:
    """Answer and close: an unread body must not be taken for a request."""
    media_type, body = render_refusal(
        status=decision.status, code=decision.code, reason=decision.reason, route=decision.route
    )
    headers = [("Content-Type", media_type), (REASON_HEADER, decision.code)]
    headers += retry_headers(decision.retry)
    request.is_kept_alive = False
    request.answer_whole(decision.status, headers, body)
