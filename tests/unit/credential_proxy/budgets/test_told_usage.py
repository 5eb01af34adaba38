import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.budgets.told_usage import (
    read_object,
    usage_of,
    usage_of_headers,
)
from hakoiri.credential_proxy.budgets.usage import TOKENS_MAX, Usage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.dictionaries(
        st.sampled_from(["output_tokens", "input_tokens", "outputTokens", "x"]), inner
    ),
)


@pytest.mark.parametrize(
    "told",
    [
        {
            "input_tokens": 1,
            "output_tokens": 2,
            "cache_creation_input_tokens": 3,
            "cache_read_input_tokens": 4,
            "service_tier": "standard",
        },
        {
            "inputTokens": 1,
            "outputTokens": 2,
            "cacheWriteInputTokens": 3,
            "cacheReadInputTokens": 4,
            "totalTokens": 10,
        },
        {
            "inputTokenCount": 1,
            "outputTokenCount": 2,
            "cacheWriteInputTokenCount": 3,
            "cacheReadInputTokenCount": 4,
            "invocationLatency": 5,
        },
    ],
)
def test_each_api_s_own_words_are_understood(told: dict[str, object]) -> None:
    assert usage_of(told) == Usage(1, 2, 3, 4)


def test_the_headers_of_an_answer_are_understood() -> None:
    headers = {
        "x-amzn-bedrock-input-token-count": "1",
        "x-amzn-bedrock-output-token-count": "2",
        "x-amzn-bedrock-cache-read-input-token-count": "9" * 50,
    }
    assert usage_of_headers(headers) == Usage(1, 2, 0, 0)
    assert usage_of_headers({"x-amzn-bedrock-input-token-count": "1"}) is None
    assert usage_of_headers({"x-amzn-bedrock-output-token-count": "-1"}) == Usage()


@pytest.mark.parametrize("count", [-1, TOKENS_MAX + 1, True, "5", 1.5, None, [1]])
def test_a_count_that_cannot_be_one_is_none(count: object) -> None:
    assert usage_of({"output_tokens": count, "input_tokens": 7}) == Usage(input_tokens=7)


@given(JSON)
def test_whatever_is_told_no_count_is_below_nothing(told: object) -> None:
    usage = usage_of(told)
    assert usage is None or 0 <= usage.total <= 4 * TOKENS_MAX


@pytest.mark.parametrize("text", [b"", b"[]", b"nope", b"\xff", b"[" * 100_000, b'{"a": 1'])
def test_what_is_no_object_is_an_empty_one(text: bytes) -> None:
    assert read_object(text) == {}
