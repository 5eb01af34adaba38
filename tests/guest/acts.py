"""Runs in a container: tries each act in a child of its own, prints how it went, one JSON a line.

Only this text goes into the container, on the standard input of the image's Python. An act that
works leaves nothing behind that another would stumble over. Each has its reason to be refused, and
would work for root in a container without that reason.
"""

import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
ACT_LIMIT_S = 20
MS_REMOUNT, MS_BIND = 32, 4096
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
CLONE_NEWNS = 0x20000
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

Act = Callable[[], object]
ACTS: dict[str, Act] = {}


def call(function: str, *arguments: object) -> int:
    """Call libc; raise `OSError` if it fails."""
    if (result := int(getattr(LIBC, function)(*arguments))) < 0:
        raise OSError(ctypes.get_errno(), function)
    return result


def writes(path: str) -> Act:
    def act() -> None:
        with Path(path).open("wb"):
            pass
        Path(path).unlink()

    return act


def opens(path: str, flags: int) -> Act:
    return lambda: os.close(os.open(path, flags))


def puts(path: str, text: bytes) -> Act:
    def act() -> None:
        descriptor = os.open(path, os.O_WRONLY)
        os.write(descriptor, text)

    return act


def runs(path: str) -> Act:
    return lambda: os.execv(path, [path])


def opens_socket(family: int, kind: int, protocol: int = 0) -> Act:
    return lambda: socket.socket(family, kind, protocol).close()


def makes_a_group() -> None:
    Path("/sys/fs/cgroup/new").mkdir()
    Path("/sys/fs/cgroup/new").rmdir()


def mounts_memory() -> None:
    call("mount", b"none", b"/workspace/mounted", b"tmpfs", 0, None)
    call("umount2", b"/workspace/mounted", 0)


def binds() -> None:
    call("mount", b"/etc", b"/workspace/mounted", None, MS_BIND, None)
    call("umount2", b"/workspace/mounted", 0)


def remounts() -> None:
    call("mount", None, b"/workspace/prepared", None, MS_REMOUNT, None)


def unmounts() -> None:
    call("umount2", b"/workspace/covered", 0)


def pivots() -> None:
    call("unshare", CLONE_NEWNS)
    os.chdir("/workspace/prepared")
    call("syscall", PIVOT_ROOT[os.uname().machine], b".", b"old")


def traces(victim: int) -> None:
    call("ptrace", PTRACE_ATTACH, victim, None, None)
    os.waitpid(victim, 0)
    call("ptrace", PTRACE_DETACH, victim, None, None)


def traces_own() -> None:
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        traces(child)
    finally:
        os.kill(child, signal.SIGKILL)


def signals_host() -> None:
    os.kill(outsider(), signal.SIGCONT)


def reads_host_environment() -> None:
    Path(f"/proc/{outsider()}/environ").read_bytes()


def outsider() -> int:
    """Return a process that is not this container's: it was told."""
    return int(os.environ["OUTSIDER"])


def replaces_proxy_socket() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("/run/hakoiri/proxy/other.sock")
    Path("/run/hakoiri/proxy/other.sock").unlink()


def runs_from_memory() -> None:
    descriptor = os.memfd_create("program")
    os.write(descriptor, Path("/bin/true").read_bytes())
    os.execve(descriptor, ["true"], {})


