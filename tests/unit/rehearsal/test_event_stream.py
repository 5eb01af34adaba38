import base64
import json

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.rehearsal.event_stream import (
    EventStreamError,
    chunk_frame,
    encode_frame,
    exception_frame,
)

NAMES = st.text(alphabet=st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=40)


@given(
    st.lists(
        st.tuples(st.dictionaries(NAMES, st.text(max_size=200), max_size=8), st.binary()),
        min_size=1,
        max_size=4,
    ),
    st.integers(min_value=1, max_value=64),
)
def test_botocore_reads_what_is_framed_however_the_bytes_are_cut(
    messages: list[tuple[dict[str, str], bytes]], cut: int
) -> None:
    stream = b"".join(encode_frame(headers, payload) for headers, payload in messages)
    buffer = EventStreamBuffer()
    seen = []
    for start in range(0, len(stream), cut):
        buffer.add_data(stream[start : start + cut])
        seen += [(message.headers, message.payload) for message in buffer]
    assert seen == messages


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_breaks_a_checksum(position: int, flip: int) -> None:
    frame = bytearray(encode_frame({"name": "value"}, b"payload"))
    # The first eight bytes are lengths: a changed one is caught by the prelude's checksum too.
    frame[position % len(frame)] ^= flip
    buffer = EventStreamBuffer()
    buffer.add_data(bytes(frame))
    with pytest.raises(ChecksumMismatch):
        next(buffer)


def test_a_chunk_carries_the_event_as_base64_json() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(chunk_frame({"type": "ping"}))
    message = next(buffer)
    assert message.headers[":event-type"] == "chunk"
    assert message.headers[":message-type"] == "event"
    assert json.loads(base64.b64decode(json.loads(message.payload)["bytes"])) == {"type": "ping"}


def test_an_exception_is_an_exception_to_botocore() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(exception_frame("throttlingException", "slow down"))
    response = next(buffer).to_response_dict()
    assert response["status_code"] == 400
    assert response["headers"][":exception-type"] == "throttlingException"
    assert json.loads(response["body"]) == {"message": "slow down"}


@pytest.mark.parametrize(
    ("headers", "payload", "part"),
    [
        ({"": "x"}, b"", "header name"),
        ({"n" * 256: "x"}, b"", "header name"),
        ({"n": "x" * 32_768}, b"", "header n"),
        ({f"n{i}": "x" * 32_767 for i in range(5)}, b"", "headers"),
        ({}, b"x" * (24 * 1024 * 1024 + 1), "payload"),
    ],
)
def test_what_does_not_fit_is_refused(headers: dict[str, str], payload: bytes, part: str) -> None:
    with pytest.raises(EventStreamError, match=part):
        encode_frame(headers, payload)
