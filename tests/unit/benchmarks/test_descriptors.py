import os
import socket
from collections import Counter
from pathlib import Path

import pytest
from benchmarks.descriptors import by_kind, differences, kind_of, socket_paths

TABLE = """Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 111 /run/hakoiri/0123456789/guard.sock
0000000000000000: 00000003 00000000 00000000 0001 03 222
"""


@pytest.mark.parametrize(
    ("link", "kind"),
    [
        ("socket:[111]", "socket /run/hakoiri/#/guard.sock"),
        ("socket:[222]", "socket -"),
        ("socket:[333]", "socket, not Unix"),
        ("pipe:[987]", "pipe"),
        ("anon_inode:[eventpoll]", "anon_inode"),
        ("/data/hakoiri.sqlite-wal", "/data/hakoiri.sqlite-wal"),
        ("/live/c0123456789abcdef/agent", "/live/#/agent"),
    ],
)
def test_a_descriptor_is_told_by_what_it_leads_to(link: str, kind: str) -> None:
    assert kind_of(link, socket_paths(TABLE)) == kind


def test_one_that_is_left_over_shows(tmp_path: Path) -> None:
    before = by_kind([os.getpid()])
    with socket.socket(socket.AF_UNIX) as listener, (tmp_path / "left").open("w"):
        listener.bind(str(tmp_path / "s.sock"))
        found = differences(before, by_kind([os.getpid()]))
    assert [line.endswith(": 0 -> 1") for line in found] == [True, True]
    assert any("s.sock" in line for line in found)
    assert any(line.split(":")[0].endswith("/left") for line in found)
    assert not by_kind([2**22 + 1]), "a process that is gone has none"


def test_only_what_differs_is_told() -> None:
    first, last = Counter({"pipe": 2, "socket -": 3}), Counter({"pipe": 2, "socket -": 5, "x": 1})
    assert differences(first, last) == ["socket -: 3 -> 5", "x: 0 -> 1"]
