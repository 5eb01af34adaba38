import pytest

from hakoiri.rehearsal.routes import Call, call_of

ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-x-v1:0"


@pytest.mark.parametrize(
    ("method", "path", "call"),
    [
        ("POST", "/v1/messages", Call("anthropic", "invoke")),
        ("POST", "/v1/messages/count_tokens", Call("anthropic", "count_tokens")),
        ("GET", "/inference-profiles", Call("bedrock", "inference_profiles")),
        ("POST", "/model/anthropic.c-v1:0/invoke", Call("bedrock", "invoke", "anthropic.c-v1:0")),
        (
            "POST",
            "/model/us.anthropic.c-v1%3A0/invoke-with-response-stream",
            Call("bedrock", "stream", "us.anthropic.c-v1:0"),
        ),
        ("POST", f"/model/{ARN.replace('/', '%2F')}/invoke", Call("bedrock", "invoke", ARN)),
    ],
)
def test_an_operation_is_read_from_the_raw_path(method: str, path: str, call: Call) -> None:
    assert call_of(method, path) == call


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/model/a/invoke"),
        ("POST", "/model//invoke"),
        ("POST", "//model/a/invoke"),
        ("POST", "/model/a/b/invoke"),
        ("POST", "/model/%2e%2e/invoke"),
        ("POST", "/model/a%0A/invoke"),
        ("POST", "/model/a/invoke/"),
        ("POST", "/model/a/converse"),
        ("POST", "/v1/messages/"),
        ("POST", "/v1/Messages"),
        ("GET", "/"),
        ("POST", "/model/" + "a" * 600 + "/invoke"),
    ],
)
def test_any_other_target_is_unknown(method: str, path: str) -> None:
    assert call_of(method, path).operation == "unknown"
