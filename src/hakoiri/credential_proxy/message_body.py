"""Which model an Anthropic request names: its body says so, not its path."""

import json
from typing import Any, Final

from hakoiri.credential_proxy.errors import CredentialProxyError

_FIELD: Final = "model"


class MessageBodyError(CredentialProxyError):
    """The body does not name one model beyond doubt."""


def read_model(body: bytes) -> str:
    """Return the `model` of a Messages request.

    A field that is doubled, or spelled in another letter case, is refused: the upstream's parser
    might read the other one.

    Raises:
        MessageBodyError: the body is not a JSON object in UTF-8 with exactly one such field.
    """
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=list)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise MessageBodyError("the body is not JSON in UTF-8") from error
    if not body.lstrip(b" \t\r\n").startswith(b"{"):
        raise MessageBodyError("the body is not a JSON object")
    pairs: list[tuple[str, Any]] = document
    named = [(name, value) for name, value in pairs if name.casefold() == _FIELD]
    if len(named) != 1 or named[0][0] != _FIELD or not isinstance(named[0][1], str):
        raise MessageBodyError("the body must name its model once, as a string")
    return named[0][1]
