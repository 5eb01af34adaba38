"""Runs in a container: makes each forbidden call and prints how it was answered, as JSON.

Each call has arguments that do no harm should it get through: most are wrong on purpose, so that
the kernel would answer with another error than a filter does.
"""

# Kept to the standard library of the image's Python: only this text goes into the container.

import ctypes
import json
import mmap
import os
import platform
import signal
import socket
import stat
from collections.abc import Callable
from functools import partial
from typing import Any

X86 = platform.machine() == "x86_64"
LIBC = ctypes.CDLL(None, use_errno=True)
NOWHERE = b"/nowhere"
DEVICE = f"/tmp/device-{os.getpid()}".encode()  # noqa: S108 - the container's own
A_DEVICE = (stat.S_IFCHR | 0o600, os.makedev(1, 3))
NEW_NAMESPACES = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "network": 0x40000000,
}
SIGCHLD = int(signal.SIGCHLD)

# name: (number on x86_64, number on aarch64, arguments)
CALLS: dict[str, tuple[int, int, tuple[Any, ...]]] = {
    "bpf": (321, 280, (99, None, 0)),
    "kexec_load": (246, 104, (0, 0, None, 0xFFFF)),
    "kexec_file_load": (320, 294, (-1, -1, 0, None, 0xFFFF)),
    "init_module": (175, 105, (None, 0, None)),
    "finit_module": (313, 273, (-1, NOWHERE, 0)),
    "delete_module": (176, 106, (NOWHERE, os.O_NONBLOCK)),
    "open_by_handle_at": (304, 265, (-1, None, 0)),
    "mount": (165, 40, (NOWHERE, NOWHERE, b"tmpfs", 0, None)),
    "umount2": (166, 39, (NOWHERE, 0)),
    "pivot_root": (155, 41, (NOWHERE, NOWHERE)),
    "fsopen": (430, 430, (NOWHERE, 0)),
    "fsconfig": (431, 431, (-1, 0, None, None, 0)),
    "fsmount": (432, 432, (-1, 0, 0)),
    "fspick": (433, 433, (-1, NOWHERE, 0)),
    "move_mount": (429, 429, (-1, NOWHERE, -1, NOWHERE, 0)),
    "open_tree": (428, 428, (-1, NOWHERE, 0)),
    "mount_setattr": (442, 442, (-1, NOWHERE, 0, None, 0)),
    "reboot": (169, 142, (1, 2, 3, None)),
    "swapon": (167, 224, (NOWHERE, 0)),
    "swapoff": (168, 225, (NOWHERE,)),
    "io_uring_setup": (425, 425, (1, None)),
    "io_uring_enter": (426, 426, (-1, 0, 0, 0, None, 0)),
    "io_uring_register": (427, 427, (-1, 0, None, 0)),
    "clone3": (435, 435, (None, 0)),
    "userfaultfd": (323, 282, (1,)),
    "perf_event_open": (298, 241, (None, 0, -1, -1, 0)),
    "ptrace": (101, 117, (0, 0, 0, 0)),
    "process_vm_readv": (310, 270, (1 << 22, None, 0, None, 0, 0)),
    "process_vm_writev": (311, 271, (1 << 22, None, 0, None, 0, 0)),
    "pidfd_getfd": (438, 438, (-1, 0, 0)),
    "kcmp": (312, 272, (1 << 22, 1 << 22, 99, 0, 0)),
    "keyctl": (250, 219, (0, -3, 0)),
    "add_key": (248, 217, (None, None, None, 0, 0)),
    "request_key": (249, 218, (None, None, None, 0)),
    "unshare": (272, 97, (0,)),
    "setns": (308, 268, (-1, 0)),
    "name_to_handle_at": (303, 264, (-1, NOWHERE, None, None, 0)),
    "fanotify_init": (300, 262, (0xFFFFFFFF, 0)),
    "syslog": (103, 116, (99, None, 0)),
    "chroot": (161, 51, (NOWHERE,)),
    "acct": (163, 89, (NOWHERE,)),
    "quotactl": (179, 60, (0xFFFFFF, None, 0, None)),
    "settimeofday": (164, 170, (1, None)),
    "clock_settime": (227, 112, (99, None)),
    "adjtimex": (159, 171, (None,)),
    "sethostname": (170, 161, (None, -1)),
    "setdomainname": (171, 162, (None, -1)),
    "seccomp": (317, 277, (99, 0, None)),
    "vmsplice": (278, 75, (-1, None, 0, 0)),
    "personality": (135, 92, (0x0040000,)),
    "mknodat character device": (259, 33, (-100, DEVICE, *A_DEVICE)),
    **{
        f"clone with a new {name} namespace": (56, 220, (flag | SIGCHLD, None, None, None, None))
        for name, flag in NEW_NAMESPACES.items()
    },
}
if X86:
    CALLS |= {
        "iopl": (172, -1, (9,)),
        "ioperm": (173, -1, (1 << 20, 1, 1)),
        "modify_ldt": (154, -1, (99, None, 0)),
        "mknod character device": (133, -1, (DEVICE + b"-2", *A_DEVICE)),
        "x32 getpid": (39 | 1 << 30, -1, ()),
    }

