"""The errors of the credential proxy."""

from typing import Final

NOT_ALLOWED_STATUS: Final = 400
"""How a model request that the policy does not let by is refused.

The agent's CLI takes a 403 of Bedrock for credentials that are too old, and sends the request again
for minutes, whatever `x-should-retry` says (seen with 2.1); what it is told with a 400 it takes for
final. Its own protocol for gateways has 400 for models and policies, too.
"""


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
