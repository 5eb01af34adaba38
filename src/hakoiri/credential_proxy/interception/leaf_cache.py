"""TLS contexts for the hosts that are intercepted, made at the first request and kept."""

import os
import ssl
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from hakoiri.credential_proxy.authority import AuthorityError, parse_authority
from hakoiri.credential_proxy.interception.certificate_authority import (
    LEAF_LIFETIME,
    CertificateAuthority,
)

CONTEXTS_LIMIT: Final = 1000


@dataclass(frozen=True, slots=True)
class _Leaf:
    context: ssl.SSLContext
    issued_at: datetime


class LeafCache:
    """One context for each host, renewed at half its life, the longest unused forgotten first."""

    def __init__(
        self,
        *,
        authority: CertificateAuthority,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._authority = authority
        self._now = now
        self._leaves: OrderedDict[str, _Leaf] = OrderedDict()
        self.issued = 0
        self.hits = 0

    def __len__(self) -> int:
        return len(self._leaves)

    def context_for(self, host: str) -> ssl.SSLContext:
        """Return the server's side of TLS for `host`; a client that asks for another is refused."""
        leaf = self._leaves.get(host)
        now = self._now()
        if leaf is not None and now - leaf.issued_at < LEAF_LIFETIME / 2:
            self._leaves.move_to_end(host)
            self.hits += 1
            return leaf.context
        context = _context(host, self._authority.issue(host, now=now))
        self._leaves[host] = _Leaf(context, now)
        self._leaves.move_to_end(host)
        if len(self._leaves) > CONTEXTS_LIMIT:
            self._leaves.popitem(last=False)
        self.issued += 1
        return context


def _context(host: str, key_and_certificate: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.sni_callback = _only_for(host)
    # The module reads files alone; this one has no name and never reaches a disk.
    descriptor = os.memfd_create("leaf", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, key_and_certificate)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


def _only_for(host: str) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], int | None]:
    """Refuse a handshake for another host than the CONNECT's (RFC 6066, section 3)."""

    def check(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> int | None:
        try:
            is_right = name is not None and parse_authority(name, default_port=443).host == host
        except AuthorityError:
            is_right = False
        return None if is_right else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    return check
