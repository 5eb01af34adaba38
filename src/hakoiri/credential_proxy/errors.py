"""The errors of the credential proxy."""


class CredentialProxyError(Exception):
    """The credential proxy cannot do what was asked."""


class ConfigurationError(CredentialProxyError):
    """The proxy's own file cannot be used; the message names the field and the mend."""


class CredentialError(CredentialProxyError):
    """A credential cannot be used now; the message tells why, never the value."""


class ResolutionError(CredentialProxyError):
    """A name has no address."""


class AddressRefusedError(CredentialProxyError):
    """A name leads to an address that the proxy does not dial."""


class UpstreamError(CredentialProxyError):
    """The upstream cannot be reached or broke off; `code` is stable and goes to the container.

    `is_refusal` tells that the proxy itself would not go there.
    """

    def __init__(
        self, code: str, reason: str, *, status: int = 502, is_refusal: bool = False
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.status = status
        self.is_refusal = is_refusal
