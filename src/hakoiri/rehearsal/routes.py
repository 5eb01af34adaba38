"""Which operation a request names. Pure; works on the raw path, as the signature does."""

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote

Provider = Literal["bedrock", "anthropic"]
Operation = Literal["invoke", "stream", "count_tokens", "inference_profiles", "unknown"]

BEDROCK_MODEL: Final = re.compile(
    r"/model/(?P<model>[^/]{1,1024})/(?P<verb>invoke|invoke-with-response-stream)"
)
MODEL_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,511}")
"""Model ids, inference profiles and their ARNs (AWS API: `InvokeModel`, `modelId`)."""


@dataclass(frozen=True, slots=True)
class Call:
    """An operation of a provider; `model` only where the path names it (Bedrock)."""

    provider: Provider
    operation: Operation
    model: str = ""


def call_of(method: str, raw_path: str) -> Call:
    """Read method and raw path; what nobody offers is `unknown`, at the provider it looks like."""
    match method, raw_path:
        case "POST", "/v1/messages":
            # Whether it streams stands in the body.
            return Call("anthropic", "invoke")
        case "POST", "/v1/messages/count_tokens":
            return Call("anthropic", "count_tokens")
        case "GET", "/inference-profiles":
            return Call("bedrock", "inference_profiles")
    found = BEDROCK_MODEL.fullmatch(raw_path)
    if method == "POST" and found and MODEL_ID.fullmatch(unquote(found["model"])):
        operation: Operation = "invoke" if found["verb"] == "invoke" else "stream"
        return Call("bedrock", operation, unquote(found["model"]))
    return Call("anthropic" if raw_path.startswith("/v1/") else "bedrock", "unknown")
