import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from tests.chaos.host_state import held_by, processes_of, sockets_below


def test_a_socket_that_somebody_listens_on_is_found_even_when_its_file_is_gone(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "left.sock"))
        (tmp_path / "left.sock").unlink()
        assert sockets_below(tmp_path) == [str(tmp_path / "left.sock")]
    assert sockets_below(tmp_path) == []


def test_a_process_that_was_started_with_our_directories_is_found(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    assert processes_of(tmp_path, run_dir) == []
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        env={**os.environ, "SOME_DIR": f"{tmp_path}/data"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (found,) = processes_of(tmp_path, run_dir)
        assert found.startswith(f"{process.pid} ")
        process.communicate(b"\n")
    assert processes_of(tmp_path, run_dir) == []


def test_descriptors_and_threads_of_a_process_are_counted() -> None:
    before = held_by(os.getpid())
    one, other = socket.socketpair()
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    with one, other:
        after = held_by(os.getpid())
    over.set()
    thread.join()
    assert after["socket"] == before.get("socket", 0) + 2
    assert after["threads"] == before["threads"] + 1
