"""Manifests in the store: written compressed, read in both versions, the newest kept at hand."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

from hakoiri.host.files.keys import manifest_key
from hakoiri.host.files.manifest import (
    MANIFEST_LIMIT_BYTES,
    Manifest,
    ManifestError,
    recovery_point_of,
)
from hakoiri.host.files.manifest_copy import Copied, NewHead, copy_under, respelled
from hakoiri.host.files.manifest_format import encode_manifest, parse_manifest
from hakoiri.host.files.pack_codec import CodecError, compress, decompress
from hakoiri.host.files.ports import DamagedError, ObjectMissingError, ObjectStore
from hakoiri.host.files.worker_thread import run_in_thread

KEPT_ENTRIES = 200_000
"""In all manifests at hand together: about 110 MiB. A larger one is read again by each save."""

KEPT_MANIFESTS = 256
"""More than a server has live workspaces: those of others would only fill its memory."""


@dataclass(frozen=True, slots=True)
class Spelled:
    """A manifest, its recovery point's id, and what is stored of it under its key."""

    manifest: Manifest
    recovery_point: str
    key: str
    stored: bytes


class ManifestStore:
    """Reads and writes manifests; one per server."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._at_hand: OrderedDict[str, Manifest] = OrderedDict()
        # By the same keys, compressed, of those that were written here: a tenth of their entries.
        self._stored: dict[str, bytes] = {}

    async def write(self, tenant: str, manifest: Manifest) -> str:
        """Store a manifest and return its recovery point's id."""
        spelled = await run_in_thread(partial(self.spell, tenant, manifest))
        await self.put(spelled)
        return spelled.recovery_point

    def spell(self, tenant: str, manifest: Manifest) -> Spelled:
        """Return what `put` stores, in the time that a worker thread takes for it.

        Where the entries are the very ones of the manifest before, they were spelled out already.
        """
        before = None
        if manifest.parent is not None:
            before = manifest_key(tenant, manifest.workspace_id, manifest.parent)
        known = self._at_hand.get(before) if before else None
        stored = self._stored.get(before) if before else None
        if known is not None and stored is not None and known.entries is manifest.entries:
            encoded = respelled(decompress(stored, limit_bytes=MANIFEST_LIMIT_BYTES), manifest)
        else:
            encoded = encode_manifest(manifest, checked=known)
        recovery_point = recovery_point_of(encoded)
        key = manifest_key(tenant, manifest.workspace_id, recovery_point)
        return Spelled(manifest, recovery_point, key, compress(encoded))

    async def put(self, spelled: Spelled) -> None:
        """Store a manifest, and keep it at hand."""
        await self._store.put(spelled.key, spelled.stored)
        self._keep(spelled.key, spelled.manifest, spelled.stored)

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

    def _keep(self, key: str, manifest: Manifest, stored: bytes | None = None) -> None:
        workspace = key.rpartition("/")[0]
        for other in [known for known in self._at_hand if known.startswith(workspace + "/")]:
            self._forget(other)
        self._at_hand[key] = manifest
        if stored is not None:
            self._stored[key] = stored
        kept = sum(len(known.entries) for known in self._at_hand.values())
        while kept > KEPT_ENTRIES or len(self._at_hand) > KEPT_MANIFESTS:
            oldest = next(iter(self._at_hand))
            kept -= len(self._at_hand[oldest].entries)
            self._forget(oldest)

    def _forget(self, key: str) -> None:
        del self._at_hand[key]
        self._stored.pop(key, None)


def _copy(encoded: bytes, head: NewHead) -> tuple[str, Copied, bytes]:
    copied = copy_under(encoded, head)
    return recovery_point_of(copied.encoded), copied, compress(copied.encoded)
