"""The archive that a kernel starts from, written purely: no program of its machine can run here.

Source: the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst` (`newc`).
"""

from collections.abc import Sequence
from typing import Final

_MAGIC: Final = "070701"
_END: Final = "TRAILER!!!"
_DIRECTORY, _PROGRAM, _DEVICE = 0o040755, 0o100755, 0o020600
_CONSOLE: Final = (5, 1)

INIT: Final = """\
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod $module; done
/bin/busybox mount -t ext4 /dev/vda /mnt || exec /bin/busybox poweroff -f
/bin/busybox mount --move /dev /mnt/dev
exec /bin/busybox switch_root /mnt /guest-init
"""


def first_files(busybox: bytes, modules: Sequence[bytes]) -> bytes:
    """Return the archive: a shell, the modules in the order in which they are loaded, an init."""
    parts = [entry(name, _DIRECTORY) for name in ("bin", "dev", "mnt", "modules")]
    parts += [entry("dev/console", _DEVICE, device=_CONSOLE)]
    parts += [entry("bin/busybox", _PROGRAM, busybox), entry("init", _PROGRAM, INIT.encode())]
    parts += [entry(f"modules/{at:02}", _PROGRAM, one) for at, one in enumerate(modules)]
    return b"".join([*parts, entry(_END, 0)])


def entry(name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """Return one file of the archive."""
    named = name.encode("ascii") + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(named), 0)
    head = _MAGIC.encode() + b"".join(b"%08X" % field for field in fields) + named
    return _padded(head) + _padded(content)


def _padded(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % 4)