READ, WRITE = os.O_RDONLY | os.O_NONBLOCK, os.O_WRONLY
ACTS |= {
    f"write {path}": writes(path)
    for path in (
        *("/etc/new", "/usr/bin/new", "/opt/hakoiri/new", "/var/tmp/new", "/root/new", "/new"),
        *("/boot/new", "/srv/new", "/run/new", "/home/new", "/dev/new", "/run/hakoiri/proxy/new"),
    )
}
ACTS |= {f"read {path}": opens(path, READ) for path in ("/etc/shadow", "/etc/gshadow")}
ACTS |= {
    f"read {path}": opens(path, READ)
    for path in (
        *("/proc/kcore", "/proc/kmsg", "/proc/kallsyms", "/proc/keys", "/proc/modules"),
        *("/proc/timer_list", "/proc/vmallocinfo", "/proc/interrupts", "/proc/kpagecount"),
        *("/proc/slabinfo", "/proc/key-users", "/proc/cmdline", "/proc/sys/kernel/core_pattern"),
        *("/sys/kernel/security/lsm", "/sys/module/apparmor/parameters/mode"),
        *("/sys/kernel/uevent_seqnum", "/dev/kmsg", "/dev/mem", "/dev/vda"),
    )
}
ACTS |= {
    "write a setting of the kernel": puts("/proc/sys/kernel/domainname", b"example.test"),
    "ask the kernel by sysrq": puts("/proc/sysrq-trigger", b"h"),
    "choose who answers interrupts": opens("/proc/irq/default_smp_affinity", WRITE),
    "write /sys": puts("/sys/kernel/mm/transparent_hugepage/enabled", b"madvise"),
    "make a control group": makes_a_group,
    "write memory through /proc": opens("/proc/self/mem", WRITE),
    "read memory through /proc": opens("/proc/self/mem", READ),
    "set how soon it is killed": puts("/proc/self/oom_score_adj", b"600"),
    "forget what it read": puts("/proc/self/clear_refs", b"1"),
    "change the profile": puts("/proc/self/attr/current", b"changeprofile docker-default"),
    "run a program beside the agent's socket": runs("/run/hakoiri/agent/true"),
    "run a program from memory": runs_from_memory,
    "put a socket beside the proxy's": replaces_proxy_socket,
    "mount memory": mounts_memory,
    "mount a directory elsewhere": binds,
    "mount anew": remounts,
    "unmount": unmounts,
    "pivot the root": pivots,
    "trace a process of its own": traces_own,
    "trace a process of the host": lambda: traces(outsider()),
    "send a signal to the host": signals_host,
    "read what a process of the host was started with": reads_host_environment,
    "open a raw socket": opens_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "open a packet socket": opens_socket(socket.AF_PACKET, socket.SOCK_DGRAM),
    "open a netlink socket": opens_socket(socket.AF_NETLINK, socket.SOCK_DGRAM),
    "open a socket of the kernel's ciphers": opens_socket(socket.AF_ALG, socket.SOCK_SEQPACKET),
    "open a socket to the host machine": opens_socket(socket.AF_VSOCK, socket.SOCK_STREAM),
}
NEEDS_CAPABILITY: dict[str, Act] = {
    "become another user": lambda: os.setresuid(4711, 4711, 4711),
    "override the mode of a file": lambda: Path("/workspace/of-nobody").read_bytes(),
    "give a file away": lambda: os.chown("/workspace/of-root/own", 4711, 4711),
    "set the host's name": lambda: socket.sethostname("other"),
    "make a device": lambda: os.mknod("/workspace/of-root/device", 0o020600, os.makedev(1, 3)),
    "change the root": lambda: os.chroot("/workspace"),
}


def attempt(name: str, act: Act) -> None:
    """Do it in a child, and print how it went."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(ACT_LIMIT_S)
        try:
            act()
            said = {"error": 0, "text": ""}
        except OSError as error:
            said = {"error": error.errno or -1, "text": str(error)}
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must be told
            said = {"error": -1, "text": repr(error)}
        os.write(writer, json.dumps(said).encode())
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    answer = os.read(reader, 4096)
    os.close(reader)
    if answer:
        said = json.loads(answer)
    elif status == 0:
        said = {"error": 0, "text": "it became another program, which ended well"}
    else:
        said = {"error": -1, "text": f"killed, or ended without an answer: {status}"}
    print(json.dumps({"act": name, "pid": child, **said}), flush=True)


def main() -> None:
    """Try what was asked for: all that no capability decides, or what only that decides."""
    for name, act in (ACTS if sys.argv[1:] == ["rules"] else NEEDS_CAPABILITY).items():
        attempt(name, act)


main()
