"""One place that packages come from, as a package manager's own configuration names it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from hakoiri.wire.policy import HostPattern

PORTS: Final = {"https": 443, "http": 80}
_HOST: Final[TypeAdapter[str]] = TypeAdapter(HostPattern)
_SHOWN_CHARS: Final = 200


@dataclass(frozen=True, slots=True, order=True)
class PackageSource:
    """A host and port that packages come from. `origin` says whose configuration names it."""

    host: str
    port: int
    origin: str


@dataclass(slots=True)
class Found:
    """The sources that were found, and what an operator should know about those left out."""

    sources: list[PackageSource] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add_url(self, url: str, *, origin: str) -> None:
        """Take the host of `url` as a source, or note why it cannot be one.

        A password in the URL is neither kept nor shown: what the container needs of it is a
        credential in the proxy's own file.
        """
        try:
            parts = urlsplit(url.strip())
            port, host = parts.port, (parts.hostname or "").rstrip(".")
        except ValueError:
            self.notes.append(f"{origin}: not a URL that can be read; left out")
            return
        scheme = parts.scheme.lower()
        if scheme not in PORTS:
            shown = f"{scheme}: " if scheme else "a path: "
            self.notes.append(f"{origin}: {shown}not over HTTP, so not through the proxy; left out")
            return
        if port is None:
            port = PORTS[scheme]
        if self._add(host, port, origin=origin) and parts.username is not None:
            self.notes.append(
                f"{origin}: the name and password for {host} stay out of the policy; if workspaces"
                " need them, define a credential of kind basic in the proxy's own file"
                " and name it in the rule"
            )

    def add_host(self, host: str, *, origin: str, port: int = PORTS["https"]) -> None:
        """Take a host that is named without a URL."""
        self._add(host, port, origin=origin)

    def add(self, other: "Found") -> None:
        """Take over all that another search found."""
        self.sources += other.sources
        self.notes += other.notes

    def _add(self, host: str, port: int, *, origin: str) -> bool:
        try:
            name = _HOST.validate_python(_ascii(host))
        except (ValidationError, UnicodeError):
            shown = host[:_SHOWN_CHARS].encode("unicode_escape").decode()
            self.notes.append(
                f"{origin}: {shown!r} is no host that a policy can name (two labels at least); left"
                " out"
            )
            return False
        if name.startswith("*") or port == 0:
            self.notes.append(f"{origin}: a wildcard or port 0 is no package source; left out")
            return False
        self.sources.append(PackageSource(name, port, origin))
        return True


def _ascii(host: str) -> str:
    """Return the host as it goes over the wire (RFC 3490)."""
    lowered = host.lower()
    return lowered if lowered.isascii() else lowered.encode("idna").decode("ascii")


def origins_by_host(sources: Iterable[PackageSource]) -> dict[str, tuple[list[int], list[str]]]:
    """Return for each host its ports and who named it, both sorted."""
    found: dict[str, tuple[set[int], set[str]]] = {}
    for source in sources:
        ports, origins = found.setdefault(source.host, (set(), set()))
        ports.add(source.port)
        origins.add(source.origin)
    return {
        host: (sorted(ports), sorted(origins)) for host, (ports, origins) in sorted(found.items())
    }
