"""What can be decided on a request: forward it, and how, or refuse it, and why."""

from dataclasses import dataclass
from typing import Final, Literal

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.credential_proxy.framing import Headers
from hakoiri.credential_proxy.model_path import ModelCall
from hakoiri.credential_proxy.signing_scope import SigningScope
from hakoiri.wire.policy import Reach

HELD_BODY_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""The largest body that is held to be signed, unless the policy's rule says otherwise."""

Route = Literal["model", "egress", "tunnel", "intercept", "intercepted"]
"""Which way out: the model's API; an absolute-form request; a raw CONNECT; a CONNECT whose TLS
ends here; a request inside such a one."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a request is sent; `path` and `query` as they go on the wire."""

    scheme: Literal["http", "https"]
    authority: Authority
    path: str = ""
    query: str = ""

    @property
    def host_header(self) -> str:
        """The value of `Host`: without the scheme's own port."""
        host, port = self.authority.host, self.authority.port
        return host if port == _DEFAULT_PORTS[self.scheme] else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Injection:
    """The credential to put on a request; `scope` is for those that sign."""

    credential: str
    scope: SigningScope | None
    unsigned_payload: bool = False


@dataclass(frozen=True, slots=True)
class Forward:
    """The request may go out.

    `headers` are the container's that pass, without Host and without a credential; `rule` names
    the policy's rule. A body is held whole when it must be signed or names the model, else it
    streams, up to `body_limit_bytes`. A non-empty `models` means that the body must name one of
    them. `secrets` are the placeholders that are replaced. For the route `intercept` nothing goes
    out yet. `call` is what is asked of a model, on the model path; `is_model_listed`: policy or
    proxy's file list the models that it may name. `reach` is what its provider may fetch or run,
    None where no body is looked at.
    """

    route: Route
    method: str
    upstream: Upstream
    headers: Headers
    rule: str
    injection: Injection | None = None
    models: frozenset[str] = frozenset()
    body_limit_bytes: int | None = None
    secrets: frozenset[str] = frozenset()
    is_websocket: bool = False
    call: ModelCall | None = None
    is_model_listed: bool = False
    reach: frozenset[Reach] | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """When a refused request may be sent again, and whether a client should do so by itself."""

    after_s: int
    is_passing: bool


@dataclass(frozen=True, slots=True)
class Refuse:
    """The request must not go out; `code` is stable, `reason` is for people and names the mend."""

    status: int
    code: str
    reason: str
    route: Route | None = None
    authority: Authority | None = None
    rule: str | None = None
    retry: Retry | None = None


Decision = Forward | Refuse


class RefusedError(CredentialProxyError):
    """A rule refuses the request; `exchange.decide` turns it into a `Refuse`."""

    def __init__(
        self,
        status: int,
        code: str,
        reason: str,
        *,
        authority: Authority | None = None,
        rule: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.authority = authority
        self.rule = rule
