import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest
from tests.disks import devices_are_let_go, loop_devices_of

from hakoiri.docker_guard import loop_devices
from hakoiri.docker_guard.loop_devices import NoLoopDeviceError, attached

pytestmark = pytest.mark.root


def test_a_device_shows_the_file_and_lets_go_of_it_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "image"
    with path.open("w+b") as file:
        file.write(b"x" * 4096 + b"\0" * 61_440)
        file.flush()
        with attached(file.fileno()) as device:
            assert stat.S_ISBLK(device.stat().st_mode)
            assert device.read_bytes()[:5] == b"xxxxx"
            assert loop_devices_of(tmp_path) == [path]
    assert devices_are_let_go(tmp_path)


def test_an_error_in_between_leaves_no_device(tmp_path: Path) -> None:
    with (tmp_path / "image").open("w+b") as file:
        file.truncate(65_536)
        with pytest.raises(RuntimeError), attached(file.fileno()):
            raise RuntimeError
    assert devices_are_let_go(tmp_path)


def test_a_device_that_another_took_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ioctl = fcntl.ioctl
    refused: list[int] = []

    def taken_once(descriptor: int, request: int, *arguments: bytes) -> int | bytes:
        if request == loop_devices.LOOP_CONFIGURE and not refused:
            refused.append(request)
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return ioctl(descriptor, request, arguments[0] if arguments else 0)

    monkeypatch.setattr(fcntl, "ioctl", taken_once)
    with (tmp_path / "image").open("w+b") as file:
        file.truncate(65_536)
        with attached(file.fileno()):
            assert len(loop_devices_of(tmp_path)) == 1
    assert refused


def test_without_loop_devices_the_mend_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_devices.check()
    monkeypatch.setattr(loop_devices, "LOOP_CONTROL", tmp_path / "none")
    with pytest.raises(NoLoopDeviceError, match="modprobe loop"):
        loop_devices.check()
    with (
        (tmp_path / "image").open("w+b") as file,
        pytest.raises(NoLoopDeviceError, match="none: No such file"),
        attached(file.fileno()),
    ):
        pass
