"""Usage in the words of each API. No I/O.

Sources: Anthropic API, "Messages" (`usage`) and "Streaming messages"; AWS API reference, Bedrock
`Converse` (`TokenUsage`), `InvokeModel` (response headers), and "Carry out a conversation with the
Converse API operations"; `amazon-bedrock-invocationMetrics` as Bedrock adds it to a stream's last
chunk.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from hakoiri.credential_proxy.budgets.usage import TOKENS_MAX, Usage

_ANTHROPIC: Final = (
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
)
_CONVERSE: Final = (
    "inputTokens",
    "outputTokens",
    "cacheWriteInputTokens",
    "cacheReadInputTokens",
)
_METRICS: Final = (
    "inputTokenCount",
    "outputTokenCount",
    "cacheWriteInputTokenCount",
    "cacheReadInputTokenCount",
)
_HEADERS: Final = (
    "x-amzn-bedrock-input-token-count",
    "x-amzn-bedrock-output-token-count",
    "x-amzn-bedrock-cache-write-input-token-count",
    "x-amzn-bedrock-cache-read-input-token-count",
)
METRICS_FIELD: Final = "amazon-bedrock-invocationMetrics"
_DIGITS_MAX: Final = 10


def usage_of(told: object) -> Usage | None:
    """Read an object of usage in any of the spellings; None when it holds no count of output."""
    if not isinstance(told, dict):
        return None
    for names in (_ANTHROPIC, _CONVERSE, _METRICS):
        if names[1] in told:
            return Usage(*(_count(told.get(name)) for name in names))
    return None


def usage_of_headers(headers: Mapping[str, str]) -> Usage | None:
    """Read the counts in the headers of an answer, names in lower case."""
    if _HEADERS[1] not in headers:
        return None
    return Usage(*(_count(_number(headers.get(name, ""))) for name in _HEADERS))


def read_object(document: bytes) -> dict[str, Any]:
    """Return a JSON object; an empty one for anything else."""
    try:
        value = json.loads(document)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= TOKENS_MAX
    return value if is_count and isinstance(value, int) else 0


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else None
