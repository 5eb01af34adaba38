"""Where objects lie in the store.

Packs, and the blobs of version 1, are shared within a tenant and never between tenants.
"""

import re

from hakoiri.host.files.manifest import Manifest, is_recovery_point
from hakoiri.host.files.ports import FilesError

_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def blob_key(tenant: str, sha256: str) -> str:
    """Return the key of the bytes with that hash; `FilesError` for a malformed part."""
    if not _DIGEST.fullmatch(sha256):
        raise FilesError(f"sha256: {sha256[:80]!r} is not a hash")
    return f"tenants/{_identifier('tenant', tenant)}/blobs/{sha256[:2]}/{sha256}"


def pack_key(tenant: str, pack_id: str) -> str:
    """Return the key of the pack whose stored bytes have that hash; `FilesError` as above."""
    if not _DIGEST.fullmatch(pack_id):
        raise FilesError(f"pack: {pack_id[:80]!r} is not a hash")
    return f"tenants/{_identifier('tenant', tenant)}/packs/{pack_id[:2]}/{pack_id}"


def manifest_key(tenant: str, workspace_id: str, recovery_point: str, *, version: int = 2) -> str:
    """Return the key of a recovery point's manifest; `FilesError` for a malformed part.

    From version 2 on the object is compressed.
    """
    if not is_recovery_point(recovery_point):
        raise FilesError(f"recovery point: {recovery_point[:80]!r} is not an id")
    workspace = _identifier("workspace", workspace_id)
    owner = _identifier("tenant", tenant)
    ending = "json" if version == 1 else "json.zst"
    return f"tenants/{owner}/workspaces/{workspace}/manifests/{recovery_point}.{ending}"


def keys_of_bytes(tenant: str, manifest: Manifest) -> frozenset[str]:
    """Return the keys of all packs and blobs that a manifest names."""
    packs = {part.pack.id for entry in manifest.entries for part in entry.parts or ()}
    blobs = {e.sha256 for e in manifest.entries if e.kind == "file" and e.parts is None}
    return frozenset(
        [pack_key(tenant, one) for one in packs] + [blob_key(tenant, one) for one in blobs]
    )


def id_in_key(key: str) -> str:
    """Return the id of the pack, or the hash of the blob, that lies under a key."""
    return key.rpartition("/")[2]


def _identifier(field: str, text: str) -> str:
    if not _IDENTIFIER.fullmatch(text):
        raise FilesError(f"{field}: {text[:80]!r} is not an identifier")
    return text
