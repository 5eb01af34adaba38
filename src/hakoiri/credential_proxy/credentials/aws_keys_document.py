"""AWS keys as JSON, in the form that AWS's `credential_process` gives. No I/O.

Source: AWS SDKs and Tools Reference Guide, "Process credential provider".
"""

import json
from datetime import datetime
from typing import Final, Literal

from pydantic import AwareDatetime, Field, ValidationError

from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.credentials.sigv4 import AwsKeys
from hakoiri.credential_proxy.errors import ConfigurationError
from hakoiri.wire.messages import LenientMessage

_DOCUMENT: Final = '{"Version": 1, "AccessKeyId": "…", "SecretAccessKey": "…"}'


class _KeysDocument(LenientMessage):
    Version: Literal[1] = 1
    AccessKeyId: str = Field(repr=False)
    SecretAccessKey: str = Field(repr=False)
    SessionToken: str | None = Field(default=None, repr=False)
    Expiration: AwareDatetime | None = None


def parse_keys_document(text: str, *, name: str) -> AwsKeys:
    """Parse the document; `name` says where it came from.

    Raises:
        ConfigurationError: it is not such a document, or holds what cannot be sent.
    """
    try:
        document = _KeysDocument.model_validate(json.loads(text))
    except ValidationError as error:
        fields = ", ".join(str(e["loc"][0]) if e["loc"] else "document" for e in error.errors())
        # Neither the text nor pydantic's error, which quotes it, may be shown or chained.
        raise ConfigurationError(f"{name}: wrong {fields}; write {_DOCUMENT}") from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{name}: is not JSON; write {_DOCUMENT}") from None
    return aws_keys(
        document.AccessKeyId,
        document.SecretAccessKey,
        document.SessionToken,
        name=name,
        expires_at=document.Expiration,
    )


def aws_keys(
    access_key_id: str,
    secret_access_key: str,
    session_token: str | None,
    *,
    name: str,
    expires_at: datetime | None = None,
) -> AwsKeys:
    """Return the keys, checked; an empty token is none.

    Raises:
        ConfigurationError: one of them cannot be sent in a header.
    """
    return AwsKeys(
        access_key_id=Secret(access_key_id, name=f"{name}: AWS access key id").reveal(),
        secret_access_key=Secret(secret_access_key, name=f"{name}: AWS secret access key"),
        session_token=(
            Secret(session_token, name=f"{name}: AWS session token") if session_token else None
        ),
        expires_at=expires_at,
    )
