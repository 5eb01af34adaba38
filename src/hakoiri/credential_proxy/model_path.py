"""The requests that make up the model path: which API they speak, for which model.

The path that is sent is built here from the decoded model id, so that policy, signer and upstream
see the same bytes (a path checked in one spelling and signed in another would get around both).
"""

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, unquote_to_bytes

from hakoiri.credential_proxy.budgets.charge import Operation
from hakoiri.credential_proxy.errors import CredentialProxyError

Provider = Literal["bedrock", "anthropic"]

MODEL_ID_LIMIT_CHARS: Final = 2048
"""Bedrock's own limit for `modelId` (API Reference, InvokeModel)."""

_BEDROCK_ACTIONS: Final = frozenset(
    {"invoke", "invoke-with-response-stream", "converse", "converse-stream"}
)
_BEDROCK_SEGMENTS: Final = 4
_MODEL_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")
_DOT_SEGMENTS: Final = frozenset({"", ".", ".."})
_ANTHROPIC_METHODS: Final = {
    "/v1/messages": "POST",
    "/v1/messages/count_tokens": "POST",
    "/v1/models": "GET",
}
_ANTHROPIC_QUERY: Final = "beta=true"
_OPERATIONS: Final[dict[str, Operation]] = {
    "messages": "messages",
    "invoke": "invoke",
    "invoke-with-response-stream": "invoke",
    "converse": "converse",
    "converse-stream": "converse",
}


class ModelPathError(CredentialProxyError):
    """The request is none of the model path's; `code` is stable."""

    def __init__(self, code: str, reason: str, *, status: int = 403) -> None:
        super().__init__(reason)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A request to a model's API; `path` is canonical, `model` is None where the body names it."""

    provider: Provider
    path: str
    query: str
    model: str | None

    @property
    def operation(self) -> Operation | None:
        """How the call's body is read where it costs tokens; None for one that costs none."""
        return _OPERATIONS.get(self.path.rpartition("/")[2])


def parse_model_call(method: str, target: str) -> ModelCall:
    """Tell which call an origin-form target is.

    Raises:
        ModelPathError: it is none, or not in its plain form.
    """
    path, _, query = target.partition("?")
    if path.startswith("/model/"):
        return _bedrock_call(method, path, has_query="?" in target)
    expected = _ANTHROPIC_METHODS.get(path)
    if expected is None:
        raise ModelPathError("path-not-allowed", "this path is not one of the model's API")
    if method != expected:
        raise ModelPathError("method-not-allowed", f"{path} takes {expected} only")
    if "?" in target and query != _ANTHROPIC_QUERY:
        raise ModelPathError("query-not-allowed", "the model path takes no query")
    return ModelCall("anthropic", path, query, model=None)


def _bedrock_call(method: str, path: str, *, has_query: bool) -> ModelCall:
    segments = path.split("/")
    if len(segments) != _BEDROCK_SEGMENTS or segments[3] not in _BEDROCK_ACTIONS:
        raise ModelPathError("path-not-allowed", "this path is not one of the model's API")
    if method != "POST":
        raise ModelPathError("method-not-allowed", "the model's API takes POST only")
    if has_query:
        raise ModelPathError("query-not-allowed", "the model path takes no query")
    model = decode_model_id(segments[2])
    return ModelCall("bedrock", f"/model/{quote(model, safe='')}/{segments[3]}", "", model)


def decode_model_id(encoded: str) -> str:
    """Percent-decode a model id once.

    Raises:
        ModelPathError: what comes out is not a plain id: a letter outside `A-Za-z0-9._:/-`
            (another `%` among them), an empty or dot segment, `..`, or too long.
    """
    try:
        model = unquote_to_bytes(encoded).decode("ascii")
    except UnicodeDecodeError as error:
        raise ModelPathError("bad-model-id", "the model id is not ASCII", status=400) from error
    is_plain = (
        len(model) <= MODEL_ID_LIMIT_CHARS
        and _MODEL_ID.fullmatch(model) is not None
        and ".." not in model
        and _DOT_SEGMENTS.isdisjoint(model.split("/"))
    )
    if not is_plain:
        raise ModelPathError("bad-model-id", "the model id is not a plain id", status=400)
    return model
