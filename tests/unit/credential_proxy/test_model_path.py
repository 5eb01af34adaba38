from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.model_path import (
    ModelPathError,
    decode_model_id,
    parse_model_call,
)

MODEL = "us.anthropic.claude-test-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/a.b-v1:0"


@pytest.mark.parametrize(
    ("encoded", "model", "canonical"),
    [
        (MODEL, MODEL, "us.anthropic.claude-test-v1%3A0"),
        ("us.anthropic.claude-test-v1%3a0", MODEL, "us.anthropic.claude-test-v1%3A0"),
        ("%75s.anthropic.claude-test-v1:0", MODEL, "us.anthropic.claude-test-v1%3A0"),
        (ARN.replace("/", "%2F"), ARN, ARN.replace(":", "%3A").replace("/", "%2F")),
    ],
)
@pytest.mark.parametrize("action", ["invoke", "invoke-with-response-stream", "converse"])
def test_each_spelling_of_a_model_id_is_sent_in_one(
    encoded: str, model: str, canonical: str, action: str
) -> None:
    call = parse_model_call("POST", f"/model/{encoded}/{action}")
    assert (call.provider, call.model) == ("bedrock", model)
    assert call.path == f"/model/{canonical}/{action}"


@pytest.mark.parametrize(
    "target",
    [
        "/model/%2e%2e/invoke",
        "/model/../invoke",
        "/model/%2Fa/invoke",
        "/model/a%2F%2Fb/invoke",
        "/model/a%2F..%2Fb/invoke",
        "/model/a%2F.%2Fb/invoke",
        "/model/a%252Fb/invoke",
        "/model/a%00/invoke",
        "/model/a%0d%0a/invoke",
        "/model/a%/invoke",
        "/model/a b/invoke",
        "/model/%C3%A9/invoke",
        "/model//invoke",
        "/model/" + "a" * 2049 + "/invoke",
    ],
)
def test_a_model_id_that_is_not_plain_is_refused(target: str) -> None:
    with pytest.raises(ModelPathError) as refused:
        parse_model_call("POST", target)
    assert refused.value.code == "bad-model-id"


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", f"/model/{MODEL}/invoke", "method-not-allowed"),
        ("POST", f"/model/{MODEL}/invoke?x=y", "query-not-allowed"),
        ("POST", f"/model/{MODEL}/invoke?", "query-not-allowed"),
        ("POST", f"/model/{MODEL}/other", "path-not-allowed"),
        ("POST", f"/model/{MODEL}/invoke/", "path-not-allowed"),
        ("POST", f"//model/{MODEL}/invoke", "path-not-allowed"),
        ("POST", f"/x/../model/{MODEL}/invoke", "path-not-allowed"),
        ("POST", "/model/a/b/invoke", "path-not-allowed"),
        ("GET", "/foundation-models", "path-not-allowed"),
        ("GET", "/v1/messages", "method-not-allowed"),
        ("POST", "/v1/messages?beta=false", "query-not-allowed"),
        ("POST", "/v1/messages/", "path-not-allowed"),
        ("POST", "/v1/messages/batches", "path-not-allowed"),
        ("POST", "/v1%2Fmessages", "path-not-allowed"),
        ("GET", "/", "path-not-allowed"),
    ],
)
def test_what_is_not_the_models_api_is_refused(method: str, target: str, code: str) -> None:
    with pytest.raises(ModelPathError) as refused:
        parse_model_call(method, target)
    assert refused.value.code == code


def test_anthropic_calls_name_no_model_in_the_path() -> None:
    call = parse_model_call("POST", "/v1/messages?beta=true")
    assert (call.provider, call.path, call.query) == ("anthropic", "/v1/messages", "beta=true")
    assert call.model is None


@given(st.text(alphabet="aA0.:/-_%2eEfF\\ ", max_size=20))
def test_what_is_sent_decodes_to_what_was_checked(encoded: str) -> None:
    try:
        call = parse_model_call("POST", f"/model/{encoded}/invoke")
    except ModelPathError:
        return
    assert call.model is not None
    assert call.path.count("/") == 3
    assert unquote(call.path.split("/")[2]) == call.model == decode_model_id(encoded)
    assert ".." not in call.model


@pytest.mark.parametrize(
    ("method", "target", "operation"),
    [
        ("POST", "/v1/messages?beta=true", "messages"),
        ("POST", "/v1/messages/count_tokens", None),
        ("GET", "/v1/models", None),
        ("POST", "/model/m/invoke", "invoke"),
        ("POST", "/model/m/invoke-with-response-stream", "invoke"),
        ("POST", "/model/converse/converse-stream", "converse"),
        ("POST", "/model/a%2Fmessages/converse", "converse"),
    ],
)
def test_what_costs_tokens_is_told_with_the_form_of_its_body(
    method: str, target: str, operation: str | None
) -> None:
    assert parse_model_call(method, target).operation == operation
