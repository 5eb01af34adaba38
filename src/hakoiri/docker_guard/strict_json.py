"""JSON that means one thing to every reader, purely.

Duplicate keys, which parsers resolve differently, and the numbers that JSON does not have are
refused (RFC 8259 sections 4 and 6).
"""

import json
from typing import Any, NoReturn

from hakoiri.docker_guard.refusal import CallRefusedError


def parse(body: bytes) -> Any:
    """Return the parsed value; raise `CallRefusedError` if it is not one unambiguous document."""
    try:
        text = body.decode("utf-8")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError:
        raise _refused("the body is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise _refused(f"the body is not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _refused(f"the key {key[:64]!r} is there twice")
        found[key] = value
    return found


def _constant(name: str) -> NoReturn:
    raise _refused(f"{name} is not JSON")


def _refused(detail: str) -> CallRefusedError:
    return CallRefusedError("body-invalid", detail, status=400)
