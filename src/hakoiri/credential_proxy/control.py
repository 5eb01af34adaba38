"""The control socket: the control plane's side, as told in `hakoiri.wire.proxy`.

Who can open the socket may bind and unbind; nobody gets a secret or a wider policy through it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from hakoiri.credential_proxy.binding import PolicyTooWideError
from hakoiri.credential_proxy.budgets.bookkeeping import Bookkeeping
from hakoiri.credential_proxy.container_socket import GenerationFencedError
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialProxyError
from hakoiri.credential_proxy.explanation import explain
from hakoiri.credential_proxy.in_force import InForce
from hakoiri.credential_proxy.socket_registry import (
    SocketRegistry,
    TooManySocketsError,
    UnknownSocketError,
)
from hakoiri.wire.messages import Identifier, Message
from hakoiri.wire.policy_test import PolicyTest
from hakoiri.wire.problems import PROBLEM_MEDIA_TYPE, Problem
from hakoiri.wire.proxy import Bind, ProxyHealth, ProxyStats, SocketOpened

BODY_LIMIT_BYTES: Final = 1024 * 1024
_IDENTIFIER: Final[TypeAdapter[str]] = TypeAdapter(Identifier)

_PROBLEMS: Final[tuple[tuple[type[Exception], int, str, str], ...]] = (
    (ValidationError, 422, "invalid", "the request is not valid"),
    (PolicyTooWideError, 422, "policy-too-wide", "the proxy's file does not allow the policy"),
    (ConfigurationError, 422, "configuration", "the proxy's file cannot be used"),
    (GenerationFencedError, 409, "generation-fenced", "a newer binding was there before"),
    (UnknownSocketError, 404, "socket-unknown", "there is no such socket"),
    (TooManySocketsError, 503, "too-many-sockets", "the proxy has too many sockets"),
    (CredentialProxyError, 500, "proxy-failed", "the proxy could not do it"),
)
"""The one place that maps errors to HTTP on the control socket; the first that fits counts."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """The calls of the control socket."""

    def __init__(
        self, *, registry: SocketRegistry, in_force: InForce, books: Bookkeeping, version: str
    ) -> None:
        self._registry = registry
        self._books = books
        self._in_force = in_force
        self._version = version
        self._is_ending = asyncio.Event()

    def application(self) -> web.Application:
        """Build the application that serves the calls."""
        application = web.Application(middlewares=[_problems], client_max_size=BODY_LIMIT_BYTES)
        application.router.add_put("/sockets/{container}", self._open)
        application.router.add_delete("/sockets/{container}", self._delete)
        application.router.add_put("/sockets/{container}/binding", self._bind)
        application.router.add_delete("/sockets/{container}/binding", self._unbind)
        application.router.add_post("/reload", self._reload)
        application.router.add_post("/explain", self._explain)
        application.router.add_get("/life", self._life)
        application.router.add_get("/health", self._health)
        application.router.add_get("/stats", self._stats)
        application.router.add_get("/budgets", self._budgets)
        application.on_shutdown.append(self._end)
        return application

    async def _open(self, request: web.Request) -> web.StreamResponse:
        container, body = _container_of(request), await request.read()
        bind = Bind.model_validate_json(body) if body else None
        directory = await self._registry.open(container, bind)
        return _answer(SocketOpened(directory=str(directory)))

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        await self._registry.delete(_container_of(request))
        return web.Response(status=204)

    async def _bind(self, request: web.Request) -> web.StreamResponse:
        container = _container_of(request)
        self._registry.bind(container, Bind.model_validate_json(await request.read()))
        return web.Response(status=204)

    async def _unbind(self, request: web.Request) -> web.StreamResponse:
        self._registry.unbind(_container_of(request))
        return web.Response(status=204)

    async def _reload(self, request: web.Request) -> web.StreamResponse:
        self._registry.reload()
        return await self._health(request)

    async def _explain(self, request: web.Request) -> web.StreamResponse:
        asked = PolicyTest.model_validate_json(await request.read())
        configuration = self._in_force.configuration
        told = explain(
            asked.method,
            asked.url,
            policy=asked.policy,
            configuration=configuration,
            tenant=asked.tenant,
        )
        return _answer(told)

    async def _life(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await self._is_ending.wait()
        return response

    async def _end(self, _: web.Application) -> None:
        self._is_ending.set()

    async def _health(self, request: web.Request) -> web.StreamResponse:
        del request
        credentials = await self._in_force.keyring.health()
        return _answer(ProxyHealth(version=self._version, credentials=credentials))

    async def _stats(self, request: web.Request) -> web.StreamResponse:
        del request
        return _answer(ProxyStats(sockets=self._registry.stats()))

    async def _budgets(self, request: web.Request) -> web.StreamResponse:
        del request
        return _answer(self._books.report(self._in_force.configuration.terms))


def _container_of(request: web.Request) -> str:
    return _IDENTIFIER.validate_python(request.match_info["container"])


def _answer(message: Message) -> web.Response:
    return web.Response(text=message.model_dump_json(), content_type="application/json")


@web.middleware
async def _problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        code = error.reason.lower().replace(" ", "-")
        return _problem(Problem.of(code, title=error.reason, status=error.status))
    except (CredentialProxyError, ValidationError) as error:
        status, code, title = next(
            (status, code, title) for kind, status, code, title in _PROBLEMS
            if isinstance(error, kind)
        )  # fmt: skip
        detail = _detail(error)
        return _problem(Problem.of(code, title=title, status=status, detail=detail))


def _detail(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        f"{'.'.join(str(part) for part in e['loc']) or 'value'}: {e['msg']}"
        for e in error.errors(include_input=False, include_url=False)[:20]
    )


def _problem(problem: Problem) -> web.Response:
    return web.Response(
        status=problem.status, text=problem.model_dump_json(), content_type=PROBLEM_MEDIA_TYPE
    )
