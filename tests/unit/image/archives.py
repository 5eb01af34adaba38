"""Saved images and their layers, in memory."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class File:
    """One entry of a layer."""

    content: bytes = b""
    mode: int = 0o644
    kind: bytes = tarfile.REGTYPE
    pax: Mapping[str, str] = field(default_factory=dict)


def archive(files: Mapping[str, File]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, file in files.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.size = file.kind, file.mode, len(file.content)
            entry.pax_headers = dict(file.pax)
            tar.addfile(entry, io.BytesIO(file.content))
    return made.getvalue()


def saved_by_an_old_engine(
    *layers: Mapping[str, File], about: bytes = b'[{"Layers": []}]'
) -> io.BytesIO:
    files = {"manifest.json": File(about)}
    for number, layer in enumerate(layers):
        files[f"{number}/VERSION"] = File(b"1.0")
        files[f"{number}/layer.tar"] = File(archive(layer))
    return io.BytesIO(archive(files))


def saved_by_a_new_engine(*layers: Mapping[str, File]) -> io.BytesIO:
    files = {"oci-layout": File(b"{}"), "blobs/sha256/aa": File(b'{"config": {}}')}
    for number, layer in enumerate(layers):
        content = archive(layer)
        files[f"blobs/sha256/{number}"] = File(gzip.compress(content) if number % 2 else content)
    return io.BytesIO(archive(files))
