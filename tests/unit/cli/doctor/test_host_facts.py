import os
import socket
from pathlib import Path

from hakoiri.cli.doctor import host_facts


def test_a_link_is_seen_as_itself_and_nothing_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("directory")

    directory = host_facts.look_at(tmp_path / "directory")
    link = host_facts.look_at(tmp_path / "link")

    assert directory is not None
    assert (directory.mode, directory.owner) == (0o700, os.getuid())
    assert directory.is_directory
    assert link is not None
    assert not link.is_directory
    assert host_facts.look_at(tmp_path / "nothing" / "below") is None


def test_a_socket_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        facts = host_facts.look_at(path)
    assert facts is not None
    assert facts.is_socket


def test_the_disk_of_a_path_that_is_not_there_yet_is_its_ancestors(tmp_path: Path) -> None:
    assert host_facts.nearest_directory(tmp_path / "a" / "b") == tmp_path
    assert host_facts.free_bytes(tmp_path / "a" / "b") > 0


def test_users_groups_and_commands_that_do_not_exist_are_none() -> None:
    assert host_facts.user_id("root") == 0
    assert host_facts.user_id("no-such-user") is None
    assert host_facts.group_members(2**31 - 2) == ()
    assert host_facts.find_command("no-such-command") is None
    assert host_facts.find_command("sh") is not None
