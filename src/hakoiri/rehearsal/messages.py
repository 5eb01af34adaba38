"""What a model request asks, read without I/O and without memory.

Everything a reply depends on is derived from the request's own message history, so a resumed
conversation, or a rehearsal server that was restarted, goes on where it was. The shape is that of
Anthropic's Messages API, which Bedrock's `InvokeModel` carries unchanged but for `model` and
`stream` (AWS: "Anthropic Claude Messages API").
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, ValidationError

from hakoiri.wire.messages import LenientMessage

BODY_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""The Messages API's own request limit (Anthropic docs, "Request size limits")."""

INJECTED: Final = re.compile(
    r"<(system-reminder|task-notification)>.*?(?:</\1>|\Z)|\[Request interrupted by user[^\]]*\]",
    re.DOTALL,
)
"""What the agent CLI puts into user messages of its own accord; nobody typed it."""

NO_ANSWER: Final = "No response requested."
"""What the agent CLI puts where a conversation broke off before the model had answered."""

Block = dict[str, Any]


class RequestError(Exception):
    """The body is not a model request; the message names the field."""


class HistoryMessage(LenientMessage):
    """One entry of the history; the CLI also sends `system` entries between the others."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class ModelRequest(LenientMessage):
    """The fields of a request that the rehearsal looks at."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    messages: list[HistoryMessage] = Field(min_length=1, max_length=100_000)
    max_tokens: int | None = Field(default=None, ge=1)
    tools: list[Block] = Field(default=[], max_length=10_000)
    stream: bool | None = None
    metadata: dict[str, Any] | None = None
    anthropic_version: str | None = None


@dataclass(frozen=True, slots=True)
class Cue:
    """Where in which conversation a request stands."""

    user_text: str
    first_user_text: str
    user_texts: tuple[str, ...]
    """All that the user said in this history, oldest first."""

    last_tool_result: str
    reply_number: int
    """From 0: how many answers the model has already given since the latest user text."""

    has_tools: bool
    fingerprint: str
    """Alike for retries of one request, different for any other."""


def read_request(body: bytes) -> ModelRequest:
    """Parse a request body. Raises `RequestError` naming the first bad field."""
    try:
        return ModelRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise RequestError(f"{field}: {first['msg']}") from error


def cue_of(request: ModelRequest) -> Cue:
    """Derive what the reply depends on."""
    user_texts: list[str] = []
    tool_result = ""
    answers = 0
    role_before = ""
    for message in request.messages:
        if message.role == "assistant" and _is_no_answer(message.content):
            continue
        if message.role == "assistant":
            # One answer may be kept as several entries, one per content block.
            answers += role_before != "assistant"
        elif message.role == "user":
            text = _typed_text(message.content)
            if text:
                user_texts.append(text)
                answers = 0
            tool_result = _tool_result(message.content) or tool_result
        if message.role != "system":
            role_before = message.role
    return Cue(
        user_text=user_texts[-1] if user_texts else "",
        first_user_text=user_texts[0] if user_texts else "",
        user_texts=tuple(user_texts),
        last_tool_result=tool_result,
        reply_number=answers,
        has_tools=bool(request.tools),
        fingerprint=_fingerprint(request, user_texts, answers),
    )


def count_tokens(body: bytes) -> int:
    """A deterministic stand-in for a tokenizer: four bytes are a token."""
    return max(1, len(body) // 4)


def _is_no_answer(content: str | list[Block]) -> bool:
    if isinstance(content, str):
        return content == NO_ANSWER
    return len(content) == 1 and _texts(content) == [NO_ANSWER]


def _typed_text(content: str | list[Block]) -> str:
    texts = [content] if isinstance(content, str) else _texts(content)
    typed = (INJECTED.sub("", text).strip() for text in texts)
    return "\n".join(text for text in typed if text)


def _texts(blocks: list[Block]) -> list[str]:
    found = (block.get("text") for block in blocks if block.get("type") == "text")
    return [text for text in found if isinstance(text, str)]


def _tool_result(content: str | list[Block]) -> str:
    if isinstance(content, str):
        return ""
    results = [block.get("content") for block in content if block.get("type") == "tool_result"]
    if not results:
        return ""
    last = results[-1]
    if isinstance(last, list):
        return "\n".join(_texts([block for block in last if isinstance(block, dict)]))
    return last if isinstance(last, str) else ""


def _fingerprint(request: ModelRequest, user_texts: list[str], answers: int) -> str:
    user = (request.metadata or {}).get("user_id")
    parts = [str(user), str(answers), str(bool(request.tools)), *user_texts]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part.encode("utf-8", "replace")).digest())
    return digest.hexdigest()
