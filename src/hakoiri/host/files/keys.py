"""Where objects lie in the store. Blobs are shared within a tenant, never between tenants."""

import re

from hakoiri.host.files.manifest import is_recovery_point
from hakoiri.host.files.ports import FilesError

_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def blob_key(tenant: str, sha256: str) -> str:
    """Return the key of the bytes with that hash; `FilesError` for a malformed part."""
    if not _DIGEST.fullmatch(sha256):
        raise FilesError(f"sha256: {sha256[:80]!r} is not a hash")
    return f"tenants/{_identifier('tenant', tenant)}/blobs/{sha256[:2]}/{sha256}"


def manifest_key(tenant: str, workspace_id: str, recovery_point: str) -> str:
    """Return the key of a recovery point's manifest; `FilesError` for a malformed part."""
    if not is_recovery_point(recovery_point):
        raise FilesError(f"recovery point: {recovery_point[:80]!r} is not an id")
    workspace = _identifier("workspace", workspace_id)
    owner = _identifier("tenant", tenant)
    return f"tenants/{owner}/workspaces/{workspace}/manifests/{recovery_point}.json"


def _identifier(field: str, text: str) -> str:
    if not _IDENTIFIER.fullmatch(text):
        raise FilesError(f"{field}: {text[:80]!r} is not an identifier")
    return text
