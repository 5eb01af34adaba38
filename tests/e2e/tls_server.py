"""A threaded HTTPS server on loopback with a certificate of an authority of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hakoiri.credential_proxy.interception.certificate_authority import CertificateAuthority
from hakoiri.credential_proxy.interception.leaf_cache import LeafCache


@dataclass(frozen=True, slots=True)
class TlsServer:
    """Where it listens, and who vouches for it."""

    port: int
    certificate_pem: bytes


@contextmanager
def tls_server(
    handler: Callable[..., BaseHTTPRequestHandler], *, host: str, keys: Path
) -> Iterator[TlsServer]:
    """Serve `host` until the end; `keys` is a directory for the authority."""
    keys.mkdir(parents=True)
    authority = CertificateAuthority.load(keys, now=datetime.now(UTC))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = LeafCache(authority=authority).context_for(host)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield TlsServer(server.server_port, authority.certificate_pem)
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
