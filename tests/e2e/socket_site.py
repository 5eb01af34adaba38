"""A WebSocket server that wants a token, and repeats what it is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.e2e.tls_server import TlsServer
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from hakoiri.credential_proxy.interception.certificate_authority import CertificateAuthority
from hakoiri.credential_proxy.interception.leaf_cache import LeafCache

HOST = "socket.example.test"
TOKEN = "planted-token-of-the-socket"


@contextmanager
def socket_site(directory: Path) -> Iterator[TlsServer]:
    """Serve until the end."""
    keys = directory / "socket-keys"
    keys.mkdir(parents=True)
    authority = CertificateAuthority.load(keys, now=datetime.now(UTC))

    def check(connection: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Authorization") == f"Bearer {TOKEN}":
            return None
        return connection.respond(401, "no token\n")

    def repeat(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(f"echo {message!s}")

    context = LeafCache(authority=authority).context_for(HOST)
    with serve(repeat, "127.0.0.1", 0, ssl=context, process_request=check) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            port: int = server.socket.getsockname()[1]
            yield TlsServer(port, authority.certificate_pem)
        finally:
            server.shutdown()
            serving.join()
