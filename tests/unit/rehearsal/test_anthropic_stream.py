import json
from collections.abc import Callable
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hakoiri.rehearsal.anthropic_stream import full_message, message_events, sse_block
from hakoiri.rehearsal.choice import Playback
from hakoiri.rehearsal.script import ToolCall


def ids() -> Callable[[str], str]:
    numbers = count(1)
    return lambda prefix: f"{prefix}{next(numbers)}"


def assembled(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Put a stream together as a client does."""
    message: dict[str, Any] = {}
    partial: dict[int, str] = {}
    for event in events:
        match event:
            case {"type": "message_start", "message": start}:
                message = dict(start)
            case {"type": "content_block_start", "index": index, "content_block": block}:
                assert index == len(message["content"])
                message["content"] = [*message["content"], dict(block)]
            case {"type": "content_block_delta", "index": index, "delta": delta}:
                kind, block = delta["type"], message["content"][index]
                if kind == "input_json_delta":
                    partial[index] = partial.get(index, "") + delta["partial_json"]
                else:
                    field = kind.removesuffix("_delta")
                    block[field] += delta[field]
            case {"type": "message_delta", "delta": delta, "usage": usage}:
                message.update(delta)
                message["usage"] = {**message["usage"], **usage}
    for index, text in partial.items():
        message["content"][index]["input"] = json.loads(text)
    return message


PLAYBACKS = st.builds(
    Playback,
    scene=st.just("s"),
    reply_number=st.just(0),
    say=st.text(max_size=200),
    think=st.text(max_size=50),
    use=st.lists(
        st.builds(
            ToolCall,
            tool=st.just("Bash"),
            input=st.dictionaries(st.text(max_size=5), st.text(max_size=60), max_size=3),
        ),
        max_size=2,
    ).map(tuple),
)


@given(PLAYBACKS)
def test_the_streamed_answer_is_the_whole_answer(playback: Playback) -> None:
    events = message_events(playback, model="m", input_tokens=7, new_id=ids())
    whole = full_message(playback, model="m", input_tokens=7, new_id=ids())
    assert assembled(events) == whole
    assert whole["stop_reason"] == ("tool_use" if playback.use else "end_turn")


def test_text_comes_in_several_pieces_and_blocks_in_order() -> None:
    playback = Playback(
        scene="s",
        reply_number=0,
        say="one two three four five six seven eight nine",
        think="hmm",
        use=(ToolCall(tool="Bash", input={"command": "ls"}),),
    )
    events = message_events(playback, model="m", input_tokens=1, new_id=ids())
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    blocks: list[Any] = [e["content_block"] for e in events if e["type"] == "content_block_start"]
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use"]
    texts = [e for e in events if e["type"] == "content_block_delta" and e["index"] == 1]
    assert len(texts) == 3


def test_no_two_ids_are_alike() -> None:
    playback = Playback(
        scene="s", reply_number=0, say="", use=(ToolCall(tool="A"), ToolCall(tool="A"))
    )
    message: Any = full_message(playback, model="m", input_tokens=1, new_id=ids())
    assert len({message["id"], *(block["id"] for block in message["content"])}) == 3


def test_an_event_is_one_sse_block() -> None:
    assert sse_block({"type": "ping", "x": "a\nb"}) == (
        b'event: ping\ndata: {"type": "ping", "x": "a\\nb"}\n\n'
    )
