"""The loader for what goes through CONNECT: one client, blocking sockets, one after the other.

Prints one JSON object. `warm` asks again and again inside one TLS connection; `new` opens a
connection, to another host each time, for each request; `tunnel` reads one long answer.
Certificates are not looked at: what is measured is who makes them.
"""

import argparse
import json
import socket
import ssl
import statistics
import time

READ_BYTES = 1024 * 1024
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE


def connect(to: str) -> socket.socket:
    if to.isdigit():
        connected = socket.create_connection(("127.0.0.1", int(to)))
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(to)
    return connected


def reach(arguments: argparse.Namespace, host: str) -> socket.socket:
    """Connect to `host`, through a proxy unless it is direct."""
    connected = connect(arguments.to)
    if arguments.through:
        authority = f"{arguments.address or host}:{arguments.port}"
        connected.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = connected.recv(1)
            if not more:
                raise RuntimeError(f"no answer to CONNECT: {head!r}")
            head += more
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise RuntimeError(head.decode("latin-1"))
    return connected


def secure(connected: socket.socket, host: str) -> ssl.SSLSocket:
    return CONTEXT.wrap_socket(connected, server_hostname=host)


def ask(connected: socket.socket, host: str, path: str) -> None:
    connected.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += connected.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode("latin-1"))
    length = next(
        int(line.partition(b":")[2]) for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )  # fmt: skip
    left = length - len(body)
    buffer = bytearray(READ_BYTES)
    while left:
        got = connected.recv_into(buffer)
        if not got:
            raise RuntimeError(f"{left} bytes are missing")
        left -= got


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    name = arguments.host
    if arguments.mode == "tunnel":
        connected = reach(arguments, name)
        started_s = time.perf_counter()
        ask(connected, f"{name}:{arguments.port}", arguments.path)
        return {"per_s": arguments.bytes / (time.perf_counter() - started_s)}
    taken_s = []
    if arguments.mode == "warm":
        inside = secure(reach(arguments, name), name)
        for _ in range(arguments.requests):
            started_s = time.perf_counter()
            ask(inside, f"{name}:{arguments.port}", arguments.path)
            taken_s.append(time.perf_counter() - started_s)
        taken_s = taken_s[1:]
    else:
        for index in range(arguments.requests):
            host = name.format(index + arguments.first)
            started_s = time.perf_counter()
            inside = secure(reach(arguments, host), host)
            ask(inside, f"{host}:{arguments.port}", arguments.path)
            taken_s.append(time.perf_counter() - started_s)
            inside.close()
    cuts = statistics.quantiles(taken_s, n=100, method="inclusive")
    return {"p50_ms": cuts[49] * 1000, "p95_ms": cuts[94] * 1000, "p99_ms": cuts[98] * 1000}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["warm", "new", "tunnel"])
    parser.add_argument("--to", required=True, help="a Unix socket, or a port")
    parser.add_argument("--through", action="store_true", help="by CONNECT")
    parser.add_argument("--address", help="what CONNECT names instead of the host")
    parser.add_argument("--host", required=True, help="for `new` with {} for a number")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--requests", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--bytes", type=int, default=0)
    print(json.dumps(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
