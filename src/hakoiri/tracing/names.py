"""What spans tell, by name. No I/O.

Names of OpenTelemetry's semantic conventions 1.44.0 where they have one (HTTP stable, `gen_ai` in
development); the others begin with `hakoiri.`. A value is a name, a number or a word of a closed
set: never a text that somebody wrote, a secret, a query, or the path of a user's file.
"""

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"

ERROR_TYPE: Final = "error.type"

HTTP_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_STATUS: Final = "http.response.status_code"
URL_SCHEME: Final = "url.scheme"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
OTHER_METHOD: Final = "_OTHER"
METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
"""All others are told as `OTHER_METHOD`."""

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
CONVERSATION: Final = "gen_ai.conversation.id"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"

TENANT: Final = "hakoiri.tenant"
WORKSPACE: Final = "hakoiri.workspace.id"
CONTAINER: Final = "hakoiri.container.id"
TURN: Final = "hakoiri.turn"
TURN_RESULT: Final = "hakoiri.turn.result"
CLAIM_START: Final = "hakoiri.claim.start"
RUNTIME: Final = "hakoiri.runtime"
SAVE_FILES: Final = "hakoiri.files"
SAVE_BYTES: Final = "hakoiri.bytes"
IS_NEEDLESS: Final = "hakoiri.needless"
IS_CANCELLED: Final = "hakoiri.cancelled"
RULE: Final = "hakoiri.rule"
ROUTE: Final = "hakoiri.route"
REFUSED: Final = "hakoiri.refused"
PHASE: Final = "hakoiri.phase"
"""Begins the name of each phase of a request of the proxy, in milliseconds."""


def method_of(method: str) -> str:
    """Return a method as it may be told."""
    return method if method in METHODS else OTHER_METHOD
