"""A request as it goes upstream, and what a credential changes of it. No I/O."""

from dataclasses import dataclass, field, replace
from urllib.parse import unquote_plus

from hakoiri.credential_proxy.credentials.sigv4 import Headers


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """The head of a request on its way, `host` among the headers; its body is not here.

    `path` and `query` (without `?`) are as on the wire. Headers and query may hold a secret.
    """

    method: str
    path: str
    query: str = field(repr=False)
    headers: Headers = field(repr=False)


def with_headers(request: OutgoingRequest, added: Headers) -> OutgoingRequest:
    """Return `request` with `added` in place of all headers of these names, in any case."""
    names = {name.lower() for name, _ in added}
    kept = [header for header in request.headers if header[0].lower() not in names]
    return replace(request, headers=(*kept, *added))


def with_query_parameter(
    request: OutgoingRequest, *, parameter: str, encoded_value: str
) -> OutgoingRequest:
    """Return `request` with this parameter in place of all of its name.

    The name counts in any case and any encoding, and `;` separates too: what the upstream may read
    as this parameter must be ours alone.
    """
    name, ours = parameter.lower(), f"{parameter}={encoded_value}"
    query = "&".join([piece for piece in request.query.split("&") if not _holds(piece, name)])
    return replace(request, query=f"{query}&{ours}" if query else ours)


def _holds(piece: str, parameter: str) -> bool:
    names = (part.partition("=")[0] for part in piece.split(";"))
    return any(unquote_plus(name).strip().lower() == parameter for name in names)
