"""System calls that no agent needs, made by their numbers with arguments that do no harm.

A call that is let through fails for its arguments (EINVAL, EFAULT, EBADF) or succeeds; either way
it was not refused. Numbers: the kernel's tables for x86_64 and the generic one for aarch64.
"""

import ctypes
import os
import platform
import signal
from collections.abc import Callable
from typing import Final

from hakoiri.workspace_agent.probe.attempt import Attempt, RefusedError

_X86: Final = platform.machine() == "x86_64"
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
_ABSENT: Final = -1

NUMBERS: Final[dict[str, tuple[int, int]]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, _ABSENT),
    "iopl": (172, _ABSENT),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}

_NAMESPACES: Final = {
    "cgroup": 0x02000000,
    "ipc": 0x08000000,
    "mount": 0x00020000,
    "network": 0x40000000,
    "pid": 0x20000000,
    "time": 0x00000080,
    "user": 0x10000000,
    "uts": 0x04000000,
}
"""The CLONE_NEW flags of clone(2) and unshare(2)."""

_ARGUMENTS: Final[dict[str, tuple[int, ...]]] = {
    "bpf": (5, 0, 0),
    "chroot": (0,),
    "fanotify_init": (0, 0),
    "io_uring_setup": (1, 0),
    "kcmp": (1, 1, 0, 0, 0),
    "keyctl": (0, -3, 0),
    "perf_event_open": (0, 0, -1, -1, 0),
    "process_vm_readv": (1, 0, 0, 0, 0, 0),
    "process_vm_writev": (1, 0, 0, 0, 0, 0),
    "ptrace": (0x4206, 1, 0, 0),
    "reboot": (0, 0, 0, 0),
    "sethostname": (0, 0),
    "syslog": (3, 0, 0),
    "userfaultfd": (0,),
}
"""Where zeros would not do: `ptrace` seizes process 1, which does not stop it; `kcmp` compares it
with itself."""

_BY_THEMSELVES: Final = frozenset({"clone", "clone3", "unshare"})


def call(name: str, *arguments: int) -> int:
    """Make a system call; return its result.

    Raises:
        OSError: it fails.
        RefusedError: this architecture has no such call.
    """
    number = NUMBERS[name][0 if _X86 else 1]
    if number == _ABSENT:
        raise RefusedError("this architecture has no such call")
    padded = [ctypes.c_long(argument) for argument in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    ctypes.set_errno(0)
    result = int(_LIBC.syscall(ctypes.c_long(number), *padded))
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def system_call_attempts() -> list[Attempt]:
    """Return an attempt for each call, and one for each way to a new namespace."""
    plain = [
        Attempt(f"system call {name}", _caller(name, *_ARGUMENTS.get(name, ())))
        for name in NUMBERS
        if name not in _BY_THEMSELVES
    ]
    unshares = [
        Attempt(f"namespace by unshare: {name}", _caller("unshare", flag))
        for name, flag in _NAMESPACES.items()
    ]
    clones = [
        Attempt(f"namespace by clone: {name}", _cloner(flag))
        for name, flag in _NAMESPACES.items()
        if name != "time"  # shares its bit with the exit signal
    ]
    return [*plain, *unshares, *clones, Attempt("namespace by clone3", _caller("clone3", 0, 0))]


def _caller(name: str, *arguments: int) -> Callable[[], str]:
    def act() -> str:
        return f"{name} gives {call(name, *arguments)}"

    return act


def _cloner(flag: int) -> Callable[[], str]:
    def act() -> str:
        child = call("clone", flag | signal.SIGCHLD)
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        return "a process in a new namespace"

    return act
