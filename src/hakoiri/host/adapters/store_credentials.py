"""The object store's own credentials: from one root-owned file, never from the environment.

They open the store and nothing else, and are all that the server holds of this kind.
"""

import base64
import binascii
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from hakoiri.host.adapters.private_file import PrivateFileError, read_private_file
from hakoiri.host.files.ports import FilesError

_CUSTOMER_KEY_BYTES = 32
"""AES-256, the only algorithm that S3 takes for a customer's key."""


class StoreCredentials(BaseModel):
    """What the file holds, as TOML. Secrets do not show in `repr`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    access_key_id: str = Field(pattern=r"^[\x21-\x7e]{1,128}$")
    secret_access_key: SecretStr = Field(min_length=1, max_length=256)
    session_token: SecretStr | None = Field(default=None, min_length=1, max_length=8192)
    customer_key: SecretStr | None = None
    """Base64 of 32 bytes, for `encryption = "customer"`."""

    @field_validator("customer_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                key = base64.b64decode(value.get_secret_value(), validate=True)
            except binascii.Error as error:
                raise ValueError("is not base64") from error
            if len(key) != _CUSTOMER_KEY_BYTES:
                raise ValueError(f"is not {_CUSTOMER_KEY_BYTES} bytes in base64")
        return value


def read_store_credentials(path: Path, *, owner_uid: int = 0) -> StoreCredentials:
    """Read the file; `FilesError` names what is wrong with it, never what is in it."""
    try:
        content = read_private_file(path, owner_uid=owner_uid)
    except PrivateFileError as error:
        raise FilesError(f"object_store.credentials_file: {error}") from None
    try:
        return StoreCredentials.model_validate(tomllib.loads(content.decode()))
    except ValidationError as error:
        # An unknown key could be a secret at the wrong place: only fields of ours are told.
        found = {str(problem["loc"][0]) for problem in error.errors(include_input=False)}
        named = ", ".join(sorted(found & StoreCredentials.model_fields.keys())) or "another field"
        raise FilesError(
            f"object_store.credentials_file: {path}: missing, malformed or unknown: {named}"
        ) from None
    except ValueError:
        raise FilesError(f"object_store.credentials_file: {path} is not TOML") from None
