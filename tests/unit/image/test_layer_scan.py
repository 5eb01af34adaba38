import tarfile

import pytest
from tests.unit.image.archives import File, saved_by_an_old_engine

from hakoiri.image.layer_scan import Finding, scan_layers
from hakoiri.image.saved_image import read_saved_image

KEY = b"AK" + b"IA" + b"Q" * 16


def scan(*layers: dict[str, File], harmless: frozenset[str] = frozenset()) -> list[Finding]:
    return list(scan_layers(read_saved_image(saved_by_an_old_engine(*layers)), harmless=harmless))


def test_a_sound_image_has_no_finding() -> None:
    files = {
        "tmp": File(kind=tarfile.DIRTYPE, mode=0o1777),
        "usr/bin/a": File(b"\x7fELF", mode=0o755),
        "usr/bin/link": File(kind=tarfile.SYMTYPE, mode=0o777),
        "home/agent": File(kind=tarfile.DIRTYPE, mode=0o755),
        "etc/apt/auth.conf": File(b""),
    }
    assert scan(files) == []


@pytest.mark.parametrize(
    ("path", "file", "rule"),
    [
        ("usr/bin/su", File(mode=0o4755), "set-id"),
        ("usr/bin/wall", File(mode=0o2755), "set-id"),
        ("usr/bin/ping", File(pax={"SCHILY.xattr.security.capability": "x"}), "capabilities"),
        ("opt/open", File(mode=0o666), "writable by all"),
        ("opt/shared", File(kind=tarfile.DIRTYPE, mode=0o777), "writable by all"),
        ("root/.netrc", File(b"machine a.example"), "login file"),
        ("home/agent/.aws/credentials", File(b"[default]"), "login file"),
        ("home/agent/.ssh/id_ed25519", File(b"anything"), "login file"),
        ("usr/lib/a.py", File(b"KEY = '" + KEY + b"'"), "secret"),
        ("etc/pip.conf", File(b"index-url = https://a:" + b"bcdef@index.example.com"), "secret"),
    ],
)
def test_what_must_not_be_there_is_named(path: str, file: File, rule: str) -> None:
    (found,) = scan({"before": File(b"x")}, {path: file, "after": File(b"y")})
    assert (found.rule, found.path, found.layer) == (rule, path, "1/layer.tar")
    assert KEY.decode() not in repr(found)


def test_a_secret_that_a_later_layer_removed_is_still_found() -> None:
    found = scan({"opt/key": File(KEY)}, {"opt/.wh.key": File()})
    assert [(f.rule, f.layer) for f in found] == [("secret", "0/layer.tar")]


def test_a_secret_in_the_images_description_is_found() -> None:
    about = b'[{"Env": ["TOKEN=' + KEY + b'"]}]'
    saved = saved_by_an_old_engine({"a": File()}, about=about)
    (found,) = scan_layers(read_saved_image(saved))
    assert (found.rule, found.path) == ("secret", "manifest.json")


def test_what_is_known_to_be_harmless_is_passed_over_by_its_fingerprint_alone() -> None:
    other = b"AK" + b"IA" + b"R" * 16
    (found,) = scan({"a": File(KEY)})
    harmless = frozenset({found.fingerprint})
    assert scan({"a": File(KEY)}, harmless=harmless) == []
    assert [f.path for f in scan({"a": File(other)}, harmless=harmless)] == ["a"]
