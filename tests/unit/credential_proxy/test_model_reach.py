import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.model_reach import ReachRefusedError, ReachScanner
from hakoiri.wire.policy import Reach

FETCHED = {"type": "image", "source": {"type": "url", "url": "https://outside.test/"}}
TOOL_OF_OUR_OWN = {
    "name": "fetch",
    "input_schema": {
        "type": "object",
        "properties": {"source": {"type": "url"}, "tools": {"type": "array"}, "s3Location": {}},
    },
    "cache_control": {"type": "ephemeral"},
}
REACHING: list[tuple[Reach, Any]] = [
    ("urls", {"messages": [{"content": [FETCHED]}]}),
    ("urls", {"messages": [{"content": [{"type": "tool_result", "content": [FETCHED]}]}]}),
    ("urls", {"a": {"source": {"type": "content", "content": [FETCHED]}}}),
    ("urls", {"messages": [{"content": [{"Source": {"Type": "url"}}]}]}),
    ("mcp", {"mcp_servers": [{"url": "https://outside.test/"}]}),
    ("mcp", {"MCP_servers": [{}]}),
    ("mcp", {"tools": [{"type": "mcp_toolset", "mcp_server_name": "n"}]}),
    ("web_fetch", {"tools": [{"name": "web_fetch", "type": "web_fetch_20250910"}]}),
    ("web_search", {"tools": [TOOL_OF_OUR_OWN, {"type": "web_search_20250305"}]}),
    ("web_search", {"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}}),
    ("code_execution", {"tools": [{"type": "code_execution_20250825"}]}),
    ("s3", {"messages": [{"content": [{"video": {"source": {"s3Location": {"uri": "s3://"}}}}]}]}),
]


def look_through(body: bytes, *allowed: Reach) -> None:
    scanner = ReachScanner(allowed)
    scanner.feed(body)
    scanner.end()


@pytest.mark.parametrize(("reach", "document"), REACHING)
def test_what_a_provider_would_reach_needs_its_name(reach: Reach, document: Any) -> None:
    body = json.dumps(document).encode()
    others: list[Reach] = [each for each in get_args(Reach) if each != reach]
    with pytest.raises(ReachRefusedError, match=f"model.reach: {reach}"):
        look_through(body, *others)
    look_through(body, reach)


@pytest.mark.parametrize(
    "spelt",
    [
        '{"x":{"source":{"type":"base64","type":"url"}}}',
        '{"x":{"source":{"type":"url","type":"base64"}}}',
        '{"x":{"\\u0073ource":{"\\u0074ype":"\\u0075rl"}}}',
        '{"x":{"input":{"a":1},"source":{"type":"url"}}}',
        '{"x":{"input":1,"source":{"type":"url"}}}',
        '{"x":{"' + "n" * 999 + '":{},"source":{"type":"url"}}}',
    ],
)
def test_no_spelling_hides_a_url(spelt: str) -> None:
    with pytest.raises(ReachRefusedError, match=r"model\.reach: urls"):
        look_through(spelt.encode())


@pytest.mark.parametrize(
    "document",
    [
        {"x": {"source": {"type": "URL"}}},
        {"x": {"source": {"type": "gs"}}},
        {"x": {"source": {"type": "u" * 999}}},
        {"tools": [{"type": "advisor_20260301"}]},
        {"tools": [{"type": "Web_search_20250305"}]},
    ],
)
def test_what_is_not_known_is_let_by_under_no_policy(document: Any) -> None:
    with pytest.raises(ReachRefusedError):
        look_through(json.dumps(document).encode(), *get_args(Reach))


@pytest.mark.parametrize(
    "document",
    [
        {"tools": [TOOL_OF_OUR_OWN, {"type": "bash_20250124"}, {"type": "custom"}], "type": "url"},
        {"tools": [{"type": "tool_search_tool_regex_20251119"}], "tool_choice": {"type": "any"}},
        {"tools": [{"type": "function", "function": {"parameters": {"tools": {"type": "x"}}}}]},
        {"messages": [{"content": [{"type": "tool_use", "input": FETCHED}]}]},
        {"messages": [{"content": [{"toolResult": {"content": [{"json": FETCHED}]}}]}]},
        {"messages": [{"content": [{"type": "text", "text": json.dumps(FETCHED)}]}]},
        {"messages": [{"content": [{"type": "image", "source": {"type": "base64"}}]}]},
        {"messages": [{"content": [{"type": "search_result", "source": "https://a.test"}]}]},
        {"messages": [{"content": [{"image": {"source": {"bytes": "aGk="}}}]}]},
        {
            "mcp_servers": [],
            "output_config": {"format": {"type": "json_schema", "schema": FETCHED}},
        },
    ],
)
def test_what_a_caller_brings_or_does_itself_is_let_by(document: Any) -> None:
    look_through(json.dumps(document).encode())


@given(
    before=st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.lists(st.integers())),
    kind=st.sampled_from(["input", "parameters", "schema", "json"]),
)
def test_a_url_after_anything_else_is_found(before: dict[str, Any], kind: str) -> None:
    document = {"x": [before, {kind: before}, FETCHED]}
    with pytest.raises(ReachRefusedError):
        look_through(json.dumps(document).encode())