# family, type, protocol
SOCKETS: dict[str, tuple[Any, ...]] = {
    "socket AF_NETLINK": (16, socket.SOCK_RAW, 0),
    "socket AF_NETLINK, upper half of the register set": (16 | 1 << 32, socket.SOCK_RAW, 0),
    "socket AF_PACKET": (17, socket.SOCK_RAW, 0),
    "socket AF_ALG": (38, socket.SOCK_SEQPACKET, 0),
    "socket AF_VSOCK": (40, socket.SOCK_STREAM, 0),
    "socket AF_XDP": (44, socket.SOCK_RAW, 0),
    "socket AF_BLUETOOTH": (31, socket.SOCK_RAW, 1),
    "socket AF_CAN": (29, socket.SOCK_RAW, 1),
    "socket AF_TIPC": (30, socket.SOCK_STREAM, 0),
    "socket AF_KEY": (15, socket.SOCK_RAW, 2),
    "socket AF_INET raw": (2, socket.SOCK_RAW, 1),
    "socket AF_INET6 raw": (10, socket.SOCK_RAW, 58),
    "socket AF_INET ping": (2, socket.SOCK_DGRAM, 1),
    "socket AF_INET SCTP": (2, socket.SOCK_STREAM, 132),
    "socket AF_INET MPTCP": (2, socket.SOCK_STREAM, 262),
    "socket AF_INET DCCP": (2, 6, 33),
    "socket AF_INET UDP-Lite": (2, socket.SOCK_DGRAM, 136),
    "socket AF_UNIX seqpacket": (1, socket.SOCK_SEQPACKET, 0),
}
MADE: dict[str, tuple[Any, ...]] = {
    "socket AF_UNIX": (1, socket.SOCK_STREAM | socket.SOCK_CLOEXEC, 0),
    "socket AF_INET": (2, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, 6),
    "socket AF_INET datagram": (2, socket.SOCK_DGRAM, 17),
}
INT80_GETPID = bytes.fromhex("b814000000cd80c3")


Answer = int | str


def call(number: int, arguments: tuple[Any, ...]) -> Answer:
    wide = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    ctypes.set_errno(0)
    answer = LIBC.syscall(ctypes.c_long(number), *wide)
    return "through" if answer >= 0 else ctypes.get_errno()


def call_32_bit() -> Answer:
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(INT80_GETPID)
    code = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return "through" if ctypes.CFUNCTYPE(ctypes.c_int)(code)() > 0 else "no process"


def answer_of(act: Callable[[], Answer]) -> Answer:
    """How a child fares: an errno's number, "through", or the name of the signal that ended it."""
    reader, writer = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        said = act()
        if os.getppid() == parent and os.getpid() != parent:
            os.write(writer, json.dumps(said).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    _, status = os.waitpid(child, 0)
    return json.loads(said) if said else signal.Signals(os.WTERMSIG(status) or 1).name


def main() -> None:
    socket_number = 41 if X86 else 198
    acts: dict[str, Callable[[], Answer]] = {
        name: partial(call, x86 if X86 else arm, arguments)
        for name, (x86, arm, arguments) in CALLS.items()
    }
    for name, arguments in (SOCKETS | MADE).items():
        acts[name] = partial(call, socket_number, arguments)
    if X86:
        acts["32-bit getpid"] = call_32_bit
    print(json.dumps({name: answer_of(act) for name, act in acts.items()}))  # noqa: T201


if __name__ == "__main__":
    main()
