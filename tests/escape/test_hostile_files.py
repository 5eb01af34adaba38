"""A workspace full of traps: the save at a turn's end reads and writes nothing outside it."""

import json
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import data_of
from tests.escape.conftest import Tell
from tests.escape.installation import Installation
from tests.escape.places import tree_holds

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.attack("hostile-files")]

OUTSIDE = "planted-on-the-host-outside-of-any-workspace"
TRAPS = r"""
cd /workspace
ln -s /etc/shadow shadow; ln -s / host; ln -s HOSTFILE planted; ln -s /proc/1/environ environ
mkdir dir keep many && echo inside | tee dir/real.txt > keep/real.txt
ln -s ../../../../../../HOSTDIR keep/up
ln /opt/hakoiri/bin/python hardlink 2>&1; ln keep/real.txt second-name
mkfifo fifo; mknod device c 1 3 2>&1
python3 - <<'END'
import os, socket
socket.socket(socket.AF_UNIX).bind("socket")
open("new\nline.txt", "w").write("kept")
open(b"\xff\xfe.bin", "wb").write(b"kept")
open("..dots", "w").write("kept")
open("-rf", "w").write("kept")
try:
    with open("sparse", "w") as file:
        os.truncate(file.fileno(), 1 << 40)
except OSError as error:
    print("sparse:", error.strerror)
for number in range(5000):
    open(f"many/{number}", "w").close()
for _ in range(300):
    os.mkdir("deep")
    os.chdir("deep")
END
cat > /tmp/swap.py <<'END'
import os
while True:
    try:
        os.rename("/workspace/dir", "/workspace/dir.real")
        os.symlink("HOSTDIR", "/workspace/dir")
        os.unlink("/workspace/dir")
        os.rename("/workspace/dir.real", "/workspace/dir")
    except OSError:
        pass
END
setsid python3 /tmp/swap.py > /dev/null 2>&1 &
echo laid
"""


@dataclass(frozen=True, slots=True)
class Laid:
    """What came of a turn that laid the traps, and of one after it in a new container."""

    place: Installation
    conversation: str
    events: list[dict[str, Any]]
    again: list[dict[str, Any]]
    listed: dict[str, dict[str, Any]]
    outside: Path


@pytest.fixture(scope="module")
def laid(place: Installation, tmp_path_factory: pytest.TempPathFactory) -> Laid:
    outside = tmp_path_factory.mktemp("outside")
    outside.chmod(0o777)
    (outside / "planted.txt").write_text(OUTSIDE)
    (outside / "planted.txt").chmod(0o666)
    traps = TRAPS.replace("HOSTFILE", str(outside / "planted.txt"))
    traps = traps.replace("HOSTDIR", str(outside).lstrip("/")).replace(
        f'os.symlink("{str(outside).lstrip("/")}"', f'os.symlink("{outside}"'
    )
    server = place.server
    conversation = server.conversation()
    events = server.turn(conversation, f"run: {traps}")
    (started,) = data_of(events, "turn_started")
    server.docker("kill", f"hakoiri-{started['container']}")
    again = server.turn(
        conversation,
        "run: cd /workspace; cat keep/real.txt; readlink shadow; find many -type f | wc -l",
    )
    base = f"/v1/conversations/{conversation}/workspace/files"
    listed = {one["path"]: one for one in server.api.call("GET", base)["files"]}
    return Laid(place, conversation, events, again, listed, outside)


def test_the_save_comes_to_its_end_and_says_what_it_left_out(laid: Laid, tell: Tell) -> None:
    synced = data_of(laid.events, "file_synced")
    left = synced[0]["left_out"] if synced else []
    said = data_of(laid.events, "tool_result")[0]["text"]
    # a FIFO that gVisor makes is its own, and never on the host
    words = ("FIFO", "socket", "deep") if laid.place.runtime == "runc" else ("socket", "deep")
    lacking = [word for word in words if not any(word in one for one in left)]
    if "sparse: File too large" not in said and not any("sparse" in one for one in left):
        lacking.append("sparse")
    tell(
        "FIFO, socket, sparse file, 300 levels, a directory swapped for a link all the time",
        command="a turn that lays them, and its save",
        expected="saved; what was left out is told",
        seen=f"{len(synced)} save, last event {laid.events[-1]['type']}, {len(left)} left out, "
        f"not told of: {', '.join(lacking) or 'nothing'}",
        held=len(synced) == 1 and laid.events[-1]["type"] == "result" and not lacking,
    )


def test_nothing_of_the_host_came_into_the_store(laid: Laid, tell: Tell) -> None:
    shadow = Path("/etc/shadow").read_bytes().split(b"\n")[0]
    data = laid.place.server.data_dir
    assert tree_holds(data, b"real.txt"), "the search finds what is there"
    found = [
        name
        for name, needle in (("planted file", OUTSIDE.encode()), ("/etc/shadow", shadow))
        if tree_holds(data, needle)
    ]
    tell(
        "links to /etc/shadow, to / and to a file of the host",
        command="search the data directory for what they lead to",
        expected="nothing of it is stored",
        seen=f"found: {', '.join(found) or 'nothing'}",
        held=not found,
    )


def test_nothing_was_written_outside(laid: Laid, tell: Tell) -> None:
    there = sorted(path.name for path in laid.outside.iterdir())
    content = (laid.outside / "planted.txt").read_text()
    tell(
        "a directory that is a link to one of the host's, during save and restore",
        command="look at the host's directory afterwards",
        expected="it is as it was",
        seen=f"{len(there)} file, {'as it was' if content == OUTSIDE else 'changed'}",
        held=there == ["planted.txt"] and content == OUTSIDE,
    )


def test_a_link_is_never_followed_by_a_download(laid: Laid, tell: Tell) -> None:
    base = f"/v1/conversations/{laid.conversation}/workspace/files"
    got: dict[str, str] = {}
    for path in ("shadow", "planted", "environ", "host/etc/passwd", "..%2f..%2fetc/passwd",
                 "%2e%2e/%2e%2e/etc/passwd", "keep/up/planted.txt"):  # fmt: skip
        try:
            got[path] = repr(laid.place.server.api.download(f"{base}/{path}")[:40])
        except ApiError as error:
            got[path] = str(error.problem.status if error.problem else error)
    tell(
        "download through links, and by paths that go up",
        command=f"GET {', '.join(got)}",
        expected="404 or 400",
        seen=", ".join(f"{path}: {what}" for path, what in got.items()),
        held=set(got.values()) <= {"404", "400", "409", "422"},
    )


def test_odd_names_come_back_and_the_workspace_can_be_used(laid: Laid, tell: Tell) -> None:
    said = [one["text"].strip() for one in data_of(laid.again, "tool_result")]
    names = [path for path in laid.listed if "line.txt" in path or "bin" in path or "dots" in path]
    tell(
        "names with newlines, invalid UTF-8, dots and dashes, after a restore",
        command="the next turn, in a new container, and the list of files",
        expected="they are there, escaped; links are links",
        seen=f"{len(names)} odd names listed, last event {laid.again[-1]['type']}: {said}",
        held=laid.again[-1]["type"] == "result"
        and len(names) >= 3
        and all(name.isprintable() for name in names)
        and said == ["inside\n/etc/shadow\n5000"],
    )


def test_the_record_of_it_is_sound(laid: Laid) -> None:
    for path in laid.place.server.data_dir.glob("hakoiri.sqlite"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    assert json.dumps(laid.listed)
    assert os.path.lexists(laid.outside)
