import pytest

from hakoiri.rehearsal.failures import (
    anthropic_body,
    anthropic_type,
    bedrock_body,
    bedrock_type,
    stream_exception,
)


@pytest.mark.parametrize(
    ("status", "anthropic", "bedrock", "stream"),
    [
        (400, "invalid_request_error", "ValidationException", "validationException"),
        (418, "invalid_request_error", "ValidationException", "validationException"),
        (424, "invalid_request_error", "ModelErrorException", "modelStreamErrorException"),
        (429, "rate_limit_error", "ThrottlingException", "throttlingException"),
        (500, "api_error", "InternalServerException", "internalServerException"),
        (529, "overloaded_error", "ServiceUnavailableException", "serviceUnavailableException"),
    ],
)
def test_each_status_has_the_providers_own_name(
    status: int, anthropic: str, bedrock: str, stream: str
) -> None:
    assert anthropic_type(status) == anthropic
    assert bedrock_type(status) == bedrock
    assert stream_exception(status) == stream


def test_documents_have_the_providers_shape() -> None:
    assert anthropic_body("api_error", "m") == {
        "type": "error",
        "error": {"type": "api_error", "message": "m"},
    }
    assert bedrock_body("m") == {"message": "m"}
