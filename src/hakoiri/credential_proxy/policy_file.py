"""A policy as people write it: TOML, or JSON, or nothing, which denies everything."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from hakoiri.credential_proxy.errors import ConfigurationError
from hakoiri.wire.policy import Policy

FILE_LIMIT_BYTES: Final = 1024 * 1024
_FAULTS_TOLD: Final = 20


def parse_policy(text: str) -> Policy:
    """Parse a policy; text that begins with `{` is JSON, any other TOML.

    Raises:
        ConfigurationError: one line for each field that is wrong, with the mend.
    """
    try:
        document: Any = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the policy is neither TOML nor JSON: {error}") from error
    try:
        return Policy.model_validate(document)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)[:_FAULTS_TOLD]
        lines = (
            f"{'.'.join(str(part) for part in fault['loc']) or 'policy'}: {_fault(fault)}"
            for fault in faults
        )
        raise ConfigurationError("; ".join(lines)) from error


def _fault(fault: Mapping[str, Any]) -> str:
    """Return pydantic's message in our words."""
    if fault["type"] == "extra_forbidden":
        return "there is no such field; docs/operations/policies.md tells all"
    return str(fault["msg"]).removeprefix("Value error, ")


def read_policy(path: Path) -> Policy:
    """Read and parse a policy's file.

    Raises:
        ConfigurationError: it cannot be read, is too large, or is wrong.
    """
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    if len(content) > FILE_LIMIT_BYTES:
        raise ConfigurationError(f"{path}: larger than {FILE_LIMIT_BYTES} bytes")
    try:
        return parse_policy(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: it is not text (UTF-8)") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
