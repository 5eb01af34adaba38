"""A reply as Anthropic's Messages API tells it, streamed or whole. Pure.

Sources: Anthropic API docs, "Streaming messages" and "Messages".
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Final

from pydantic import JsonValue

from hakoiri.rehearsal.choice import Playback

PIECE: Final = re.compile(r"(?:\S+\s*){1,4}|\s+")
"""Text is streamed a few words at a time, as models do."""

INPUT_PIECE_CHARS: Final = 24
BYTES_PER_TOKEN: Final = 4

Event = dict[str, JsonValue]
NewId = Callable[[str], str]
"""Makes a fresh id with the given prefix. Ids must never repeat: the agent CLI joins answers of one
id into one."""


def full_message(
    playback: Playback, *, model: str, input_tokens: int, new_id: NewId
) -> dict[str, JsonValue]:
    """The answer to a request that does not stream."""
    return {
        **_envelope(model=model, new_id=new_id),
        "content": _blocks(playback, new_id=new_id),
        "stop_reason": _stop_reason(playback),
        "usage": {"input_tokens": input_tokens, "output_tokens": _output_tokens(playback)},
    }


def message_events(
    playback: Playback, *, model: str, input_tokens: int, new_id: NewId
) -> list[Event]:
    """The events of a streamed answer, in order; `content_block_delta` events are its pieces."""
    start = {**_envelope(model=model, new_id=new_id), "content": [], "stop_reason": None}
    start["usage"] = {"input_tokens": input_tokens, "output_tokens": 1}
    events: list[Event] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(_blocks(playback, new_id=new_id)):
        empty, deltas = _taken_apart(block)
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        ]
        events.append({"type": "content_block_stop", "index": index})
    events.append(
        {
            "type": "message_delta",
            "delta": {"stop_reason": _stop_reason(playback), "stop_sequence": None},
            "usage": {"output_tokens": _output_tokens(playback)},
        }
    )
    events.append({"type": "message_stop"})
    return events


def sse_block(event: Mapping[str, JsonValue]) -> bytes:
    """One event as Anthropic's SSE: the `event` line repeats the type."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _envelope(*, model: str, new_id: NewId) -> dict[str, JsonValue]:
    return {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "stop_sequence": None,
    }


def _blocks(playback: Playback, *, new_id: NewId) -> list[JsonValue]:
    blocks: list[JsonValue] = []
    if playback.think:
        signature = hashlib.sha256(playback.think.encode("utf-8", "replace")).hexdigest()
        blocks.append({"type": "thinking", "thinking": playback.think, "signature": signature})
    if playback.say:
        blocks.append({"type": "text", "text": playback.say})
    blocks += [
        {"type": "tool_use", "id": new_id("toolu_"), "name": call.tool, "input": call.input}
        for call in playback.use
    ]
    return blocks


def _taken_apart(block: JsonValue) -> tuple[Event, list[JsonValue]]:
    match block:
        case {"type": "thinking", "thinking": str(text), "signature": str(signature)}:
            deltas: list[JsonValue] = [
                {"type": "thinking_delta", "thinking": piece} for piece in PIECE.findall(text)
            ]
            deltas.append({"type": "signature_delta", "signature": signature})
            return {"type": "thinking", "thinking": "", "signature": ""}, deltas
        case {"type": "text", "text": str(text)}:
            return {"type": "text", "text": ""}, [
                {"type": "text_delta", "text": piece} for piece in PIECE.findall(text)
            ]
        case {"type": "tool_use", "id": tool_use_id, "name": name, "input": value}:
            whole = json.dumps(value)
            return {"type": "tool_use", "id": tool_use_id, "name": name, "input": {}}, [
                {
                    "type": "input_json_delta",
                    "partial_json": whole[start : start + INPUT_PIECE_CHARS],
                }
                for start in range(0, len(whole), INPUT_PIECE_CHARS)
            ]
        case _:
            raise AssertionError(f"no such block: {block}")


def _stop_reason(playback: Playback) -> str:
    return "tool_use" if playback.use else "end_turn"


def _output_tokens(playback: Playback) -> int:
    told = playback.say + playback.think + "".join(json.dumps(call.input) for call in playback.use)
    return 1 + len(told.encode("utf-8", "replace")) // BYTES_PER_TOKEN
