"""How each provider words a failure. Pure.

Sources: Anthropic API docs, "Errors"; AWS API reference, Bedrock `InvokeModel` and
`InvokeModelWithResponseStream`, sections "Errors" and `ResponseStream`.
"""

from typing import Final

from pydantic import JsonValue

AMZ_ERROR_TYPE: Final = "x-amzn-errortype"

ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
BEDROCK_TYPES: Final = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    413: "ValidationException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
    529: "ServiceUnavailableException",
}
STREAM_EXCEPTIONS: Final = {
    400: "validationException",
    408: "modelTimeoutException",
    424: "modelStreamErrorException",
    429: "throttlingException",
    503: "serviceUnavailableException",
    529: "serviceUnavailableException",
}

FIRST_SERVER_ERROR: Final = 500


def anthropic_type(status: int) -> str:
    """The error type that Anthropic gives `status`."""
    fallback = "api_error" if status >= FIRST_SERVER_ERROR else "invalid_request_error"
    return ANTHROPIC_TYPES.get(status, fallback)


def bedrock_type(status: int) -> str:
    """The exception that Bedrock gives `status`."""
    fallback = "InternalServerException" if status >= FIRST_SERVER_ERROR else "ValidationException"
    return BEDROCK_TYPES.get(status, fallback)


def stream_exception(status: int) -> str:
    """The exception inside a Bedrock stream that stands for `status`."""
    fallback = "internalServerException" if status >= FIRST_SERVER_ERROR else "validationException"
    return STREAM_EXCEPTIONS.get(status, fallback)


def anthropic_body(kind: str, message: str) -> dict[str, JsonValue]:
    """The document of an Anthropic error, whole or as the stream's `error` event."""
    return {"type": "error", "error": {"type": kind, "message": message}}


def bedrock_body(message: str) -> dict[str, JsonValue]:
    """The document of a Bedrock error; its type stands in the `x-amzn-errortype` header."""
    return {"message": message}
