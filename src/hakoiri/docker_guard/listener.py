"""The guard's socket: takes requests apart, has each decided and carried out, logs each.

Only method, target, length and body of a request are used; nothing of it is passed on as it came.
"""

import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from hakoiri.docker_guard.call_records import CallRecords
from hakoiri.docker_guard.calls import Call, read_call, takes_body
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.docker_guard.service import Answer
from hakoiri.wire.problems import PROBLEM_MEDIA_TYPE

BODY_LIMIT_BYTES: Final = 256 * 1024
"""A container's body is 5 KiB and a system-call filter; authorization that looks at a body must see
all of it (CVE-2026-34040)."""

HEAD_LIMIT_BYTES: Final = 8190
LINGER_S: Final = 2.0
BACKLOG: Final = 128
_PEER: Final = struct.Struct("3i")
_UNUSED_HEADERS: Final = ("Transfer-Encoding", "Content-Encoding", "Upgrade", "Trailer", "Expect")

CarryOut = Callable[[Call, bytes], Awaitable[Answer]]


class Listener:
    """Answers on one Unix socket. `client_uids` may call, and root."""

    def __init__(
        self, *, carry_out: CarryOut, client_uids: tuple[int, ...], records: CallRecords
    ) -> None:
        """Name what is asked and who may ask."""
        self._carry_out = carry_out
        self._uids = frozenset({0, *client_uids})
        self._records = records

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Decide one request, have it carried out, record it."""
        started_s = time.perf_counter()
        method, target = request.method, request.raw_path
        pid, uid = _peer(request)
        code = reason = call = None
        try:
            self._check_caller(uid)
            call = read_call(method, target)
            answer = await self._carry_out(call, await _body(request, call))
            response = _json(answer.status, answer.document)
        except CallRefusedError as error:
            code, reason = error.code, error.detail
            response = refusal(error)
        self._records.answered(
            call,
            method=method,
            target=target,
            status=response.status,
            code=code,
            reason=reason,
            uid=uid,
            pid=pid,
            total_ms=(time.perf_counter() - started_s) * 1000,
        )
        return response

    def _check_caller(self, uid: int) -> None:
        if uid not in self._uids:
            raise CallRefusedError("caller-not-allowed", f"user {uid} may not call")

    def unreadable(self, request: web.BaseRequest, status: int) -> web.Response:
        """Refuse and record what is no request at all."""
        pid, uid = _peer(request)
        error = CallRefusedError("request-unreadable", "this is not HTTP/1.1", status=status)
        self._records.answered(
            None,
            method="",
            target="",
            status=status,
            code=error.code,
            reason=error.detail,
            uid=uid,
            pid=pid,
        )
        return refusal(error)


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


async def start(listener: Listener, sock: socket.socket) -> web.ServerRunner:
    """Serve on a listening socket until the runner is cleaned up."""
    runner = web.ServerRunner(_Server(listener))
    await runner.setup()
    await web.SockSite(runner, sock).start()
    return runner


def refusal(error: CallRefusedError) -> web.Response:
    """Return the problem, after which the connection is closed."""
    response = web.Response(
        status=error.status,
        body=error.problem().model_dump_json().encode(),
        content_type=PROBLEM_MEDIA_TYPE,
    )
    response.force_close()
    return response


async def _body(request: web.BaseRequest, call: Call) -> bytes:
    """Return the whole body of a call that has one, and make sure that others have none."""
    for name in _UNUSED_HEADERS:
        if name in request.headers:
            raise CallRefusedError("header-refused", f"the header {name} is not used", status=400)
    length = request.headers.get("Content-Length", "0")
    if not (length.isascii() and length.isdigit()):
        raise CallRefusedError("length-invalid", "Content-Length is not a number", status=400)
    if int(length[:16]) > BODY_LIMIT_BYTES:
        raise CallRefusedError(
            "body-too-long", f"a body has at most {BODY_LIMIT_BYTES} bytes", status=413
        )
    content = await request.content.read(int(length))
    while len(content) < int(length) and (more := await request.content.read(int(length))):
        content += more
    if not takes_body(call):
        if content:
            raise CallRefusedError("body-not-wanted", "this call takes no body", status=400)
        return b""
    if not content:
        raise CallRefusedError(
            "length-required", "this call needs a body and its length", status=411
        )
    if request.content_type != "application/json":
        raise CallRefusedError("not-json", "Content-Type must be application/json", status=415)
    return content


def _json(status: int, document: Any) -> web.Response:
    if document is None:
        return web.Response(status=status)
    return web.json_response(document, status=status)


def _peer(request: web.BaseRequest) -> tuple[int, int]:
    """Return the caller's process and user, as the kernel says (unix(7), SO_PEERCRED)."""
    transport = request.transport
    connected = transport.get_extra_info("socket") if transport is not None else None
    if connected is None:
        return -1, -1
    said = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    pid, uid, _ = _PEER.unpack(said)
    return pid, uid


class _Protocol(RequestHandler):
    """aiohttp's protocol, with our words for what it cannot read."""

    def __init__(self, server: "_Server", listener: Listener, **options: Any) -> None:
        super().__init__(server, **options)
        self._listener = listener

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:  # noqa: PLR2004 - a fault of ours: aiohttp logs the trace
            self.log_exception("a call failed", exc_info=exc)
        del message
        return self._listener.unreadable(request, status)


class _Server(web.Server):
    """Makes our protocol for each connection."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener.answer)
        self._listener = listener

    def __call__(self) -> RequestHandler:
        return _Protocol(
            self,
            self._listener,
            loop=self._loop,
            access_log=None,
            auto_decompress=False,
            max_line_size=HEAD_LIMIT_BYTES,
            max_field_size=HEAD_LIMIT_BYTES,
            lingering_time=LINGER_S,
        )
