import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.hosts_file import FILE_LIMIT_BYTES, HostsFile, parse_hosts


def test_names_have_the_addresses_of_all_their_lines() -> None:
    table = parse_hosts(
        "# comment\n127.0.0.1\tlocalhost  Box.Example.Test. # more\n\n"
        "::1 localhost\n127.0.0.1 localhost\n10.0.0.1\nnonsense #x y\n"
    )
    assert table == {
        "localhost": ("127.0.0.1", "::1"),
        "box.example.test": ("127.0.0.1",),
    }


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    for name, addresses in parse_hosts(text).items():
        assert name == name.lower()
        assert addresses


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    hosts = HostsFile(path)
    assert hosts.addresses_of("a.test") == ()
    path.write_text("192.0.2.1 a.test\n")
    assert hosts.addresses_of("a.test") == ("192.0.2.1",)
    other = tmp_path / "other"
    other.write_text("192.0.2.2 a.test\n")
    other.replace(path)
    assert hosts.addresses_of("a.test") == ("192.0.2.2",)
    path.unlink()
    assert hosts.addresses_of("a.test") == ()


def test_a_fifo_and_a_directory_hold_nobody_up(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert HostsFile(fifo).addresses_of("a.test") == ()
    assert HostsFile(tmp_path).addresses_of("a.test") == ()


def test_a_long_file_is_read_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hosts"
    first = "192.0.2.1 first.test\n"
    with path.open("wb") as file:
        file.write(first.encode())
        file.seek(FILE_LIMIT_BYTES)
        file.write(b"\n192.0.2.2 last.test\n")
    hosts = HostsFile(path)
    assert hosts.addresses_of("first.test") == ("192.0.2.1",)
    assert hosts.addresses_of("last.test") == ()
