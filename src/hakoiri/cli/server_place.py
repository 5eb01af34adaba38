"""Where a server is, as `--url` and `HAKOIRI_URL` say it."""

from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from typing import Final, Self
from urllib.parse import urlsplit

SCHEMES: Final[dict[str, tuple[type[HTTPConnection], int]]] = {
    "http": (HTTPConnection, 80),
    "https": (HTTPSConnection, 443),
}
"""What speaks it, and its usual port. The server has no TLS; a reverse proxy before it may."""

WANTED: Final = "write http://HOST:PORT or https://HOST:PORT, and nothing behind it"


class PlaceError(Exception):
    """This names no server; the message says how to write one."""


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """A server's scheme, host and port."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return what a URL names; raises `PlaceError`."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:  # a port or an address that is none
            raise PlaceError(f"{error}; {WANTED}") from error
        extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username
        host = parts.hostname or ""
        is_name = host.isascii() and host.isprintable() and host.split() == [host]
        if parts.scheme not in SCHEMES or extra or not is_name:
            raise PlaceError(WANTED)
        return cls(parts.scheme, host, SCHEMES[parts.scheme][1] if port is None else port)

    def connection(self, *, timeout_s: float) -> HTTPConnection:
        """Return a connection that is not open yet; certificates are checked as the host does."""
        return SCHEMES[self.scheme][0](self.host, self.port, timeout=timeout_s)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"
