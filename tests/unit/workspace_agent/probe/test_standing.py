import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.workspace_agent.probe import standing
from hakoiri.workspace_agent.probe.standing import (
    list_foreign_processes,
    list_open_files,
    parse_mounts,
    read_label,
    read_namespaces,
    read_standing,
    shows_nothing,
)


def test_mounts_are_read_by_target_the_last_one_counting() -> None:
    text = (
        "1 0 8:1 / / ro,relatime shared:1 - ext4 /dev/sda ro\n"
        "2 1 0:5 / /a\\040b rw,nosuid - tmpfs tmpfs rw\n"
        "3 2 0:6 / / rw - tmpfs tmpfs rw\n"
    )
    assert parse_mounts(text) == {"/": frozenset({"rw"}), "/a b": frozenset({"rw", "nosuid"})}


@given(st.text(alphabet=st.characters(blacklist_characters="\n \\"), min_size=1, max_size=20))
def test_any_target_is_read(target: str) -> None:
    line = f"1 0 8:1 / /{target} ro - ext4 x rw"
    if len(line.splitlines()) == 1:
        assert list(parse_mounts(line)) == [f"/{target}"]


def test_namespaces_are_read_by_kind_and_those_of_children_left_out(tmp_path: Path) -> None:
    for name, told in (("ipc", "ipc:[7]"), ("pid_for_children", "pid:[8]"), ("odd", "odd")):
        (tmp_path / name).symlink_to(told)
    assert read_namespaces(tmp_path) == {"ipc": 7, "odd": 0}


def test_the_namespaces_of_this_process() -> None:
    own = read_namespaces(Path("/proc/self/ns"))
    assert own["ipc"] == Path("/proc/self/ns/ipc").stat().st_ino


@pytest.mark.parametrize(
    ("file", "told", "label"),
    [
        ("apparmor/current", "workspace-container (enforce)\n", "workspace-container (enforce)"),
        ("current", "docker-default (enforce)\n", "docker-default (enforce)"),
        ("current", "unconfined\n", "unconfined"),
        ("current", "system_u:system_r:container_t:s0\0", None),
        ("current", "", None),
        ("other", "unconfined", None),
    ],
)
def test_a_label_is_apparmors(tmp_path: Path, file: str, told: str, label: str | None) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(told)
    assert read_label(tmp_path) == label


def test_open_files_are_listed_without_the_listing(tmp_path: Path) -> None:
    listed = Path("/proc/self/fd")
    before = list_open_files(listed)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    assert {*list_open_files(listed)} == {*before, str(descriptor)}
    os.close(descriptor)


def test_processes_of_others_and_those_that_cannot_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1", "2", "3", "self"):
        (tmp_path / name).mkdir()
    stat = Path.stat

    def told(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path.name == "2":
            raise FileNotFoundError
        if path.name == "3":
            raise PermissionError
        return stat(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", told)
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    owner = os.stat(tmp_path).st_uid  # noqa: PTH116 - Path's is scripted
    assert sorted(list_foreign_processes(tmp_path)) == [
        f"1 of user {owner}",
        "3 of nobody knows whom",
    ]


def test_what_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert shows_nothing(Path("/dev/null"))
    assert shows_nothing(tmp_path / "empty")
    assert not shows_nothing(tmp_path)
    assert not shows_nothing(tmp_path / "file")
    assert not shows_nothing(Path("/dev/zero"))


def test_a_directory_that_may_not_be_listed_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert shows_nothing(tmp_path)


def test_only_what_is_there_is_looked_behind(tmp_path: Path) -> None:
    (tmp_path / "cpu1" / "heat").mkdir(parents=True)
    (tmp_path / "cpu2" / "heat").mkdir(parents=True)
    (tmp_path / "cpu2" / "heat" / "count").touch()
    asked = [f"{tmp_path}/cpu*/heat", f"{tmp_path}/none", "/dev/null", "/dev/null/below"]
    assert read_standing(asked).masked == {
        f"{tmp_path}/cpu1/heat": True,
        f"{tmp_path}/cpu2/heat": False,
        "/dev/null": True,
    }


def test_what_cannot_be_read_is_none_and_not_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError

    for name in ("list_open_files", "list_foreign_processes", "read_namespaces"):
        monkeypatch.setattr(standing, name, refuse)
    read = read_standing([])
    assert (read.open_files, read.foreign_processes, read.namespaces) == (None, None, None)


def test_what_cannot_be_looked_behind_counts_as_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(standing, "shows_nothing", refuse)
    assert read_standing(["/proc/keys"]).masked == {"/proc/keys": False}
