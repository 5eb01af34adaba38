import os
import subprocess
from pathlib import Path

import pytest

from hakoiri.docker_guard.ownership import IdMaps
from hakoiri.docker_guard.processes import Processes
from hakoiri.wire.id_map import WHOLE, IdRange


def process(proc: Path, pid: int, *, uid_map: str, parent: int = 1) -> None:
    made = proc / str(pid)
    made.mkdir()
    (made / "uid_map").write_text(uid_map)
    (made / "gid_map").write_text("0 7 1\n")
    (made / "status").write_text(f"Name:\tx\nPPid:\t{parent}\n")


def thread(proc: Path, pid: int, number: int, children: str) -> None:
    made = proc / str(pid) / "task" / str(number)
    made.mkdir(parents=True)
    (made / "children").write_text(children)


def test_this_process_is_shown_with_its_siblings() -> None:
    shown = Processes()
    with subprocess.Popen(["sleep", "60"]) as one, subprocess.Popen(["sleep", "60"]) as other:
        try:
            assert other.pid in set(shown.siblings(one.pid))
            assert one.pid not in set(shown.siblings(one.pid))
            assert shown.id_maps(one.pid) == shown.id_maps(os.getpid()) is not None
        finally:
            one.kill()
            other.kill()


def test_both_maps_are_read(tmp_path: Path) -> None:
    process(tmp_path, 5, uid_map="0 100000 65536\n")
    expected = IdMaps((IdRange(0, 100_000, 65_536),), (IdRange(0, 7, 1),))
    assert Processes(tmp_path).id_maps(5) == expected


@pytest.mark.parametrize("uid_map", ["", "what\n", "0 0\n"])
def test_a_map_that_says_nothing_is_none(tmp_path: Path, uid_map: str) -> None:
    process(tmp_path, 5, uid_map=uid_map)
    assert Processes(tmp_path).id_maps(5) is None


def test_of_a_process_that_is_gone_nothing_is_said(tmp_path: Path) -> None:
    assert Processes(tmp_path).id_maps(5) is None
    assert list(Processes(tmp_path).siblings(5)) == []


def test_siblings_are_the_children_of_all_the_parents_threads(tmp_path: Path) -> None:
    process(tmp_path, 5, uid_map="", parent=3)
    thread(tmp_path, 3, 3, "4 5 ")
    thread(tmp_path, 3, 9, "6 ")
    assert sorted(Processes(tmp_path).siblings(5)) == [4, 6]


def test_a_name_that_is_hostile_says_no_parent(tmp_path: Path) -> None:
    process(tmp_path, 5, uid_map="", parent=3)
    (tmp_path / "5/status").write_text("Name:\tPPid: 8\nPPid:\t3\n")
    thread(tmp_path, 3, 3, "4 5")
    assert list(Processes(tmp_path).siblings(5)) == [4]


def test_the_whole_map_is_the_hosts_own(tmp_path: Path) -> None:
    process(tmp_path, 5, uid_map="         0          0 4294967295\n")
    maps = Processes(tmp_path).id_maps(5)
    assert maps is not None
    assert maps.uid == WHOLE
