"""Manifests in the store: written compressed, read in both versions, the newest kept at hand."""

from collections import OrderedDict
from functools import partial

from hakoiri.host.files.keys import manifest_key
from hakoiri.host.files.manifest import (
    MANIFEST_LIMIT_BYTES,
    Manifest,
    ManifestError,
    recovery_point_of,
)
from hakoiri.host.files.manifest_copy import Copied, NewHead, copy_under
from hakoiri.host.files.manifest_format import encode_manifest, parse_manifest
from hakoiri.host.files.pack_codec import CodecError, compress, decompress
from hakoiri.host.files.ports import DamagedError, ObjectMissingError, ObjectStore
from hakoiri.host.files.worker_thread import run_in_thread

KEPT_ENTRIES = 200_000
"""In all manifests at hand together: about 100 MiB. A larger one is read again by each save."""


class ManifestStore:
    """Reads and writes manifests; one per server."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._at_hand: OrderedDict[str, Manifest] = OrderedDict()

    async def write(self, tenant: str, manifest: Manifest) -> str:
        """Store a manifest and return its recovery point's id."""
        recovery_point, compressed = await run_in_thread(partial(_encode, manifest))
        key = manifest_key(tenant, manifest.workspace_id, recovery_point)
        await self._store.put(key, compressed)
        self._keep(key, manifest)
        return recovery_point

    async def write_copy(
        self, tenant: str, workspace_id: str, recovery_point: str, head: NewHead
    ) -> tuple[str, Copied]:
        """Store the list of a recovery point under another head; return the new point's id.

        `DamagedError` if the original is not what was stored.
        """
        encoded = await self._encoded(tenant, workspace_id, recovery_point)
        try:
            made, copied, compressed = await run_in_thread(partial(_copy, encoded, head))
        except ManifestError as error:
            raise DamagedError(f"recovery point {recovery_point}: {error}") from error
        await self._store.put(manifest_key(tenant, head.workspace_id, made), compressed)
        return made, copied

    async def newest(self, tenant: str, workspace_id: str, recovery_point: str) -> Manifest:
        """Return a manifest for a save to build on: from memory if this server has seen it.

        What was seen under its id cannot have changed, and a save writes a manifest of its own.
        """
        key = manifest_key(tenant, workspace_id, recovery_point)
        if key in self._at_hand:
            self._at_hand.move_to_end(key)
            return self._at_hand[key]
        manifest = await self.read(tenant, workspace_id, recovery_point)
        self._keep(key, manifest)
        return manifest

    async def seen(self, tenant: str, workspace_id: str, recovery_point: str) -> Manifest:
        """Return a manifest, from memory if it is at hand, without keeping it there if not."""
        key = manifest_key(tenant, workspace_id, recovery_point)
        known = self._at_hand.get(key)
        return known or await self.read(tenant, workspace_id, recovery_point)

    async def read(self, tenant: str, workspace_id: str, recovery_point: str) -> Manifest:
        """Read and check a manifest; `DamagedError` names the recovery point and what is wrong."""
        encoded = await self._encoded(tenant, workspace_id, recovery_point)
        try:
            manifest = await run_in_thread(partial(parse_manifest, encoded))
        except ManifestError as error:
            raise DamagedError(f"recovery point {recovery_point}: {error}") from error
        if manifest.workspace_id != workspace_id:
            raise DamagedError(f"recovery point {recovery_point} belongs to another workspace")
        return manifest

    async def _encoded(self, tenant: str, workspace_id: str, recovery_point: str) -> bytes:
        key = manifest_key(tenant, workspace_id, recovery_point)
        try:
            compressed = await self._store.get(key, limit_bytes=MANIFEST_LIMIT_BYTES)
            decode = partial(decompress, compressed, limit_bytes=MANIFEST_LIMIT_BYTES)
            encoded = await run_in_thread(decode)
        except ObjectMissingError:
            encoded = await self._encoded_version_1(tenant, workspace_id, recovery_point)
        except CodecError as error:
            raise DamagedError(f"recovery point {recovery_point}: its manifest {error}") from error
        if recovery_point_of(encoded) != recovery_point:
            raise DamagedError(f"recovery point {recovery_point}: its manifest holds other bytes")
        return encoded

    async def _encoded_version_1(
        self, tenant: str, workspace_id: str, recovery_point: str
    ) -> bytes:
        key = manifest_key(tenant, workspace_id, recovery_point, version=1)
        try:
            return await self._store.get(key, limit_bytes=MANIFEST_LIMIT_BYTES)
        except ObjectMissingError as error:
            raise DamagedError(
                f"recovery point {recovery_point}: its manifest is missing"
            ) from error

    def _keep(self, key: str, manifest: Manifest) -> None:
        workspace = key.rpartition("/")[0]
        for other in [known for known in self._at_hand if known.startswith(workspace + "/")]:
            del self._at_hand[other]
        self._at_hand[key] = manifest
        kept = sum(len(known.entries) for known in self._at_hand.values())
        while kept > KEPT_ENTRIES:
            kept -= len(self._at_hand.popitem(last=False)[1].entries)


def _encode(manifest: Manifest) -> tuple[str, bytes]:
    encoded = encode_manifest(manifest)
    return recovery_point_of(encoded), compress(encoded)


def _copy(encoded: bytes, head: NewHead) -> tuple[str, Copied, bytes]:
    copied = copy_under(encoded, head)
    return recovery_point_of(copied.encoded), copied, compress(copied.encoded)
