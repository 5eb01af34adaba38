"""Syslog receivers on loopback: they read frames to the end, and close when it is reached."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Received:
    """What came, in order. `dies_after` connections are cut before they were read to the end."""

    port: int = 0
    messages: list[bytes] = field(default_factory=list)
    connections: int = 0
    dies: int = 0


def frames_of(data: bytes) -> list[bytes]:
    found = []
    while data:
        length, space, rest = data.partition(b" ")
        assert space, "a frame without a length"
        found.append(rest[: int(length)])
        data = rest[int(length) :]
    return found


@contextmanager
def receiver(tls: ssl.SSLContext | None = None, *, dies: int = 0) -> Iterator[Received]:
    """Listen on TCP; the first `dies` connections are reset once something came."""
    received = Received(dies=dies)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        received.port = listener.getsockname()[1]
        stopping = threading.Event()

        def serve() -> None:
            while not stopping.is_set():
                with suppress(OSError):
                    plain, _ = listener.accept()
                    with plain:
                        if stopping.is_set():
                            return
                        received.connections += 1
                        take(plain)

        def take(plain: socket.socket) -> None:
            connection = plain if tls is None else tls.wrap_socket(plain, server_side=True)
            with connection:
                data = b""
                while piece := connection.recv(65536):
                    data += piece
                    if received.dies:
                        received.dies -= 1
                        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                        return
                received.messages += frames_of(data)
                if isinstance(connection, ssl.SSLSocket):
                    connection.unwrap().close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield received
        finally:
            stopping.set()
            with suppress(OSError), socket.create_connection(("127.0.0.1", received.port)):
                pass
            thread.join(10)


def server_context(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate of `localhost`; return the receiver's context and the authority's file."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    places = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(
        ["openssl", "req", "-x509", *kind, *places, *subject],
        check=True,
        capture_output=True,
        timeout=30,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
