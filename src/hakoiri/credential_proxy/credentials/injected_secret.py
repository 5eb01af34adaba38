"""A secret in the form in which a credential of its kind sends it. No I/O."""

import base64
from dataclasses import dataclass
from urllib.parse import quote

from hakoiri.credential_proxy.credential_definitions import (
    BasicCredential,
    BearerCredential,
    HeaderCredential,
    QueryCredential,
    ValueCredential,
)
from hakoiri.credential_proxy.credentials.outgoing_request import (
    OutgoingRequest,
    with_headers,
    with_query_parameter,
)
from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.errors import CredentialError


@dataclass(frozen=True, slots=True)
class InjectedSecret:
    """A secret and how it is sent: the header's value, or the query's, percent-encoded."""

    secret: Secret
    sent: Secret
    forms: tuple[Secret, ...]
    """What must not come back in an answer: the secret, and `sent` where that is another text."""


def injected_secret(credential: ValueCredential, value: str, *, name: str) -> InjectedSecret:
    """Return `value` as `credential` sends it; `name` says where it came from.

    Raises:
        ConfigurationError: the value, or what becomes of it, cannot be sent.
    """
    secret = Secret(value, name=name)
    match credential:
        case HeaderCredential():
            sent = Secret(credential.render(value), name=f"{name}, in its template")
            return InjectedSecret(secret, sent, (secret,) if sent == secret else (secret, sent))
        case BearerCredential():
            sent = Secret(f"Bearer {value}", name=f"{name}, as a bearer token")
            return InjectedSecret(secret, sent, (secret,))
        case BasicCredential():
            pair = base64.b64encode(f"{credential.username}:{value}".encode()).decode()
            sent = Secret(f"Basic {pair}", name=f"{name}, as Basic credentials")
            return InjectedSecret(secret, sent, (secret, Secret(pair, name=name)))
        case QueryCredential():
            sent = Secret(quote(value, safe=""), name=f"{name}, percent-encoded")
            return InjectedSecret(secret, sent, (secret,) if sent == secret else (secret, sent))
    return InjectedSecret(secret, secret, (secret,))


def inject(
    credential: ValueCredential, held: InjectedSecret, request: OutgoingRequest
) -> OutgoingRequest:
    """Return `request` with the secret on it, in place of what the client sent there.

    Raises:
        CredentialError: the credential is a placeholder's, which is put on no request.
    """
    match credential:
        case HeaderCredential():
            return with_headers(request, ((credential.header, held.sent.reveal()),))
        case BearerCredential() | BasicCredential():
            return with_headers(request, (("authorization", held.sent.reveal()),))
        case QueryCredential():
            return with_query_parameter(
                request, parameter=credential.parameter, encoded_value=held.sent.reveal()
            )
    raise CredentialError("a secret is only put in place of its placeholder")
