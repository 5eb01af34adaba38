import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from typing import cast

import pytest
from tests.chaos.held import _held_by, proxys_sockets
from tests.e2e.running import Hakoiri

STATS = (
    b'{"sockets": [{"container": "chat-c-1", "workspace": null, "generation": null,'
    b' "allowed": 0, "refused": 0, "active": 0}]}'
)


class Answer(BaseHTTPRequestHandler):
    """The proxy's control plane, which still has a chat's socket."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(STATS)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        return ""


@dataclass
class Server:
    """Where a server's things would be."""

    root: Path

    @property
    def run_dir(self) -> Path:
        return self.root / "run"

    @property
    def tree(self) -> Path:
        return self.root / "live" / "tree"

    @property
    def disks(self) -> Path:
        return self.root / "live" / "tree.disks"


@pytest.fixture
def server(tmp_path: Path) -> Hakoiri:
    (tmp_path / "run" / "proxy").mkdir(parents=True)
    return cast("Hakoiri", Server(tmp_path))


def test_a_socket_that_the_proxy_still_has_is_found(
    server: Hakoiri, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(server.run_dir / "proxy")  # a short path: the kernel takes 107 bytes
    with UnixStreamServer("control.sock", Answer) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            assert proxys_sockets(server) == ["chat-c-1"]
        finally:
            proxy.shutdown()
            thread.join()


def test_a_proxy_that_does_not_answer_is_no_proxy_without_sockets(server: Hakoiri) -> None:
    (said,) = proxys_sockets(server)
    assert "does not answer" in said


def test_directories_disks_and_sockets_that_are_left_are_found(
    server: Hakoiri, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.chaos.held.guards_boxes", lambda _: ["c1"])
    monkeypatch.setattr("tests.chaos.held.proxys_sockets", lambda _: [])
    monkeypatch.setattr("tests.chaos.held.loop_devices_of", lambda _: [])
    for name in ("ca.pem", "control.sock", "c1"):
        (server.run_dir / "proxy" / name).touch()
    (server.tree / "c1").mkdir(parents=True)
    (server.disks / "c1").mkdir(parents=True)
    found = {kind: [Path(name).name for name in names] for kind, names in _held_by(server).items()}
    assert {kind: names for kind, names in found.items() if names} == {
        "directories": ["c1"],
        "disks": ["c1"],
        "the guard's boxes": ["c1"],
        "sockets' directories": ["c1"],
    }
