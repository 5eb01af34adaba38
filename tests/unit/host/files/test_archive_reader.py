"""Archives of the real formats, and those that attackers send."""

import gzip
import hashlib
import io
import os
import stat
import struct
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hakoiri.host.files import archive_reader
from hakoiri.host.files.archive_limits import ArchiveRefusedError, Contents, ImportLimits
from hakoiri.host.files.archive_reader import unpack

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMITS = ImportLimits(members=50, file_bytes=3_000_000, total_bytes=5_000_000, depth=6)
Made = dict[str, bytes | None]
TREE: Made = {
    "src": None,
    "src/main.py": b"print()\n",
    "src/empty": b"",
    "箱.txt": b"box",
    "large": os.urandom(1_500_000),
}


def make_zip(tree: Made, *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, content in tree.items():
            archive.writestr(name + "/" if content is None else name, content or b"")
    return made.getvalue()


def make_tar(tree: Made, *, format_: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=format_) as archive:
        for name, content in tree.items():
            about = tarfile.TarInfo(name)
            about.mode = 0o755
            if content is None:
                about.type = tarfile.DIRTYPE
                archive.addfile(about)
            else:
                about.size = len(content)
                archive.addfile(about, io.BytesIO(content))
    return made.getvalue()


def one_tar(about: tarfile.TarInfo, content: bytes = b"") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(about, io.BytesIO(content))
    return made.getvalue()


def decode(archive: bytes, limits: ImportLimits = LIMITS) -> tuple[Contents, dict[bytes, bytes]]:
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as spool:
        source.write(archive)
        source.flush()
        contents = unpack(source.fileno(), len(archive), spool, limits)
        found = {
            file.path: os.pread(spool.fileno(), file.size, file.offset) for file in contents.files
        }
    for file in contents.files:
        assert hashlib.sha256(found[file.path]).hexdigest() == file.sha256
    return contents, found


KINDS: dict[str, Callable[[Made], bytes]] = {
    "zip": make_zip,
    "zip-stored": lambda tree: make_zip(tree, compression=zipfile.ZIP_STORED),
    "tar": make_tar,
    "tar-gnu": lambda tree: make_tar(tree, format_=tarfile.GNU_FORMAT),
    "tar.gz": lambda tree: gzip.compress(make_tar(tree)),
    "tar.zst": lambda tree: zstd.compress(make_tar(tree)),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Callable[[Made], bytes]:
    return KINDS[request.param]


def test_each_kind_comes_whole(kind: Callable[[Made], bytes]) -> None:
    contents, found = decode(kind(TREE))
    assert found == {name.encode(): data for name, data in TREE.items() if data is not None}
    assert contents.folders == [b"src"]
    assert (contents.left_out, contents.file_bytes) == (0, sum(map(len, found.values())))


def test_an_empty_archive_is_one() -> None:
    for archive in (make_zip({}), make_tar({}) + bytes(512)):
        if archive[:2] == b"PK":
            assert decode(archive)[1] == {}
        else:
            with pytest.raises(ArchiveRefusedError, match="neither"):
                decode(archive)


def test_permissions_come_and_nothing_above_them() -> None:
    about = tarfile.TarInfo("f")
    about.mode, about.size, about.uid = 0o6755, 1, 12345
    assert decode(one_tar(about, b"x"))[0].files[0].mode == 0o755
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        info = zipfile.ZipInfo("f")
        info.external_attr = (stat.S_IFREG | 0o4700) << 16
        archive.writestr(info, b"x")
    assert decode(made.getvalue())[0].files[0].mode == 0o700


SLIPS = [
    "../evil",
    "a/../../evil",
    "/etc/passwd",
    "a//b",
    "a/./b",
    "..",
    "x" * 256,
    "/".join("abcdefg"),
    "a/" * 2100 + "b",
]


@pytest.mark.parametrize("name", SLIPS)
def test_a_name_that_leads_out_is_refused_with_all(
    kind: Callable[[Made], bytes], name: str
) -> None:
    with pytest.raises(ArchiveRefusedError):
        decode(kind({"good": b"x", name: b"evil"}))


def test_a_name_with_nul_is_refused() -> None:
    archive = make_zip({"a.txt?.exe": b"x"}).replace(b"a.txt?.exe", b"a.txt\0.exe")
    with pytest.raises(ArchiveRefusedError):
        decode(archive)


def test_a_leading_dot_is_the_root() -> None:
    assert decode(make_tar({".": None, "./a": b"x"}))[1] == {b"a": b"x"}


@pytest.mark.parametrize(
    "tree",
    [
        [("a", b"1"), ("a", b"2")],
        [("a", b"1"), ("a/b", b"2")],
        [("a/b", b"1"), ("a", b"2")],
        [("a", None), ("a", b"2")],
        [("a", b"1"), ("a", None)],
        [("a", b"1"), ("./a", b"2")],
    ],
)
def test_a_path_is_one_thing_once(tree: list[tuple[str, bytes | None]]) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in tree:
            about = tarfile.TarInfo(name)
            about.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            about.size = len(content or b"")
            archive.addfile(about, io.BytesIO(content or b""))
    with pytest.raises(ArchiveRefusedError, match=r"twice|below a file"):
        decode(made.getvalue())


@pytest.mark.parametrize(
    "type_",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
def test_links_and_devices_are_left_out_and_told(type_: bytes) -> None:
    about = tarfile.TarInfo("bad")
    about.type, about.linkname = type_, "/etc/shadow"
    contents, found = decode(one_tar(about))
    assert (found, contents.left_out, len(contents.left_out_names)) == ({}, 1, 1)


def test_a_zips_symlink_is_left_out_and_what_would_go_through_it_stays_inside() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        link = zipfile.ZipInfo("up")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, b"../..")
        archive.writestr("up/evil", b"x")
    contents, found = decode(made.getvalue())
    assert (found, contents.left_out) == ({b"up/evil": b"x"}, 1)


def test_counts_sizes_and_totals_are_bounded(kind: Callable[[Made], bytes]) -> None:
    for tree, told in (
        ({f"{number}": b"" for number in range(51)}, "50 members"),
        ({"f": os.urandom(3_000_001)}, "over 3000000"),
        ({"f": os.urandom(2_600_000), "g": os.urandom(2_600_000)}, "5000000 bytes in all"),
    ):
        with pytest.raises(ArchiveRefusedError, match=told):
            decode(kind(dict(tree)))


WIDE = ImportLimits(members=50, file_bytes=1 << 40, total_bytes=1 << 40, depth=6)


@pytest.mark.parametrize("name", ["zip", "tar.gz", "tar.zst"])
def test_a_bomb_is_refused_long_before_it_is_large(name: str) -> None:
    written = 0

    class Counting(io.BytesIO):
        def write(self, data: object) -> int:
            nonlocal written
            written += len(data)  # type: ignore[arg-type]
            return len(data)  # type: ignore[arg-type]

    archive = KINDS[name]({"zeros": bytes(60_000_000)})
    assert len(archive) < 100_000
    with tempfile.TemporaryFile() as source:
        source.write(archive)
        source.flush()
        with pytest.raises(ArchiveRefusedError, match="200 times"):
            unpack(source.fileno(), len(archive), Counting(), WIDE)
    assert written < 25_000_000


def test_members_that_share_bytes_are_refused() -> None:
    """Two lines of the list lead to the same bytes."""
    archive = bytearray(make_zip({"a": os.urandom(500), "b": os.urandom(500)}))
    second = archive.rindex(b"PK\x01\x02")
    first = archive.index(b"PK\x01\x02")
    archive[second + 42 : second + 46] = archive[first + 42 : first + 46]
    with pytest.raises(ArchiveRefusedError, match=r"overlap|broken"):
        decode(bytes(archive))


def test_members_that_share_bytes_are_refused_by_us() -> None:
    """Before the parser looks, which not every release does."""
    near = [zipfile.ZipInfo("a"), zipfile.ZipInfo("b")]
    near[0].compress_size = near[1].compress_size = 100
    near[0].header_offset, near[1].header_offset = 0, 129
    with pytest.raises(ArchiveRefusedError, match="overlap"):
        archive_reader._check_apart(near)
    near[1].header_offset = 130
    archive_reader._check_apart(near)


def test_a_zip_that_lies_about_a_size_is_refused() -> None:
    archive = bytearray(make_zip({"a": b"x" * 5000}))
    entry = archive.rindex(b"PK\x01\x02")
    for size in (10, 9_000_000):
        archive[entry + 24 : entry + 28] = struct.pack("<I", size)
        with pytest.raises(ArchiveRefusedError):
            decode(bytes(archive))


def test_a_zip_of_the_long_form_that_claims_exabytes_is_refused() -> None:
    archive = bytearray(make_zip({"a": b"x" * 50}))
    entry = archive.rindex(b"PK\x01\x02")
    extra = struct.pack("<HHQ", 1, 8, 1 << 60)
    archive[entry + 24 : entry + 28] = b"\xff" * 4
    archive[entry + 30 : entry + 32] = struct.pack("<H", len(extra))
    at = entry + 46 + 1
    archive[at:at] = extra
    end = archive.rindex(b"PK\x05\x06")
    archive[end + 12 : end + 16] = struct.pack("<I", end - entry)
    with pytest.raises(ArchiveRefusedError):
        decode(bytes(archive))


def test_an_encrypted_member_and_a_strange_coding_are_refused() -> None:
    archive = bytearray(make_zip({"a": b"x"}))
    entry = archive.rindex(b"PK\x01\x02")
    archive[entry + 8] |= 1
    with pytest.raises(ArchiveRefusedError, match="encrypted"):
        decode(bytes(archive))
    for coding in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with pytest.raises(ArchiveRefusedError, match="in a way that is not taken"):
            decode(make_zip({"a": b"x"}, compression=coding))


def test_a_zips_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_reader, "DIRECTORY_LIMIT_BYTES", 1000)
    with pytest.raises(ArchiveRefusedError, match="list of members is over"):
        decode(make_zip({f"some longer name {number}": b"" for number in range(40)}))


def test_a_header_that_claims_gigabytes_costs_nothing() -> None:
    about = tarfile.TarInfo("pax")
    about.type, about.size = tarfile.XHDTYPE, 7 << 30
    archive = about.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)
    with pytest.raises(ArchiveRefusedError, match="header of the archive claims"):
        decode(archive, WIDE)
    about.type = tarfile.GNUTYPE_LONGNAME
    with pytest.raises(ArchiveRefusedError, match="header of the archive claims"):
        decode(about.tobuf(tarfile.USTAR_FORMAT) + bytes(1024), WIDE)


def test_a_sparse_member_is_left_out() -> None:
    about = tarfile.TarInfo("sparse")
    about.pax_headers = {"GNU.sparse.size": "1099511627776", "GNU.sparse.numblocks": "0"}
    assert decode(one_tar(about))[1] == {}


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_broken_is_one_error_or_within_all_limits(
    name: str, data: st.DataObject
) -> None:
    archive = bytearray(KINDS[name]({"d": None, "d/f": b"content" * 50, "g": b"x"}))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(archive) - 1))
        archive[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(archive)))
    if data.draw(st.booleans()):
        archive = archive[:cut]
    try:
        contents, found = decode(bytes(archive))
    except ArchiveRefusedError:
        return
    assert sum(map(len, found.values())) <= LIMITS.total_bytes
    for path in [*found, *contents.folders]:
        assert not path.startswith(b"/")
        assert b".." not in path.split(b"/")


@given(st.binary(max_size=2000))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_noise_is_refused(noise: bytes) -> None:
    for begin in (b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"):
        try:
            decode(begin + noise)
        except ArchiveRefusedError:
            continue
