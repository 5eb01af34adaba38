import io
import json
from datetime import UTC, datetime

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.image.archives import File, archive

from hakoiri.image.bill_of_materials import (
    Package,
    debian_packages,
    node_package,
    python_package,
    read_packages,
    render_bill,
)
from hakoiri.image.saved_image import read_file_system

MADE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IMAGE_ID = "sha256:" + "ab" * 32

STATUS = b"""Package: zlib1g
Status: install ok installed
Architecture: amd64
Version: 1:1.2.13

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: git
Status: install ok installed
Architecture: amd64
Version: 1:2.39.5
Description: revision control
 with a second line
"""
FILES = {
    "var/lib/dpkg/status": File(STATUS),
    "opt/v/site-packages/Some_Lib-1.dist-info/METADATA": File(
        b"Metadata-Version: 2.4\nName: Some_Lib\nVersion: 1.2\nLicense-Expression: MIT\n\nWords"
    ),
    "usr/lib/python3/dist-packages/six-1.dist-info/METADATA": File(b"Name: six\nVersion: 1\n"),
    "opt/n/node_modules/a/package.json": File(b'{"name": "a", "version": "2", "license": "ISC"}'),
    "opt/n/node_modules/@s/b/package.json": File(b'{"name": "@s/b", "version": "3"}'),
    "opt/n/node_modules/a/test/package.json": File(b'{"name": "fixture", "version": "0"}'),
    "opt/v/site-packages/sdk/_bundled/claude": File(b"\x7fELF", mode=0o755),
    "opt/v/site-packages/sdk/_bundled/claude.version": File(b"2.1.0 (a name)\n"),
    "opt/v/site-packages/sdk/_bundled/.gitignore": File(b"*"),
}
PACKAGES = [
    Package("deb", "git", "1:2.39.5", qualifiers={"arch": "amd64", "distro": "debian"}),
    Package("deb", "zlib1g", "1:1.2.13", qualifiers={"arch": "amd64", "distro": "debian"}),
    Package("npm", "@s/b", "3"),
    Package("npm", "a", "2", "ISC"),
    Package("program", "claude", "2.1.0"),
    Package("pypi", "some_lib", "1.2", "MIT"),
]


def read() -> list[Package]:
    return read_packages(read_file_system(io.BytesIO(archive(FILES))))


def test_packages_of_all_kinds_are_read_from_the_files_that_tell_of_them() -> None:
    found = read()
    assert [(p.kind, p.name, p.version, p.license) for p in found] == [
        (p.kind, p.name, p.version, p.license) for p in PACKAGES
    ]
    assert len(found[4].sha256) == 64


def test_the_bill_is_sound_names_the_image_and_is_the_same_each_time() -> None:
    bill = render_bill(read(), name="hakoiri/workspace", image_id=IMAGE_ID, made=MADE)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    assert bill == render_bill(
        reversed(read()), name="hakoiri/workspace", image_id=IMAGE_ID, made=MADE
    )
    told = json.loads(bill)
    assert told["metadata"]["component"]["version"] == IMAGE_ID
    urls = {entry.get("purl") for entry in told["components"]}
    assert urls == {
        "pkg:deb/debian/git@1:2.39.5?arch=amd64&distro=debian",
        "pkg:deb/debian/zlib1g@1:1.2.13?arch=amd64&distro=debian",
        "pkg:npm/%40s/b@3",
        "pkg:npm/a@2",
        "pkg:pypi/some-lib@1.2",
        None,
    }


@pytest.mark.parametrize(
    "manifest",
    [b"", b"[]", b"{", b'{"name": 1}', b'{"name": "a"}', b'{"name": null, "version": "1"}', b"["],
)
def test_a_manifest_that_is_none_names_no_package(manifest: bytes) -> None:
    assert list(node_package(manifest)) == []


@given(st.binary(max_size=400))
def test_no_bytes_break_a_parser(content: bytes) -> None:
    for parse in (debian_packages, python_package, node_package):
        list(parse(content))
