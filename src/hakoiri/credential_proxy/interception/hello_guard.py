"""Whether what a container sends into a raw tunnel is TLS to the host it was opened for.

Without it a tunnel to an allowed host could ask the server behind it for another one (domain
fronting), or speak something else altogether.
"""

from typing import Final

from hakoiri.credential_proxy.authority import Authority, AuthorityError, parse_authority
from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.credential_proxy.interception.client_hello import (
    ClientHello,
    NotTlsError,
    read_client_hello,
)

HTTPS_PORT: Final = 443
_HANDSHAKE_BYTE: Final = b"\x16"
_TLS_RECORD: Final = b"\x16\x03"


class TunnelRefusedError(CredentialProxyError):
    """What is sent is not what the tunnel was opened for; `code` is stable."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class HelloGuard:
    """Holds the first bytes of a tunnel until they are known to be right.

    On port 443 they must be TLS; on any other port, if they look like TLS, they must be for the
    right host.
    """

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._held = b""

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; return all that was held once it may pass, None while it may not.

        Raises:
            TunnelRefusedError: it must not pass.
        """
        self._held += data
        is_tls = self._held.startswith(_HANDSHAKE_BYTE)
        if not is_tls and self._authority.port != HTTPS_PORT:
            return self._held
        try:
            hello = read_client_hello(self._held)
        except NotTlsError as error:
            if self._authority.port != HTTPS_PORT and not self._held.startswith(_TLS_RECORD):
                return self._held
            reason = f"a tunnel carries TLS that can be read, to port {HTTPS_PORT} alone: {error}"
            raise TunnelRefusedError("tunnel-not-tls", reason) from error
        if hello is None:
            return None
        self._check(hello)
        return self._held

    def _check(self, hello: ClientHello) -> None:
        if hello.is_encrypted:
            # Who reads the inner name is the server alone; the outer one promises nothing.
            raise TunnelRefusedError("tunnel-name-hidden", "an encrypted ClientHello is not let by")
        if hello.server_name is None:
            if self._authority.is_literal:
                return
            raise TunnelRefusedError("tunnel-name-missing", "the ClientHello names no server")
        try:
            named = parse_authority(hello.server_name, default_port=self._authority.port)
        except AuthorityError as error:
            raise TunnelRefusedError("tunnel-name-mismatch", str(error)) from error
        if named != self._authority:
            reason = "the ClientHello names another server than the CONNECT"
            raise TunnelRefusedError("tunnel-name-mismatch", reason)
