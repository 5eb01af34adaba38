import errno
import os
import subprocess
from pathlib import Path

import anyio
import pytest
from tests.disks import disk_rules, small_disks
from tests.engine import mounts_below

from hakoiri.docker_guard.boxes import Boxes
from hakoiri.docker_guard.kernel_mounts import MS_PRIVATE, MS_SHARED, bind, mount
from hakoiri.docker_guard.ownership import Owner
from hakoiri.docker_guard.refusal import CallRefusedError

pytestmark = [pytest.mark.anyio, pytest.mark.root]

RECEIVE = "echo ready; read go; cat /proc/self/mountinfo"
ID = "c" + "0" * 16
RULES = disk_rules(workspace_mib=32, inodes=4096)
OTHER = "c" + "1" * 16
OWNER = Owner(101_000, 102_000, 101_000)


@pytest.fixture
def sockets(tmp_path: Path) -> Path:
    made = tmp_path / "proxy"
    made.mkdir()
    return made


def boxes(tree: Path, sockets: Path | None = None, *, proxy_uid: int = 0) -> Boxes:
    stage = tree.with_name("stage")
    stage.mkdir(exist_ok=True)
    return Boxes(
        tree=tree,
        disks=small_disks(
            tree.with_name("disks"), rules=disk_rules(home_mib=32, workspace_mib=32, inodes=4096)
        ),
        stage=stage,
        proxy_sockets=sockets,
        proxy_uid=proxy_uid,
    )


def flags_of(path: Path) -> set[str]:
    """The flags of the topmost mount at the path."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        flag
        for line in lines
        if line.split()[4] == str(path)
        for flag in line.split()[5].split(",")
    }


async def test_what_is_made_is_private_mounted_and_what_is_removed_is_gone(tree: Path) -> None:
    keeper = boxes(tree)
    made = keeper.make(ID, owner=OWNER)
    for name in ("workspace", "home", "agent"):
        status = made[name].stat()
        assert (status.st_uid, status.st_gid) == (OWNER.uid, OWNER.gid)
        assert oct(status.st_mode & 0o7777) == "0o700"
        assert {"nosuid", "nodev"} <= flags_of(made[name])
    assert "noexec" in flags_of(made["agent"])
    assert keeper.present() == [ID]
    assert mounts_below(tree.with_name("stage")) == []
    await keeper.remove(ID)
    assert keeper.present() == []
    assert mounts_below(tree) == []
    await keeper.remove(ID)


def test_the_way_to_a_box_is_open_to_a_containers_root_and_closed_to_others(tree: Path) -> None:
    """Whoever passes reaches the proxy's socket, which is open to all who do."""
    boxes(tree).make(ID, owner=OWNER)
    disks = tree.with_name("disks")
    for path in (tree, tree / ID, disks, disks / ID):
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (0, OWNER.root_gid)
        assert oct(status.st_mode & 0o7777) == "0o710"


def test_the_agents_directory_cannot_be_filled_beyond_its_own(tree: Path) -> None:
    agent = boxes(tree).make(ID, owner=OWNER)["agent"]
    with pytest.raises(OSError, match="No space") as full:
        (agent / "big").write_bytes(b"x" * (65 * 1024))
    assert full.value.errno == errno.ENOSPC
    made = 0
    with pytest.raises(OSError, match="No space"):  # noqa: PT012 - how many there were is the point
        for made in range(17):
            (agent / str(made)).touch()
    assert made < 16


def test_a_container_does_not_get_the_directories_of_another(tree: Path) -> None:
    keeper = boxes(tree)
    keeper.make(ID, owner=OWNER)
    with pytest.raises(CallRefusedError, match=ID) as refused:
        keeper.make(ID, owner=OWNER)
    assert refused.value.status == 409


