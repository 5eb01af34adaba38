"""Where a request wants to go, in one spelling: `host` and `port` out of hostile text.

What is not plain is refused, not repaired: user names, percent signs, brackets around names,
characters outside ASCII. (CVE-2022-24825 and CVE-2022-29188 came of checking one spelling and
dialling another.)
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from hakoiri.credential_proxy.errors import CredentialProxyError

HOST_LIMIT_CHARS: Final = 253
HTTP_PORT: Final = 80
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_PORT_MAX: Final = 65535
_IPV6_LITERAL: Final = re.compile(r"\[[0-9A-Fa-f:.]+\]")
_QUAD: Final = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}")
_OCTET_MAX: Final = 255
_NUMERIC_LABEL: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ABSOLUTE: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)")
_PATH: Final = re.compile(r"[\x21-\x7e]*")


class AuthorityError(CredentialProxyError):
    """The target of a request is not plain; `code` is stable."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Authority(NamedTuple):
    """A host in lower case without trailing dot, and a port."""

    host: str
    port: int

    @property
    def is_literal(self) -> bool:
        """Whether the host is an IPv4 address in its one canonical spelling."""
        return is_dotted_quad(self.host)


@dataclass(frozen=True, slots=True)
class AbsoluteTarget:
    """An absolute-form target (RFC 9112, section 3.2.2); `path` holds the query too."""

    scheme: str
    authority: Authority
    path: str


def is_dotted_quad(host: str) -> bool:
    """Whether `host` is four decimal octets without leading zeros."""
    return _QUAD.fullmatch(host) is not None and all(
        int(octet) <= _OCTET_MAX for octet in host.split(".")
    )


def parse_authority(text: str, *, default_port: int | None = None) -> Authority:
    """Parse `host[:port]`; without `default_port` the port must be there.

    Raises:
        AuthorityError: `bad-authority` for anything that is not plain, `ip-literal` for an address
            in any spelling but the dotted quad (the WHATWG URL standard's "ends in a number"
            check: `127.1`, `0x7f.1`, `2130706433` and `0177.0.0.1` are all 127.0.0.1 to libc).
    """
    if len(text) > HOST_LIMIT_CHARS + len(".:65535"):
        raise AuthorityError("bad-authority", "the host is too long")
    return _parse(text, default_port)


@lru_cache(maxsize=1024)
def _parse(text: str, default_port: int | None) -> Authority:
    if not text.isascii() or re.search(r"[\x00-\x20\x7f@%/\\?#]", text):
        raise AuthorityError("bad-authority", "the host holds a character that no host may have")
    host, separator, port_text = text.rpartition(":")
    if text.endswith("]") or not separator:
        host, separator, port_text = text, "", ""
    return Authority(_parse_host(host), _parse_port(port_text, separator, default_port))


def _parse_port(text: str, separator: str, default_port: int | None) -> int:
    if not separator:
        if default_port is None:
            raise AuthorityError("bad-authority", "the port is missing; write host:port")
        return default_port
    if _PORT.fullmatch(text) is None or int(text) > _PORT_MAX:
        raise AuthorityError("bad-authority", "the port must be a number from 1 to 65535")
    return int(text)


def _parse_host(text: str) -> str:
    if _IPV6_LITERAL.fullmatch(text):
        raise AuthorityError("ip-literal", "IPv6 addresses are not dialled; use a host name")
    host = text.lower().removesuffix(".")
    labels = host.split(".")
    if len(host) > HOST_LIMIT_CHARS or not all(_LABEL.fullmatch(label) for label in labels):
        raise AuthorityError("bad-authority", "the host is not a plain host name")
    if _NUMERIC_LABEL.fullmatch(labels[-1]) and not is_dotted_quad(host):
        raise AuthorityError("ip-literal", "the host is an address in disguise; use a host name")
    return host


def parse_absolute(target: str) -> AbsoluteTarget:
    """Parse an absolute-form `http` target.

    Raises:
        AuthorityError: the scheme is not `http`, the authority is not plain, or the path holds a
            character outside visible ASCII or a fragment.
    """
    match = _ABSOLUTE.fullmatch(target)
    if match is None or _PATH.fullmatch(target) is None:
        raise AuthorityError("bad-target", "the request target is not a plain URL")
    scheme = match[1].lower()
    if scheme != "http":
        raise AuthorityError("bad-scheme", "only http:// URLs are forwarded; use CONNECT for https")
    path = match[3] if match[3].startswith("/") else "/" + match[3]
    return AbsoluteTarget(scheme, parse_authority(match[2], default_port=HTTP_PORT), path)
