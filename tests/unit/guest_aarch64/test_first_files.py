"""The archive, read back by another's hand."""

import io

import pytest
from tests.guest_aarch64.first_files import INIT, entry, first_files


def read(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and content of each file, by name."""
    found: dict[str, tuple[int, bytes]] = {}
    source = io.BytesIO(archive)
    while True:
        head = source.read(110)
        assert head[:6] == b"070701"
        fields = [int(head[at : at + 8], 16) for at in range(6, 110, 8)]
        name = source.read(fields[11])[:-1].decode()
        source.seek(-source.tell() % 4, io.SEEK_CUR)
        content = source.read(fields[6])
        source.seek(-source.tell() % 4, io.SEEK_CUR)
        if name == "TRAILER!!!":
            assert source.read() == b""
            return found
        found[name] = (fields[1], content)


def test_it_holds_a_shell_an_init_and_the_modules_in_their_order() -> None:
    found = read(first_files(b"busybox", [b"one", b"three"]))
    assert found["bin/busybox"] == (0o100755, b"busybox")
    assert found["init"] == (0o100755, INIT.encode())
    assert [(name, found[name][1]) for name in found if name.startswith("modules/")] == [
        ("modules/00", b"one"),
        ("modules/01", b"three"),
    ]
    assert found["dev/console"][0] == 0o020600
    assert found["mnt"][0] == 0o040755


@pytest.mark.parametrize("length", range(9))
def test_every_part_begins_at_a_multiple_of_four(length: int) -> None:
    assert len(entry("n" * length, 0, b"c" * length)) % 4 == 0
