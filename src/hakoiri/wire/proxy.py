"""The control plane's conversation with the credential proxy, over its control socket.

- `PUT /sockets/{container}` answers `SocketOpened`: the directory made for the container. The
  socket listens and refuses everything until it is bound. With a `Bind` as its body the socket is
  bound before it listens, so that a container whose proxy was started anew never meets a refusal
  in between; 409 and 422 as below.
- `PUT /sockets/{container}/binding` with `Bind` answers 204; 409 for a generation older than the
  one bound; 422 for a policy that the proxy's own file does not allow. What it says of a trace
  takes the place of what was said before.
- `DELETE /sockets/{container}/binding` answers 204 and cuts every stream of the socket.
- `DELETE /sockets/{container}` answers 204; socket and directory are gone.
- `POST /reload` answers `ProxyHealth`; the proxy reads its own file again; 422 keeps the old one.
- `POST /explain` with `PolicyTest` answers `Explanation`: what would become of one request.
- `GET /life` answers 200 at once and ends only when the proxy ends: who reads it learns of the end
  without asking again and again.
- `GET /health` answers `ProxyHealth`, `GET /stats` answers `ProxyStats`, `GET /budgets` answers
  `BudgetReport` (`hakoiri.wire.budget_report`).
- `GET /metrics` answers figures in Prometheus's text format; every name begins with
  `METRICS_PREFIX`.

Errors are RFC 9457 problems (`hakoiri.wire.problems`).
"""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from hakoiri.wire.messages import Generation, Identifier, Message, ShortText
from hakoiri.wire.policy import Policy

METRICS_PREFIX: Final = "hakoiri_proxy"
"""So that the server can put the proxy's figures beside its own."""


Traceparent = Annotated[str, StringConstraints(pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$")]
"""The span of the container's turn, as a W3C `traceparent`; ours, never one that a box sent."""


class SocketOpened(Message):
    """The socket exists; mount `directory` read-only into the container."""

    directory: Annotated[str, StringConstraints(pattern=r"^/", max_length=200)]


class Bind(Message):
    """From now on the socket speaks for `workspace` under `policy`."""

    workspace: Identifier
    tenant: Identifier
    generation: Generation
    policy: Policy
    traceparent: Traceparent | None = None
    """Below which the requests from now on belong; absent means that none is traced."""


class CredentialHealth(Message):
    """Whether a credential can be used now; never the credential."""

    name: Identifier
    ready: bool
    reason: ShortText = ""


class ProxyHealth(Message):
    """The proxy answers; its credentials and how they are."""

    version: ShortText
    credentials: list[CredentialHealth]
    audit_failure: ShortText | None = None
    """Why its audit log cannot be written now; None if it can."""


class SocketStats(Message):
    """One socket's counters since it was opened."""

    container: Identifier
    workspace: Identifier | None
    generation: Generation | None
    allowed: int = Field(ge=0)
    refused: int = Field(ge=0)
    active: int = Field(ge=0)


class ProxyStats(Message):
    """All open sockets."""

    sockets: list[SocketStats]
