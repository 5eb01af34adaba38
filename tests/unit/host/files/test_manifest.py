from dataclasses import replace
from typing import Any

import pytest
from tests.unit.host.files.trees import NOON

from hakoiri.host.files.manifest import (
    Entry,
    Manifest,
    ManifestError,
    check_manifest,
)
from hakoiri.host.files.packs import Pack, Part

SHA = "ab" * 32
PACK = Pack("a" * 64, "none", 10, 10)
FILE = Entry("workspace", b"f", "file", 0o644, 5, size=3, sha256=SHA, ctime_ns=7)
MANIFEST = Manifest(
    workspace_id="ws-1",
    parent="rp-" + "0" * 32,
    generation=2,
    event_number=9,
    session_id="537df189-28c0-4c8c-8c61-8f1b931a6be3",
    created=NOON,
    entries=(FILE,),
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"path": b"../etc/passwd"}, "relative"),
        ({"path": b"/etc/passwd"}, "relative"),
        ({"path": b"a/b"}, "parent"),
        ({"mode": 0o4755}, "mode"),
        ({"mode": -1}, "mode"),
        ({"size": -1}, "size"),
        ({"sha256": "AB" * 32}, "sha256"),
        ({"sha256": "../" * 21 + "a"}, "sha256"),
        ({"ctime_ns": -1}, "ctime_ns"),
        ({"mtime_ns": 2**63}, "mtime_ns"),
        ({"root": "etc"}, "root"),
        ({"kind": "device"}, "kind"),
        ({"kind": "symlink", "target": b""}, "target"),
        ({"parts": (Part(PACK, 0, 3, "cd" * 32),)}, "another hash"),
        ({"parts": (Part(PACK, 0, 2, SHA),)}, "not as long"),
        ({"parts": (Part(PACK, 8, 3, SHA),)}, "outside"),
        ({"parts": (Part(replace(PACK, id="../x"), 0, 3, SHA),)}, "hex digits"),
        ({"parts": (Part(PACK, 0, 1, SHA), Part(PACK, 0, 2, "x"))}, "hex digits"),
    ],
)
def test_an_entry_that_could_do_harm_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        check_manifest(replace(MANIFEST, entries=(replace(FILE, **change),)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"workspace_id": "../x"}, "workspace"),
        ({"parent": "rp-1"}, "parent"),
        ({"generation": 0}, "generation"),
        ({"event_number": -1}, "event_number"),
        ({"session_id": "$(id)"}, "session_id"),
        ({"created": NOON.replace(tzinfo=None)}, "created"),
    ],
)
def test_a_manifest_with_a_bad_field_names_it(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        check_manifest(replace(MANIFEST, **change))


def test_an_entry_below_a_symlink_is_refused() -> None:
    link = Entry("workspace", b"a", "symlink", 0o777, 0, target=b"/etc")
    with pytest.raises(ManifestError, match="parent"):
        check_manifest(replace(MANIFEST, entries=(link, replace(FILE, path=b"a/f"))))


def test_the_same_path_twice_is_refused() -> None:
    with pytest.raises(ManifestError, match="twice"):
        check_manifest(replace(MANIFEST, entries=(FILE, FILE)))


def test_only_the_very_entries_that_were_checked_are_not_checked_again() -> None:
    bad = replace(FILE, mode=0o4755)
    checked = replace(MANIFEST, entries=(bad,))
    check_manifest(checked, checked=checked)
    with pytest.raises(ManifestError, match="mode"):
        check_manifest(replace(MANIFEST, entries=(replace(bad),)), checked=checked)
    with pytest.raises(ManifestError, match="twice"):
        check_manifest(replace(MANIFEST, entries=(bad, bad)), checked=checked)
