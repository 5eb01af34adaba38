"""The guard's socket: has each request decided and carried out, and logs each.

Only method, target, length and body of a request are used; nothing of it is passed on as it came.
"""

import asyncio
import json
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hakoiri.docker_guard.call_records import CallRecords
from hakoiri.docker_guard.caller_connection import CallerConnection, Request, Response
from hakoiri.docker_guard.calls import Call, read_call, takes_body
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.docker_guard.service import Answer
from hakoiri.wire.problems import PROBLEM_MEDIA_TYPE

BODY_LIMIT_BYTES: Final = 256 * 1024
"""A container's body is 5 KiB and a system-call filter; authorization that looks at a body must see
all of it (CVE-2026-34040)."""

CONNECTIONS_LIMIT: Final = 512
BACKLOG: Final = 128
END_TIMEOUT_S: Final = 60.0
"""How long calls that are under way may take when the guard is told to stop."""

_UNUSED_HEADERS: Final = (
    "transfer-encoding",
    "content-encoding",
    "upgrade",
    "trailer",
    "expect",
)

CarryOut = Callable[[Call, bytes], Awaitable[Answer]]

_log = logging.getLogger(__name__)


class Listener:
    """Answers what comes over one Unix socket. `client_uids` may call, and root."""

    def __init__(
        self, *, carry_out: CarryOut, client_uids: tuple[int, ...], records: CallRecords
    ) -> None:
        """Name what is asked and who may ask."""
        self._carry_out = carry_out
        self._uids = frozenset({0, *client_uids})
        self._records = records

    def read_head(self, request: Request) -> Call:
        """Return the call; raise `CallRefusedError` for the caller, the target or the headers."""
        if request.uid not in self._uids:
            raise CallRefusedError("caller-not-allowed", f"user {request.uid} may not call")
        call = read_call(request.method, request.target)
        _check_framing(request.headers)
        return call

    def refuse(self, request: Request, error: CallRefusedError) -> Response:
        """Refuse and record a request for its head, or what is no request at all."""
        self._record(request, error.status, error=error)
        return _refusal(error)

    async def answer(self, request: Request) -> Response:
        """Have a whole request carried out, record it."""
        started_s = time.perf_counter()
        error: CallRefusedError | None = None
        try:
            response = await self._answered(request)
        except CallRefusedError as refused:
            error = refused
            response = _refusal(refused)
        self._record(
            request,
            response.status,
            error=error,
            total_ms=(time.perf_counter() - started_s) * 1000,
        )
        return response

    async def _answered(self, request: Request) -> Response:
        if request.call is None:
            raise RuntimeError("a request without a call is not answered")
        try:
            _check_body(request, request.call)
            answer = await self._carry_out(request.call, request.body)
            return _response(answer)
        except CallRefusedError:
            raise
        except Exception:  # noqa: BLE001 - a flaw of ours ends one call, not the guard
            _log.exception("a call failed")
            raise CallRefusedError(
                "guard-failed", "the docker guard failed; its log says why", status=500
            ) from None

    def _record(
        self,
        request: Request,
        status: int,
        *,
        error: CallRefusedError | None,
        total_ms: float = 0.0,
    ) -> None:
        self._records.answered(
            request.call,
            method=request.method,
            target=request.target,
            status=status,
            code=error.code if error is not None else None,
            reason=error.detail if error is not None else None,
            uid=request.uid,
            pid=request.pid,
            total_ms=total_ms,
        )


class CallServer:
    """Takes connections, and keeps what is asked over them until it is done."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._server: asyncio.Server | None = None
        self._connections: set[CallerConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, sock: socket.socket) -> None:
        """Take connections of a listening socket from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self.connection, sock=sock)

    async def close(self) -> None:
        """Take no more, wait for calls that are under way for a bounded time, end the rest."""
        if self._server is not None:
            self._server.close()
        for connection in [one for one in self._connections if one.is_idle]:
            connection.close()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=END_TIMEOUT_S)
            for task in late:
                task.cancel()
        for connection in list(self._connections):
            connection.close()

    def connection(self) -> asyncio.Protocol:
        """Return what takes one connection."""
        if len(self._connections) >= CONNECTIONS_LIMIT:
            return _NotTaken()
        made = CallerConnection(self._listener, start=self._start, lost=self._connections.discard)
        self._connections.add(made)
        return made

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _NotTaken(asyncio.Protocol):
    """A connection beyond the limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """End it."""
        transport.close()


async def start(listener: Listener, sock: socket.socket) -> CallServer:
    """Serve on a listening socket until what is returned is closed."""
    server = CallServer(listener)
    await server.serve(sock)
    return server


def listen_at(path: Path, *, mode: int) -> socket.socket:
    """Listen at `path`, replacing what is there; whoever finds it there is answered."""
    new_path = path.with_name(path.name + ".new")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with suppress(FileNotFoundError):
            new_path.unlink()
        listener.bind(str(new_path))
        new_path.chmod(mode)
        listener.listen(BACKLOG)
        new_path.rename(path)
    except OSError:
        listener.close()
        raise
    return listener


def _check_framing(headers: Mapping[str, str]) -> None:
    """Refuse headers that change what a body is, and a body that is too long."""
    for name in _UNUSED_HEADERS:
        if name in headers:
            raise CallRefusedError("header-refused", f"the header {name} is not used", status=400)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise CallRefusedError("length-invalid", "Content-Length is not a number", status=400)
    if int(length[:16]) > BODY_LIMIT_BYTES:
        raise CallRefusedError(
            "body-too-long", f"a body has at most {BODY_LIMIT_BYTES} bytes", status=413
        )


def _check_body(request: Request, call: Call) -> None:
    """Make sure that a call that has a body came with one, of JSON, and that others have none."""
    if not takes_body(call):
        if request.body:
            raise CallRefusedError("body-not-wanted", "this call takes no body", status=400)
        return
    if not request.body:
        raise CallRefusedError(
            "length-required", "this call needs a body and its length", status=411
        )
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise CallRefusedError("not-json", "Content-Type must be application/json", status=415)


def _response(answer: Answer) -> Response:
    content = b"" if answer.document is None else json.dumps(answer.document).encode("ascii")
    return Response(answer.status, content)


def _refusal(error: CallRefusedError) -> Response:
    """Return the problem, after which the connection is closed."""
    content = error.problem().model_dump_json().encode()
    return Response(error.status, content, media_type=PROBLEM_MEDIA_TYPE, ends=True)
