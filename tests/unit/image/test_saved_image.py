import io
import tarfile
from collections.abc import Callable, Mapping

import pytest
from tests.unit.image.archives import (
    File,
    archive,
    saved_by_a_new_engine,
    saved_by_an_old_engine,
)

from hakoiri.image.errors import ImageBuildError
from hakoiri.image.saved_image import read_file_system, read_saved_image

Save = Callable[..., io.BytesIO]

LAYERS: tuple[Mapping[str, File], ...] = (
    {
        "./etc/": File(kind=tarfile.DIRTYPE, mode=0o755),
        "./etc/a": File(b"first", mode=0o640),
        "etc/link": File(kind=tarfile.SYMTYPE, mode=0o777),
    },
    {"/usr/big": File(b"x" * 5000, pax={"SCHILY.xattr.security.capability": "1"})},
)


@pytest.mark.parametrize("save", [saved_by_an_old_engine, saved_by_a_new_engine])
def test_every_entry_of_every_layer_is_given_with_its_content(save: Save) -> None:
    seen = {}
    for entry in read_saved_image(save(*LAYERS)):
        if entry.kind != "about":
            content = entry.content.read() if entry.content is not None else None
            seen[entry.path] = (entry.kind, entry.mode, entry.has_capabilities, content)
    assert seen == {
        "etc": ("directory", 0o755, False, None),
        "etc/a": ("file", 0o640, False, b"first"),
        "etc/link": ("other", 0o777, False, None),
        "usr/big": ("file", 0o644, True, b"x" * 5000),
    }


@pytest.mark.parametrize("save", [saved_by_an_old_engine, saved_by_a_new_engine])
def test_the_images_description_is_given_too(save: Save) -> None:
    about = [
        entry.content.read()
        for entry in read_saved_image(save(*LAYERS))
        if entry.kind == "about" and entry.content is not None
    ]
    assert any(content.startswith((b"[{", b"{")) for content in about)


def test_a_content_can_be_read_piece_by_piece() -> None:
    for entry in read_saved_image(saved_by_an_old_engine({"a": File(bytes(range(256)) * 8)})):
        if entry.content is not None and entry.kind == "file":
            pieces = [entry.content.read(600), entry.content.read(600), entry.content.read()]
            assert b"".join(pieces) == bytes(range(256)) * 8


@pytest.mark.parametrize(
    "archive_",
    [
        io.BytesIO(b"Error response from daemon: no such image"),
        io.BytesIO(b""),
        saved_by_an_old_engine(),
        io.BytesIO(saved_by_an_old_engine(*LAYERS).getvalue()[:6000]),
    ],
    ids=["words", "nothing", "no layer", "cut off"],
)
def test_what_is_no_whole_image_is_an_error(archive_: io.BytesIO) -> None:
    with pytest.raises(ImageBuildError, match="saved image"):
        list(read_saved_image(archive_))


def test_a_file_system_is_read_like_one_layer() -> None:
    files = [(e.path, e.kind) for e in read_file_system(io.BytesIO(archive(LAYERS[0])))]
    assert files == [("etc", "directory"), ("etc/a", "file"), ("etc/link", "other")]
    with pytest.raises(ImageBuildError, match="file system"):
        list(read_file_system(io.BytesIO(b"not an archive" * 100)))
