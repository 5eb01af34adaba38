"""Files of the box, the kernel and the host that must not be written, read, or even be there."""

import errno
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from hakoiri.wire.box import AGENT_SOCKET_NAME, CA_BUNDLE_NAME, PROXY_MOUNT, PROXY_SOCKET_NAME
from hakoiri.workspace_agent.probe.attempt import Attempt, RefusedError

RUN_DIRECTORY: Final = Path(PROXY_MOUNT).parent
PROXY: Final = Path(PROXY_MOUNT)
_NONE: Final[frozenset[int]] = frozenset()
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
"""Of Linux's `if_tun.h`."""

_DIRECTORIES: Final = (
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/media", "/mnt", "/opt",
    "/opt/hakoiri/lib/python3.11/site-packages", "/opt/hakoiri-node", "/proc", "/proc/sys/kernel",
    "/root", "/run", "/run/hakoiri", "/srv", "/sys", "/sys/fs/cgroup", "/usr", "/usr/bin",
    "/usr/local", "/var", "/var/lib", "/var/log", "/var/tmp",  # noqa: S108 - the box's own
)  # fmt: skip
_WRITTEN: Final = (
    "/etc/ld.so.preload", "/etc/passwd", "/etc/resolv.conf", "/etc/hosts", "/etc/shadow",
    "/opt/hakoiri/bin/python", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hostname", "/proc/sys/kernel/randomize_va_space", "/proc/sys/vm/drop_caches",
    "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/sys/fs/cgroup/release_agent",
    "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/devices/devices.allow",
    "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/uevent_helper",
    "/sys/power/state", "/usr/bin/git", "/usr/bin/python3",
)  # fmt: skip
_READ: Final = (
    "/dev/mem", "/dev/kmem", "/dev/kmsg", "/dev/port", "/dev/sda", "/dev/vda", "/dev/nvme0n1",
    "/dev/kvm", "/dev/fuse", "/dev/loop-control", "/dev/mapper/control",
    "/etc/shadow", "/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list",
    "/proc/sched_debug", "/proc/latency_stats", "/proc/acpi/alarm", "/proc/scsi/scsi",
    "/root/.bashrc", "/sys/firmware/acpi/tables/DSDT", "/sys/kernel/debug/gpio",
    "/sys/kernel/security/apparmor/profiles",
)  # fmt: skip
_ENGINES: Final = (
    "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
    "/run/podman/podman.sock", "/run/crio/crio.sock", "/run/hakoiri/control.sock",
    "/run/hakoiri/guard.sock", "/run/dbus/system_bus_socket", "/run/systemd/private",
)  # fmt: skip


def file_attempts() -> list[Attempt]:
    """Return an attempt for each file and directory."""
    return [
        *(Attempt(f"new file in {path}", _maker(Path(path))) for path in _DIRECTORIES),
        *(Attempt(f"write {path}", _writer(path)) for path in _WRITTEN),
        *(Attempt(f"read {path}", _reader(path)) for path in _READ),
        *(Attempt(f"socket {path}", _seeker(path)) for path in _ENGINES),
        Attempt("tunnel device", _tunnel_device),
        Attempt("device node: block", _node_maker(stat.S_IFBLK)),
        Attempt("device node: character", _node_maker(stat.S_IFCHR)),
        Attempt("program that gains rights", _privileged_programs, refusals=_NONE),
        Attempt("sockets of others", _other_sockets, refusals=_NONE),
        Attempt("proxy socket: remove", _proxy_remover),
        Attempt("proxy socket: replace", _proxy_replacer),
        Attempt("proxy socket: one of its own beside it", _proxy_neighbour),
        # only its own answer counts: one that could not be asked has refused nothing
        Attempt("proxy socket: speak without a policy", _unbound_proxy, refusals=_NONE),
    ]


def _new_name() -> str:
    """Return a name that no attempt of another process makes meanwhile."""
    return f".hakoiri-probe-{os.getpid()}"


def _maker(directory: Path) -> Callable[[], str]:
    def act() -> str:
        path = directory / _new_name()
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        path.unlink()
        return "made and removed a file"

    return act


def _writer(path: str) -> Callable[[], str]:
    def act() -> str:
        os.close(os.open(path, os.O_WRONLY))
        return "opened for writing"

    return act


def _reader(path: str) -> Callable[[], str]:
    def act() -> str:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            content = os.read(descriptor, 64)
        except BlockingIOError:
            return "opened; nothing to read now"
        finally:
            os.close(descriptor)
        if not content:
            raise RefusedError("masked: it is empty")
        return f"read {len(content)} bytes"

    return act


def _seeker(path: str) -> Callable[[], str]:
    def act() -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as attempt:
            attempt.connect(path)
            return "connected"

    return act


def _tunnel_device() -> str:
    """Ask for a network interface: gVisor has the device, and nobody there may use it."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", b"probe0", _IFF_TUN))
    finally:
        os.close(descriptor)
    return "made a network interface"


def _node_maker(kind: int) -> Callable[[], str]:
    def act() -> str:
        path = Path("/tmp") / _new_name()  # noqa: S108 - the box's own
        os.mknod(path, kind | 0o600, os.makedev(1, 3))
        path.unlink()
        return "made a device node"

    return act


def _privileged_programs() -> str:
    for path in _programs():
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_ISUID | stat.S_ISGID):
            return f"{path} is set-id"
        if stat.S_ISREG(status.st_mode) and "security.capability" in os.listxattr(path):
            return f"{path} has capabilities"
    raise RefusedError("there is none")


def _programs() -> Iterator[Path]:
    for directory in (
        "/usr/bin",
        "/usr/sbin",
        "/usr/local/bin",
        "/usr/lib/openssh",
        "/opt/hakoiri/bin",
    ):
        if Path(directory).is_dir():
            yield from Path(directory).iterdir()


def _other_sockets() -> str:
    expected = {
        RUN_DIRECTORY / "agent",
        RUN_DIRECTORY / "agent" / AGENT_SOCKET_NAME,
        PROXY,
        PROXY / PROXY_SOCKET_NAME,
        PROXY / CA_BUNDLE_NAME,
    }
    seen = {*RUN_DIRECTORY.rglob("*")}
    if PROXY not in seen:  # what cannot be listed is passed over in silence
        return f"{RUN_DIRECTORY} cannot be listed"
    if others := sorted(seen - expected):
        return ", ".join(map(str, others))
    raise RefusedError("only its own two")


def _proxy_remover() -> str:
    (PROXY / PROXY_SOCKET_NAME).unlink()
    return "removed"


def _proxy_replacer() -> str:
    fake = Path("/tmp") / _new_name()  # noqa: S108 - the box's own
    fake.touch()
    try:
        fake.replace(PROXY / PROXY_SOCKET_NAME)
    except OSError as error:
        fake.unlink()
        # told before the target's rights are looked at: another file system
        if error.errno == errno.EXDEV:
            return _maker(PROXY)()
        raise
    return "replaced"


def _proxy_neighbour() -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as attempt:
        attempt.bind(str(PROXY / _new_name()))
        return "listens beside it"


def _unbound_proxy() -> str:
    """Ask for a host through the socket of a box that is bound to nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(2)
        asking.connect(str(PROXY / PROXY_SOCKET_NAME))
        asking.sendall(b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n")
        answer = asking.recv(1024)
    status = answer.split(b" ", 2)[1:2]
    if status == [b"403"]:
        raise RefusedError("403")
    return f"{answer[:64]!r}"
