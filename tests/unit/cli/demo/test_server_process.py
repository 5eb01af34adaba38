import socket
from pathlib import Path

import pytest

from hakoiri.cli.demo import server_process
from hakoiri.cli.demo.server_process import free_port


def given(path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel give these ports to outgoing connections."""
    path.write_text(text)
    monkeypatch.setattr(server_process, "_GIVEN_PORTS", path)


def test_a_free_port_is_none_that_an_outgoing_connection_may_get(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(tmp_path / "range", "11000\t60999\n", monkeypatch)
    assert all(10_000 <= free_port() < 11_000 for _ in range(50))


@pytest.mark.parametrize("text", ["1024\t65535\n", "", "no number"])
def test_where_the_kernels_ports_leave_no_room_the_usual_ones_are_kept_clear_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    given(tmp_path / "range", text, monkeypatch)
    assert all(10_000 <= free_port() < 32_768 for _ in range(50))


def test_a_port_that_somebody_listens_on_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as other:
        taken: int = other.getsockname()[1]
        offered = [taken - 10_000, taken - 10_000, (taken + 1) % 1000]
        monkeypatch.setattr("secrets.randbelow", lambda _: offered.pop(0))
        assert free_port() == 10_000 + (taken + 1) % 1000
