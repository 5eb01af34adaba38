"""What an image is made of, as CycloneDX 1.6: Debian's, Python's and Node's packages, and the CLI.

Made from the image's own files, so that it tells what is there and not what was asked for.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.parser import BytesHeaderParser
from pathlib import PurePosixPath
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from hakoiri.image.saved_image import ImageEntry, Readable

DPKG_STATUS: Final = "var/lib/dpkg/status"
DEBIANS_OWN: Final = ("usr/lib/python3/dist-packages/", "usr/share/nodejs/")
"""Where the packages that dpkg lists put Python's and Node's; they are not listed twice."""

DESCRIPTION_LIMIT_BYTES: Final = 32 * 1024 * 1024
_PROGRAM_DIRECTORY: Final = "/_bundled/"
"""Programs that a Python package carries; the agent's CLI is one."""

_VERSION_SUFFIX: Final = ".version"
_VERSION_LIMIT_BYTES: Final = 256
_EXECUTABLE: Final = 0o111
_CHUNK_BYTES: Final = 1024 * 1024
_LICENSE_LIMIT_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Package:
    """One package; `kind` is the package URL's type, or `program` for one that has none."""

    kind: str
    name: str
    version: str
    license: str = ""
    qualifiers: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""


def read_packages(entries: Iterable[ImageEntry]) -> list[Package]:
    """Return the packages that an image's files tell of, in a fixed order."""
    found: list[Package] = []
    programs: dict[str, str] = {}
    versions: dict[str, str] = {}
    for entry in entries:
        if entry.kind != "file" or entry.content is None:
            continue
        if _PROGRAM_DIRECTORY not in entry.path:
            found += _packages_of(entry.path, entry.content)
        elif entry.path.endswith(_VERSION_SUFFIX):
            told = entry.content.read(_VERSION_LIMIT_BYTES).decode(errors="replace").split()
            versions[entry.path.removesuffix(_VERSION_SUFFIX)] = told[0] if told else ""
        elif entry.mode & _EXECUTABLE:
            programs[entry.path] = _sha256_of(entry.content)
    for path, sha256 in programs.items():
        name, version = PurePosixPath(path).name, versions.get(path, "")
        found.append(Package("program", name, version, sha256=sha256))
    unique = {(p.kind, p.name, p.version, p.sha256): p for p in found}
    return [unique[key] for key in sorted(unique)]


def _packages_of(path: str, content: Readable) -> Iterator[Package]:
    if path == DPKG_STATUS:
        yield from debian_packages(content.read(DESCRIPTION_LIMIT_BYTES))
    elif path.startswith(DEBIANS_OWN):
        return
    elif path.endswith(".dist-info/METADATA"):
        yield from python_package(content.read(DESCRIPTION_LIMIT_BYTES))
    elif _is_node_package(path):
        yield from node_package(content.read(DESCRIPTION_LIMIT_BYTES))


def _sha256_of(content: Readable) -> str:
    digest = hashlib.sha256()
    while chunk := content.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def debian_packages(status: bytes) -> Iterator[Package]:
    """Yield the installed packages of dpkg's status file (deb-control(5))."""
    for stanza in status.split(b"\n\n"):
        about = BytesHeaderParser().parsebytes(stanza.lstrip(b"\n"), headersonly=True)
        name, version = about["Package"], about["Version"]
        if name and version and str(about["Status"]).endswith(" installed"):
            qualifiers = {"arch": str(about["Architecture"]), "distro": "debian"}
            yield Package("deb", str(name), str(version), qualifiers=qualifiers)


def python_package(metadata: bytes) -> Iterator[Package]:
    """Yield the package of a `METADATA` file (core metadata specifications)."""
    about = BytesHeaderParser().parsebytes(metadata, headersonly=True)
    if about["Name"] and about["Version"]:
        license_ = str(about["License-Expression"] or about["License"] or "").split("\n")[0]
        yield Package("pypi", str(about["Name"]).lower(), str(about["Version"]), license_)


def node_package(manifest: bytes) -> Iterator[Package]:
    """Yield the package of a `package.json`; nothing if it is none."""
    try:
        about = json.loads(manifest)
    except (ValueError, RecursionError):
        return
    if not isinstance(about, dict):
        return
    name, version = about.get("name"), about.get("version")
    if isinstance(name, str) and isinstance(version, str):
        license_ = about.get("license")
        yield Package("npm", name, version, license_ if isinstance(license_, str) else "")


def _is_node_package(path: str) -> bool:
    parts = PurePosixPath(path).parts
    if parts[-1] != "package.json":
        return False
    return parts[-3:-2] == ("node_modules",) or (
        parts[-4:-3] == ("node_modules",) and parts[-3].startswith("@")
    )


def render_bill(packages: Iterable[Package], *, name: str, image_id: str, made: datetime) -> str:
    """Return the bill as CycloneDX JSON; the same image gives the same text.

    `image_id` is the engine's (`sha256:…`), `made` when the image was.
    """
    bill = Bom(serial_number=uuid5(NAMESPACE_URL, image_id))
    image = Component(
        name=name, version=image_id, type=ComponentType.CONTAINER, bom_ref=f"image:{image_id}"
    )
    bill.metadata.component = image
    bill.metadata.timestamp = made
    components = [_component(package) for package in packages]
    bill.components.update(components)
    bill.register_dependency(image, components)
    return str(JsonV1Dot6(bill).output_as_string(indent=1)) + "\n"


def _component(package: Package) -> Component:
    if package.kind == "program":
        return Component(
            name=package.name,
            version=package.version or None,
            type=ComponentType.APPLICATION,
            bom_ref=f"program:{package.name}:{package.sha256[:16]}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=package.sha256)],
        )
    url = _package_url(package)
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        purl=url,
        bom_ref=str(url),
        licenses=_licenses(package),
    )


def _licenses(package: Package) -> list[DisjunctiveLicense]:
    told = package.license.strip()[:_LICENSE_LIMIT_CHARS]
    return [DisjunctiveLicense(name=told)] if told else []


def _package_url(package: Package) -> PackageURL:
    if package.kind == "npm" and package.name.startswith("@"):
        scope, _, name = package.name.partition("/")
        return PackageURL("npm", scope, name, package.version)
    namespace = "debian" if package.kind == "deb" else None
    return PackageURL(
        package.kind, namespace, package.name, package.version, dict(package.qualifiers)
    )
