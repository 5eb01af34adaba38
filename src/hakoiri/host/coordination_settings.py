"""How servers on one database agree: where Redis is, and what becomes of turns while it is away."""

from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from hakoiri.host.settings_section import Section

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
CALLS_A_LEASE: Final = 6
"""Two renewals may wait for their whole time limit before a lease runs out, and as long again."""


class CoordinationSettings(Section):
    """Only read where `redis_url` is set."""

    credentials_file: Path | None = None
    """TOML with `password` and, for a user of its own, `username`; root's to write."""

    namespace: str = Field(default="hakoiri", pattern=r"^[a-z0-9-]{1,32}$")
    """Before each key; servers that share a database share it."""

    when_away: Literal["refuse", "local"] = "refuse"
    """What becomes of new turns while Redis is away; `local` is right for one server only."""

    lease_s: float = Field(default=15, ge=3, le=300)
    """So long a server that ended without a word keeps others from its conversations."""

    give_up_after_s: float = Field(default=300, ge=0, le=86_400)
    """A server that is silent for so much longer than a lease loses its workspaces; 0: never."""

    timeout_s: float = Field(default=1, ge=0.05, le=10)
    """One call of Redis."""

    @model_validator(mode="after")
    def _calls_fit_a_lease(self) -> Self:
        if self.timeout_s * CALLS_A_LEASE > self.lease_s:
            raise ValueError(
                f"timeout_s: {self.timeout_s:g} is too long for leases of {self.lease_s:g} s; "
                f"name at most {self.lease_s / CALLS_A_LEASE:g}"
            )
        return self


def check_redis_url(url: str) -> str:
    """Return the URL; `ValueError` says what is wrong with it, and shows no part of it.

    `redis://HOST:PORT/DB` on loopback, `rediss://HOST:PORT/DB` (TLS, the host's name is checked),
    or `unix:///PATH`. No password, which would be seen wherever settings are, and no options, of
    which one turns the check off.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is no URL; give rediss://HOST:PORT/DB") from None
    if "@" in parts.netloc or (parts.scheme == "unix" and parts.netloc):
        raise ValueError(
            "must name no user and no password; put them in coordination.credentials_file"
        )
    if parts.query or parts.fragment or not url.isascii() or not url.isprintable():
        raise ValueError("takes no options behind ? or #")
    if parts.scheme == "unix":
        if len(Path(parts.path).parts) < 3:  # noqa: PLR2004 - /DIRECTORY/SOCKET
            raise ValueError("must name a socket in a directory of its own, as unix:///DIR/SOCKET")
        return url
    if parts.scheme not in {"redis", "rediss"} or not host:
        raise ValueError("must begin with redis://, rediss:// or unix:// and name a place")
    if parts.scheme == "redis" and host not in LOOPBACK:
        raise ValueError("redis:// is for loopback alone; give rediss://, which is encrypted")
    number = parts.path.removeprefix("/")
    if number and not (number.isdecimal() and len(number) <= 4):  # noqa: PLR2004 - digits of a DB
        raise ValueError("may end in the number of a database, as rediss://HOST:PORT/0")
    return url


def socket_directory(url: str | None) -> tuple[Path, ...]:
    """Return where Redis' socket lies, if it is reached by one."""
    if url is None or not url.startswith("unix://"):
        return ()
    return (Path(url.removeprefix("unix://")).parent,)
