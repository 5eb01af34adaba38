"""The span of one turn, below which its claim, its saves and the model's calls lie."""

from typing import Final

from hakoiri.host.conversations import failures
from hakoiri.host.conversations.failures import Ending
from hakoiri.host.conversations.model import Conversation
from hakoiri.tracing import names
from hakoiri.tracing.spans import Block, Span, Value, trace
from hakoiri.wire.events import Error

AGENTS_CODES: Final = frozenset(
    {"agent-failed", "interrupted", "max-turns", "model-access-denied", "model-overloaded"}
    | {"model-rate-limited", "model-refused", "model-rejected", "model-stream-cut"}
    | {"model-unreachable", "over-budget", "request-refused", "session-not-found"}
)
OTHER_CODE: Final = "other"
"""For a code that is none of ours: an agent says it, and agents are not trusted with words."""


def turn_span(conversation: Conversation, turn: int) -> Block:
    """Return the block that the turn is; it begins a trace where a server took the turn up."""
    told: dict[str, Value] = {
        names.OPERATION: "invoke_agent",
        names.CONVERSATION: conversation.id,
        names.TENANT: conversation.tenant,
        names.TURN: turn,
    }
    if conversation.workspace_id is not None:
        told[names.WORKSPACE] = conversation.workspace_id
    return trace("turn", carries=True, attributes=told)


def tell_ending(span: Span, ending: Ending) -> Ending:
    """Tell in the span how the turn ended; returns it."""
    data = ending.data
    span.set(names.TURN_RESULT, data.type)
    if isinstance(data, Error):
        is_ours = data.code in AGENTS_CODES or data.code in failures.CODES
        span.fail(data.code if is_ours else OTHER_CODE)
    return ending
