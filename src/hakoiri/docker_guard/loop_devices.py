"""Loop devices by the kernel's own calls (loop(4)): a file that can be mounted as a disk.

No `losetup`: it is a process for each, and leaves a device behind where its caller is killed in
between. A device of ours clears itself once nobody has it open or mounted.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOOP_CONTROL: Final = Path("/dev/loop-control")
LOOP_CTL_GET_FREE: Final = 0x4C82
LOOP_CONFIGURE: Final = 0x4C0A
"""Since Linux 5.8; both from linux/loop.h."""

LO_FLAGS_AUTOCLEAR: Final = 4
"""No direct I/O: with it each mount waits for the host's disk, and work in it was no faster."""

LOOP_CONFIG: Final = struct.Struct("=II5Q4I64s64s32s2Q64s")
"""struct loop_config: the file's descriptor, the block size, struct loop_info64, reserved."""

ATTEMPTS: Final = 64
"""A free device may be taken by somebody else before it is ours."""


class NoLoopDeviceError(Exception):
    """There are no loop devices to be had; the message says why and the mend."""

    def __init__(self, error: OSError) -> None:
        """Tell what the kernel said."""
        what = f"{error.filename or LOOP_CONTROL}: {error.strerror or error}"
        super().__init__(
            f"a box's disks need loop devices ({what}); `modprobe loop`, and in a container give "
            "it /dev/loop-control and /dev/loop*"
        )


@contextmanager
def attached(file: int) -> Iterator[Path]:
    """Give the device that shows the open file's bytes; it stays as long as it is mounted.

    Raises `NoLoopDeviceError`.
    """
    try:
        device, path = _attach(file)
    except OSError as error:
        raise NoLoopDeviceError(error) from error
    try:
        yield path
    finally:
        os.close(device)


def check() -> None:
    """Raise `NoLoopDeviceError` unless loop devices can be had."""
    try:
        os.close(os.open(LOOP_CONTROL, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise NoLoopDeviceError(error) from error


def _attach(file: int) -> tuple[int, Path]:
    config = LOOP_CONFIG.pack(
        *(file, 0),
        *(0, 0, 0, 0, 0),
        *(0, 0, 0, LO_FLAGS_AUTOCLEAR),
        *(b"", b"", b"", 0, 0),
        b"",
    )
    control = os.open(LOOP_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(ATTEMPTS):
            path = Path(f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}")
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, LOOP_CONFIGURE, config)
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    raise
            else:
                return device, path
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "somebody else took every free one")
