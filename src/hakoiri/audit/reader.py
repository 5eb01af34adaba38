"""`python -m hakoiri.audit.reader`: answers the server's questions about the audit log.

The server may not see the other processes' chains, and who writes a chain must not be who shows it.
So a process of its own, which can read all chains and write none, answers closed questions on a
Unix socket: one line of JSON in, one out. It holds no secret and no network.
"""

import json
import os
import signal
import socketserver
import sys
import threading
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from hakoiri.audit.chain import AuditError
from hakoiri.audit.launch import ReaderLaunch
from hakoiri.audit.pages import answer_of, find_page
from hakoiri.audit.query import (
    QUESTION_LIMIT_BYTES,
    AuditQuery,
    BadCursorError,
    CursorSeal,
)

USAGE_EXIT_CODE: Final = 2
AT_ONCE: Final = 4
QUESTION_TIMEOUT_S: Final = 5.0
SOCKET_MODE: Final = 0o660

BAD_QUESTION: Final = "bad-question"
BAD_CURSOR: Final = "bad-cursor"
BUSY: Final = "busy"
UNREADABLE: Final = "unreadable"


class ReaderServer(socketserver.ThreadingUnixStreamServer):
    """Listens on `path`; answers a few at once, and tells the rest that it is busy."""

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, path: Path, chains: dict[str, Path]) -> None:
        """Listen; raises `OSError`."""
        self.chains = chains
        self.seal = CursorSeal()
        self.slots = threading.BoundedSemaphore(AT_ONCE)
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Handler)
        path.chmod(SOCKET_MODE)

    def answer(self, question: bytes) -> bytes:
        """Return the answer to one line; never raises for what it says."""
        try:
            query = AuditQuery.model_validate_json(question)
            return answer_of(find_page(self.chains, query, seal=self.seal))
        except ValidationError:
            return _error(BAD_QUESTION)
        except BadCursorError:
            return _error(BAD_CURSOR)
        except (AuditError, OSError) as error:
            sys.stdout.write(
                json.dumps({"event": "audit_log_unreadable", "reason": str(error)}) + "\n"
            )
            sys.stdout.flush()
            return _error(UNREADABLE)


class _Handler(socketserver.StreamRequestHandler):
    timeout = QUESTION_TIMEOUT_S
    server: ReaderServer

    def handle(self) -> None:
        """Answer one question; who is slow or says too much is cut off."""
        try:
            question = self.rfile.readline(QUESTION_LIMIT_BYTES + 1)
            self.wfile.write(self._answer(question))
        except (TimeoutError, ConnectionError):
            return

    def _answer(self, question: bytes) -> bytes:
        if not question.endswith(b"\n"):
            return _error(BAD_QUESTION)
        if not self.server.slots.acquire(blocking=False):
            return _error(BUSY)
        try:
            return self.server.answer(question)
        finally:
            self.server.slots.release()


def _error(code: str) -> bytes:
    return json.dumps({"error": code}).encode() + b"\n"


def main() -> None:
    """Answer until SIGTERM; exit 1 if the socket cannot be made."""
    try:
        launch = ReaderLaunch.model_validate_json(sys.stdin.buffer.read())
    except ValidationError as error:
        sys.stderr.write(f"hakoiri audit reader: {error}\n")
        sys.exit(USAGE_EXIT_CODE)
    os.umask(0o117)
    try:
        server = ReaderServer(launch.socket, dict(launch.chains))
    except OSError as error:
        sys.stderr.write(f"hakoiri audit reader: {error}\n")
        sys.exit(1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    with server:
        server.serve_forever(poll_interval=0.5)


if __name__ == "__main__":
    main()