async def test_removal_follows_no_link(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    keeper = boxes(tree)
    workspace = keeper.make(ID, owner=OWNER)["workspace"]
    (workspace / "link").symlink_to(outside)
    (workspace / "file").symlink_to(outside / "precious")
    await keeper.remove(ID)
    assert (outside / "precious").read_text() == "kept"
    assert keeper.present() == []


async def test_removal_bears_hostile_names_modes_and_depth(tree: Path) -> None:
    keeper = boxes(tree)
    workspace = keeper.make(ID, owner=OWNER)["workspace"]
    (workspace / "-rf\n*").touch()
    (workspace / os.fsdecode(b"\xff\xfe")).touch()
    os.mkfifo(workspace / "fifo")
    descriptor = os.open(workspace, os.O_DIRECTORY)
    for _ in range(3000):  # deeper than any path can name, and than Python recurses
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_DIRECTORY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    await keeper.remove(ID)
    assert keeper.present() == []


async def test_removal_takes_what_was_mounted_inside_away_and_does_not_empty_it(
    tree: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    keeper = boxes(tree)
    inside = keeper.make(ID, owner=OWNER)["workspace"] / "mounted"
    inside.mkdir()
    await anyio.run_process(["mount", "--bind", str(outside), str(inside)])
    await keeper.remove(ID)
    assert (outside / "precious").read_text() == "kept"
    assert keeper.present() == []


async def test_removal_of_one_leaves_the_others_mounts(tree: Path) -> None:
    keeper = boxes(tree)
    kept = keeper.make(OTHER, owner=OWNER)["workspace"]
    (kept / "file").write_text("kept")
    keeper.make(ID, owner=OWNER)
    await keeper.remove(ID)
    assert (kept / "file").read_text() == "kept"
    assert kept in mounts_below(tree)
    await keeper.remove(OTHER)


async def test_the_proxys_directory_is_shown_by_what_it_is_now(tree: Path, sockets: Path) -> None:
    keeper = boxes(tree, sockets)
    shown = keeper.make(ID, owner=OWNER)["proxy"]
    (sockets / ID).mkdir()
    (sockets / ID / "proxy.sock").touch()
    keeper.show_proxy(ID)
    keeper.show_proxy(ID)
    assert [path.name for path in shown.iterdir()] == ["proxy.sock"]
    assert mounts_below(tree).count(shown) == 1
    with pytest.raises(OSError, match="Read-only"):
        (shown / "planted").touch()
    # what comes to its place afterwards is not what the container sees
    (sockets / ID).rename(sockets / "old")
    (sockets / ID).symlink_to("/etc")
    assert [path.name for path in shown.iterdir()] == ["proxy.sock"]
    await keeper.remove(ID)
    assert (sockets / "old" / "proxy.sock").exists()


@pytest.mark.parametrize("swap", ["link", "file", "foreign", "missing"])
async def test_what_is_not_the_proxys_own_directory_is_not_shown(
    tree: Path, sockets: Path, swap: str
) -> None:
    keeper = boxes(tree, sockets, proxy_uid=0 if swap != "foreign" else 4711)
    shown = keeper.make(ID, owner=OWNER)["proxy"]
    if swap == "link":
        (sockets / ID).symlink_to("/etc")
    elif swap == "file":
        (sockets / ID).touch()
    elif swap == "foreign":
        (sockets / ID).mkdir()
    with pytest.raises(CallRefusedError):
        keeper.show_proxy(ID)
    assert list(shown.iterdir()) == []
    assert shown not in mounts_below(tree)
    await keeper.remove(ID)


def test_without_directories_or_proxy_nothing_is_shown(tree: Path, sockets: Path) -> None:
    (sockets / ID).mkdir()
    with pytest.raises(CallRefusedError, match="PUT /boxes"):
        boxes(tree, sockets).show_proxy(ID)
    with pytest.raises(CallRefusedError, match="not told"):
        boxes(tree).show_proxy(ID)


def test_a_box_that_cannot_be_mounted_leaves_no_mount(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "not allowed")

    monkeypatch.setattr("hakoiri.docker_guard.boxes.mount", fail)
    with pytest.raises(CallRefusedError, match="not allowed"):
        boxes(tree).make(ID, owner=OWNER)
    assert mounts_below(tree) == []


def test_who_receives_the_mounts_receives_their_flags(tree: Path, sockets: Path) -> None:
    """As the engine and the server do, which are in other mount namespaces."""
    bind(tree, tree)
    mount(None, tree, flags=MS_PRIVATE)
    mount(None, tree, flags=MS_SHARED)
    keeper = boxes(tree, sockets)
    with subprocess.Popen(
        ["unshare", "--mount", "--propagation", "slave", "sh", "-c", RECEIVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as receiver:
        assert receiver.stdout is not None
        assert receiver.stdin is not None
        assert receiver.stdout.readline() == "ready\n"
        made = keeper.make(ID, owner=OWNER)
        (sockets / ID).mkdir()
        keeper.show_proxy(ID)
        receiver.stdin.write("\n")
        receiver.stdin.close()
        seen = {
            Path(line.split()[4]): set(line.split()[5].split(","))
            for line in receiver.stdout.read().splitlines()
        }
    safe = {"nosuid", "nodev"}
    assert safe <= seen[made["workspace"]] & seen[made["home"]]
    assert safe | {"noexec"} <= seen[made["agent"]]
    assert safe | {"noexec", "ro"} <= seen[made["proxy"]]
