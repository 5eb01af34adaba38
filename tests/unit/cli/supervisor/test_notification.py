import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hakoiri.cli.supervisor.notification import READY, notify


@pytest.fixture(params=["a path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A service manager's socket, and what names it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        if request.param == "abstract":
            receiver.bind(f"\0hakoiri-test-{tmp_path}")
            name = f"@hakoiri-test-{tmp_path}"
        else:
            receiver.bind(str(tmp_path / "notify"))
            name = str(tmp_path / "notify")
        receiver.settimeout(60)
        yield name, receiver


def test_the_service_manager_is_told(manager: tuple[str, socket.socket]) -> None:
    name, receiver = manager
    notify(READY, environment={"NOTIFY_SOCKET": name})
    assert receiver.recv(100) == b"READY=1"


@pytest.mark.parametrize("named", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}])
def test_without_one_nothing_happens(named: dict[str, str]) -> None:
    notify(READY, environment=named)


def test_one_that_is_away_is_no_error(tmp_path: Path) -> None:
    notify(READY, environment={"NOTIFY_SOCKET": str(tmp_path / "nobody")})
