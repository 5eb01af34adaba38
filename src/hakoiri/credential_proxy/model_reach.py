"""What a model request would have the model's provider fetch or run. No I/O.

A provider does more than compute: it fetches pictures and documents by URL, calls servers that a
request names, searches, and reads buckets with the rights of our key. Each would be a way out to
hosts that no rule lets through, so it needs a name in the policy's `model.reach`.

Sources: Anthropic's Messages API (content sources, server tools, MCP connector); Amazon Bedrock's
API Reference (`S3Location`, `SystemTool`).
"""

import re
from collections.abc import Collection
from typing import Final

from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.credential_proxy.json_scanner import JsonScanner
from hakoiri.wire.policy import Reach

_TEXT_LIMIT_CHARS: Final = 128
"""Of a name or type that matters, as it is spelt: twenty letters, escaped each."""

_DONE: Final[dict[Reach, str]] = {
    "urls": "fetch what a URL names",
    "mcp": "call MCP servers",
    "web_fetch": "fetch pages",
    "web_search": "search the web",
    "code_execution": "run code",
    "s3": "read S3 buckets",
}
_OWN_TOOL: Final = re.compile(
    r"custom|function|(?:bash|computer|memory|text_editor)_[0-9]{8}"
    r"|tool_search_tool_[a-z0-9_]{1,64}"
)
"""Tools that the caller runs, and the search among those that it named."""

_PROVIDERS_TOOL: Final[tuple[tuple[str, Reach], ...]] = (
    ("web_fetch_", "web_fetch"),
    ("web_search_", "web_search"),
    ("code_execution_", "code_execution"),
    ("mcp_toolset", "mcp"),
)
_HELD_SOURCES: Final = frozenset({"base64", "text", "content", "file"})
"""Sources that bring their bytes, or name what was given to the provider before."""

_BY_NAME: Final[dict[str, Reach]] = {"s3location": "s3", "systemtool": "web_search"}
_ANYTHING: Final = frozenset(
    {
        *("input", "input_schema", "input_examples", "inputSchema"),
        *("json", "json_schema", "parameters", "schema"),
    }
)
"""Where a caller's tools put what they like, which no provider looks at: what they are called with,
what they answer, and schemas."""


class ReachRefusedError(CredentialProxyError):
    """The request would have the provider do what the policy does not name."""


class ReachScanner(JsonScanner):
    """Reads a body to its end; raises `ReachRefusedError` at what is not in `allowed`.

    Letter case is not told apart, and of a name that comes twice each value counts, since parsers
    differ in both.
    """

    def __init__(self, allowed: Collection[Reach]) -> None:
        super().__init__()
        self._allowed = allowed
        self._places: list[str] = []  # of what is open: the member's name, a list's for its items
        self._member = ""
        self._anything_at: int | None = None  # how deep the outermost of `_ANYTHING` lies

    def _opens(self, word: str) -> None:
        is_member = bool(self._open) and self._open[-1] == "{"
        place = self._member if is_member else (self._places[-1] if self._places else "")
        if self._anything_at is None:
            if is_member and place in _ANYTHING:
                self._anything_at = len(self._open)
            elif word == "{" and place.casefold() == "mcp_servers":
                self._require("mcp")
        self._places.append(place)

    def _closes(self) -> None:
        self._places.pop()
        if self._anything_at == len(self._open):
            self._anything_at = None

    def _string_limit(self) -> int | None:
        if self._anything_at is not None:
            return None
        return _TEXT_LIMIT_CHARS if self._is_in_name or self._is_type() else None

    def _named(self, name: str | None) -> None:
        self._member = name or ""
        reach = _BY_NAME.get(self._member.casefold())
        if reach is not None:
            self._require(reach)

    def _string_told(self, text: str | None) -> None:
        if self._anything_at is not None or not self._is_type():
            return
        if self._places[-1].casefold() == "tools":
            self._check_tool(text or "")
        elif text == "url":
            self._require("urls")
        elif text not in _HELD_SOURCES:
            raise ReachRefusedError(
                f"content from a source of the type {_shown(text)} is not let by"
            )

    def _is_type(self) -> bool:
        """Whether the value that comes is the type of a tool or of a content's source."""
        is_member = bool(self._open) and self._open[-1] == "{"
        is_looked_at = is_member and self._places[-1].casefold() in ("tools", "source")
        return is_looked_at and self._member.casefold() == "type"

    def _check_tool(self, kind: str) -> None:
        if _OWN_TOOL.fullmatch(kind):
            return
        for prefix, reach in _PROVIDERS_TOOL:
            if kind.startswith(prefix):
                self._require(reach)
                return
        raise ReachRefusedError(f"a tool of the type {_shown(kind)} is not let by")

    def _require(self, reach: Reach) -> None:
        if reach not in self._allowed:
            raise ReachRefusedError(
                f"the policy does not let the model's provider {_DONE[reach]};"
                f" to allow it, name it in model.reach: {reach}"
            )


def _shown(text: str | None) -> str:
    return repr((text or "")[:_TEXT_LIMIT_CHARS])
