"""Two workspaces on one server: what one has, the other must not find."""

import secrets
from dataclasses import dataclass

import pytest
from tests.escape.conftest import Tell
from tests.escape.installation import Installation, Ran

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.attack("neighbour-workspace")]

PLANT = """
for d in /workspace /tmp /home/agent /dev/shm; do echo MARK > $d/mark.txt; done
setsid python3 -c '
import socket, time, threading
def serve(s):
    s.listen()
    while True:
        s.accept()[0].send(b"MARK")
a = socket.socket(socket.AF_UNIX); a.bind(chr(0) + "mark")
b = socket.socket(); b.bind(("127.0.0.1", 5599))
c = socket.socket(socket.AF_UNIX); c.bind("/tmp/mark.sock")
for s in (a, b, c): threading.Thread(target=serve, args=(s,)).start()
' MARK >/dev/null 2>&1 &
sleep 1; echo planted
"""
CONNECT = (
    "python3 -c 'import socket; s = socket.socket({family}); s.settimeout(5); "
    "s.connect({address}); print(s.recv(99).decode())'"
)
SEARCHES = {
    "files": "grep -rls 'MARK' /workspace /tmp /home/agent/mark.txt /dev/shm 2>/dev/null | wc -l",
    "processes": "grep -als 'MARK' /proc/[0-9]*/cmdline 2>/dev/null | wc -l",
    "an abstract socket": CONNECT.format(family=1, address='chr(0) + "mark"'),
    "a loopback port": CONNECT.format(family=2, address='("127.0.0.1", 5599)'),
    "a socket file": CONNECT.format(family=1, address='"/tmp/mark.sock"'),
    "directories of other containers": (
        "find /run/hakoiri /var/lib/hakoiri-live /proc/1/root/var/lib/hakoiri-live -mindepth 1 "
        "-maxdepth 1 -type d 2>/dev/null | sort | tr '\\n' ' '"
    ),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """What the owner sees of its own, and what the neighbour does."""

    owner: dict[str, Ran]
    neighbour: dict[str, Ran]
    mark: str


@pytest.fixture(scope="module")
def pair(place: Installation) -> Pair:
    mark = f"M{secrets.token_hex(6)}"
    # a pattern that does not match itself: else each search would find its own process
    searches = {
        name: command.replace("MARK", f"[M]{mark[1:]}") for name, command in SEARCHES.items()
    }
    owner, neighbour = place.server.conversation(), place.server.conversation()
    plant = place.run_all(owner, {"plant": PLANT.replace("MARK", mark)})["plant"]
    assert plant.said.strip() == "planted", plant
    return Pair(place.run_all(owner, searches), place.run_all(neighbour, searches), mark)


@pytest.mark.parametrize("what", SEARCHES)
def test_a_neighbour_finds_nothing_of_what_the_owner_finds(
    pair: Pair, what: str, tell: Tell
) -> None:
    mine, theirs = pair.owner[what].said.strip(), pair.neighbour[what].said.strip()
    if what == "directories of other containers":
        held = theirs.split() == ["/run/hakoiri/agent", "/run/hakoiri/proxy"]
    elif what in {"files", "processes"}:
        assert int(mine) >= 1, "the owner's own search finds it"
        held = theirs == "0"
    else:
        assert mine == pair.mark, "the owner's own connection is answered"
        held = pair.mark not in theirs and pair.neighbour[what].code != 0
    tell(
        f"find a neighbour's {what}",
        command=SEARCHES[what],
        expected="the owner finds it, the neighbour does not",
        seen=f"the neighbour: {theirs.splitlines()[-1] if theirs else 'nothing'}",
        held=held,
    )
