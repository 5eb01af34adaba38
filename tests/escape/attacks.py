"""Attacks that a command in a container makes, and what each must see."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.escape.installation import ALLOWED, ANSWER, METADATA, Ran

Holds = Callable[[Ran], bool]

ASK: Final = (
    'python3 -c \'import socket,sys; s=socket.create_connection(("127.0.0.1",3128),5); '
    's.settimeout(5); s.sendall(sys.argv[1].encode().decode("unicode_escape").encode("latin-1")); '
    's.shutdown(1); print(b"".join(iter(lambda: s.recv(65536), b"")).decode("latin-1"))\' '
)
"""Sends bytes to the way out, as they are, and prints all that comes back."""

KILLED: Final = (-31, 159)
"""SIGSYS, as Python and as bash tell it."""

CURL: Final = "curl -s -o /dev/null --max-time 8 -w '%{http_code}' "


@dataclass(frozen=True, slots=True)
class Attack:
    """A command, and what it must say. `is_control`: it must work, or the others show nothing."""

    area: str
    name: str
    command: str
    expected: str
    holds: Holds
    is_control: bool = False


def says(*words: str) -> Holds:
    """It says exactly one of these."""
    return lambda ran: ran.said.strip() in words


def fails(*reasons: str) -> Holds:
    """It fails, for one of these reasons."""
    return lambda ran: (
        ran.code not in (0, -1) and any(reason.lower() in ran.said.lower() for reason in reasons)
    )


def refused(ran: Ran) -> bool:
    """It fails with a word that says no, or the filter kills it."""
    return ran.code in KILLED or fails(*REFUSED)(ran)


def _status(*codes: str) -> Holds:
    return lambda ran: ran.said.startswith(tuple(f"HTTP/1.1 {code} " for code in codes))


def _statuses(*codes: str) -> Holds:
    def judge(ran: Ran) -> bool:
        answers = re.findall(r"HTTP/1\.1 (\d{3}) ", ran.said)
        return answers == list(codes) and ran.said.count(ANSWER) == codes.count("200")

    return judge


def _connect(address: str, port: int) -> str:
    code = f'import socket; socket.create_connection(("{address}", {port}), 5)'
    return f"python3 -c '{code}'"


NO_WAY: Final = ("unreachable", "no route to host", "cannot assign", "not supported")
REFUSED: Final = (
    *("not permitted", "permission denied", "read-only", "not found", "no such file"),
    *("function not implemented", "not supported", "bad system call", "must be superuser"),
)

NETWORK: Final = [
    Attack("network-egress", "control: the site answers by its allowed name",
           f"curl -s --max-time 8 http://{ALLOWED}:{{port}}/", ANSWER, says(ANSWER),
           is_control=True),
    Attack("network-egress", "connect to a public address",
           _connect("192.0.2.1", 443), "unreachable", fails(*NO_WAY)),
    Attack("network-egress", "connect to a public IPv6 address",
           _connect("2001:db8::1", 443), "unreachable", fails(*NO_WAY)),
    Attack("network-egress", "connect to the engine's bridge",
           _connect("172.17.0.1", 2375), "unreachable", fails(*NO_WAY)),
    Attack("network-egress", "ask a name server by UDP",
           'python3 -c \'import socket; socket.socket(2, 2).sendto(b"x", ("192.0.2.53", 53))\'',
           "unreachable", fails(*NO_WAY)),
    Attack("network-egress", "look a name up", "getent hosts example.com || echo none", "none",
           says("none")),
    Attack("network-egress", "interfaces",
           "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '", "lo", says("lo")),
    Attack("network-egress", "curl past the proxy",
           "curl -s --noproxy '*' --max-time 5 http://192.0.2.1/ || echo unreachable",
           "unreachable", says("unreachable")),
    Attack("network-egress", "the server's API on the host's loopback, directly",
           _connect("127.0.0.1", 1).replace(", 1)", ", {api})"), "refused", fails("refused")),
    Attack("network-egress", "the server's API through the proxy",
           CURL + "http://127.0.0.1:{api}/health -x http://127.0.0.1:3128 --noproxy ''", "403",
           says("403")),
]  # fmt: skip

_METADATA_NAMES: Final = (
    "169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518",
    "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[fd00:ec2::254]", "169.254.170.2",
)  # fmt: skip

METADATA_ADDRESS: Final = [
    Attack("metadata-address", "directly",
           "curl -s --noproxy '*' --max-time 5 http://169.254.169.254/ || echo unreachable",
           "unreachable", says("unreachable")),
    *(Attack("metadata-address", f"through the proxy, as {name}",
             f"{ASK}'GET http://{name}/latest/meta-data/ HTTP/1.1\\r\\nHost: {name}\\r\\n\\r\\n'",
             "400 or 403", _status("400", "403"))
      for name in _METADATA_NAMES),
    Attack("metadata-address", "through the proxy, under an allowed name that leads there",
           CURL + f"http://{METADATA}/latest/meta-data/", "403", says("403")),
    Attack("metadata-address", "in a tunnel",
           ASK + "'CONNECT 169.254.169.254:443 HTTP/1.1\\r\\n"
           "Host: 169.254.169.254:443\\r\\n\\r\\n'",
           "403", _status("403")),
]  # fmt: skip

DOCKER_SOCKET: Final = [
    *(Attack("docker-socket", f"speak to {path}",
             f"curl -s --max-time 5 --unix-socket {path} http://engine/version || echo none",
             "none", says("none"))
      for path in ("/var/run/docker.sock", "/run/containerd/containerd.sock",
                   "/proc/1/root/var/run/docker.sock", "/run/hakoiri/guard/docker.sock")),
    Attack("docker-socket", "every socket in sight",
           "find / -type s -not -path '/proc/*' -not -path '/tmp/*' -not -path '/home/*' "
           "2>/dev/null | sort | tr '\\n' ' '",
           "its own two",
           says("/run/hakoiri/agent/agent.sock /run/hakoiri/proxy/proxy.sock")),
]  # fmt: skip

PROXY_BYPASS: Final = [
    Attack("proxy-bypass", "remove the proxy's socket",
           "rm -f /run/hakoiri/proxy/proxy.sock 2>/dev/null; "
           "test -S /run/hakoiri/proxy/proxy.sock && echo stays", "stays", says("stays")),
    Attack("proxy-bypass", "cover the proxy's socket by a mount",
           "mount --bind /tmp /run/hakoiri/proxy", "refused", refused),
    Attack("proxy-bypass", "put a socket of its own in the proxy's place",
           "cd /run/hakoiri/proxy && python3 -c "
           "'import socket; socket.socket(1).bind(\"other.sock\")'",
           "read-only", fails("read-only")),
    Attack("proxy-bypass", "move the proxy's directory away",
           "mv /run/hakoiri/proxy /run/hakoiri/gone", "refused", fails("read-only", "busy")),
    Attack("proxy-bypass", "find the proxy's control socket",
           "find /run/hakoiri -name '*control*' -o -name '*guard*' | wc -l", "0", says("0")),
    Attack("proxy-bypass", "two lengths for one body",
           ASK + f"'GET http://{ALLOWED}:{{port}}/ HTTP/1.1\\r\\nHost: {ALLOWED}:{{port}}\\r\\n"
           "Content-Length: 5\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n'",
           "400", _status("400")),
    Attack("proxy-bypass", "a URI and a Host that disagree",
           ASK + f"'GET http://{ALLOWED}:{{port}}/ HTTP/1.1\\r\\nHost: denied.example.test\\r\\n"
           "\\r\\n'", "400", _status("400")),
    Attack("proxy-bypass", "a second request on the connection, to another host",
           ASK + f"'GET http://{ALLOWED}:{{port}}/ HTTP/1.1\\r\\n"
           f"Host: {ALLOWED}:{{port}}\\r\\n\\r\\n"
           "GET http://denied.example.test:{port}/ HTTP/1.1\\r\\n"
           "Host: denied.example.test:{port}\\r\\n\\r\\n'", "200, 403", _statuses("200", "403")),
    Attack("proxy-bypass", "a request glued to a refused tunnel",
           ASK + "'CONNECT denied.example.test:443 HTTP/1.1\\r\\nHost: denied.example.test:443"
           "\\r\\n\\r\\nGET http://denied.example.test:{port}/ HTTP/1.1\\r\\n"
           "Host: denied.example.test:{port}\\r\\n\\r\\n'",
           "403 and no answer of the site",
           lambda ran: _status("403")(ran) and ANSWER not in ran.said),
    Attack("proxy-bypass", "HTTP/0.9", ASK + f"'GET http://{ALLOWED}:{{port}}/\\r\\n\\r\\n'",
           "400", _status("400")),
    Attack("proxy-bypass", "HTTP/2 without being asked",
           ASK + "'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n'", "400 or 505",
           _status("400", "505")),
]  # fmt: skip


def _by_url(name: str, url: str, expected: str = "403") -> Attack:
    command = f"{CURL}--path-as-is '{url}'"
    return Attack("whitelist-bypass", name, command, expected, says(*expected.split(" or ")))


def _by_line(name: str, authority: str, *codes: str) -> Attack:
    line = f"GET http://{authority}/ HTTP/1.1\\r\\nHost: {authority}\\r\\n\\r\\n"
    return Attack("whitelist-bypass", name, f"{ASK}'{line}'", " or ".join(codes), _status(*codes))


WHITELIST: Final = [
    Attack("whitelist-bypass", "control: the allowed name, in other letters",
           "curl -s --max-time 8 http://ALLOWED.example.TEST:{port}/", ANSWER, says(ANSWER),
           is_control=True),
    _by_url("a name that no rule has", "http://denied.example.test:{port}/"),
    _by_url("a name that ends in the allowed one", "http://evilallowed.example.test:{port}/"),
    _by_url("a name that begins with the allowed one",
            "http://allowed.example.test.denied.example.test:{port}/"),
    _by_url("a name below the allowed one", "http://sub.allowed.example.test:{port}/"),
    _by_url("the name above the allowed one", "http://example.test:{port}/"),
    _by_url("a dot at the end", "http://denied.example.test.:{port}/"),
    _by_url("the site's address", "http://127.0.0.1:{port}/ -x http://127.0.0.1:3128 --noproxy ''"
            .replace(" -x", "' -x").replace("''", "'")),
    _by_url("another port of the allowed host", "http://allowed.example.test:22/"),
    _by_line("the allowed name as a user", "allowed.example.test@denied.example.test:{port}",
             "400"),
    _by_line("an escaped letter", "%64enied.example.test:{port}", "400", "403"),
    _by_line("a NUL", "allowed.example.test\\x00.denied.example.test:{port}", "400"),
    _by_line("a full-width letter", "\\xef\\xbd\\x84enied.example.test:{port}", "400", "403"),
    _by_line("the site's address in one number", "2130706433:{port}", "400", "403"),
    _by_line("the site's address within IPv6", "[::ffff:127.0.0.1]:{port}", "400", "403"),
    _by_line("a name in brackets", "[denied.example.test]:{port}", "400"),
    Attack("whitelist-bypass", "a method that no rule has",
           CURL + f"-X DELETE http://{ALLOWED}:{{port}}/", "403", says("403")),
    Attack("whitelist-bypass", "a tunnel to a name that no rule has",
           ASK + "'CONNECT denied.example.test:443 HTTP/1.1\\r\\n"
           "Host: denied.example.test:443\\r\\n\\r\\n'", "403", _status("403")),
]  # fmt: skip

PRIVILEGES: Final = [
    Attack("privilege-escalation", "who am I", "id -u", "1000", says("1000")),
    Attack("privilege-escalation", "become root by sudo or su",
           "sudo -n id || su -c id root", "refused",
           fails("not found", "authentication", "must be", "cannot set", "permission",
                 "not permitted")),
    Attack("privilege-escalation", "become root by setuid",
           "python3 -c 'import os; os.setuid(0)'", "not permitted", fails("not permitted")),
    Attack("privilege-escalation", "set-id and capability files",
           "find / -xdev -perm /6000 -type f 2>/dev/null | head -n 3 | wc -l", "0", says("0")),
    Attack("privilege-escalation", "a new user namespace", "unshare --user --map-root-user id",
           "refused", refused),
    Attack("privilege-escalation", "enter the namespaces of process 1",
           "nsenter --target 1 --mount id", "refused", refused),
    Attack("privilege-escalation", "a device node", "mknod /tmp/d b 1 1", "refused",
           refused),
    Attack("privilege-escalation", "the program that takes core dumps",
           "echo '|/tmp/x' > /proc/sys/kernel/core_pattern", "refused", refused),
    Attack("privilege-escalation", "the program that a control group calls",
           "d=$(find /sys/fs/cgroup -name release_agent 2>/dev/null | head -n 1); "
           "echo /tmp/x > ${d:-/sys/fs/cgroup/release_agent}", "refused", refused),
    Attack("privilege-escalation", "the agent's memory by ptrace",
           "python3 -c 'import ctypes; l = ctypes.CDLL(None, use_errno=True); "
           "r = l.ptrace(16, 1, 0, 0); print(r, ctypes.get_errno())'", "-1",
           lambda ran: ran.said.startswith("-1 ") or ran.code < 0 or "Bad system" in ran.said),
    Attack("privilege-escalation", "the host's magic keys", "echo b > /proc/sysrq-trigger",
           "refused", refused),
]  # fmt: skip

ROOT_FILES: Final = [
    Attack("root-file-system", "control: the workspace can be written",
           "echo kept > /workspace/.w && cat /workspace/.w", "kept", says("kept"),
           is_control=True),
    *(Attack("root-file-system", f"write {path}", f"touch {path}", "refused",
             fails("read-only", "permission denied", "no such file"))
      for path in ("/etc/passwd", "/etc/ld.so.preload", "/usr/bin/git", "/opt/hakoiri/bin/python",
                   "/var/lib/x", "/root/x", "/run/x", "/sys/kernel/x")),
    Attack("root-file-system", "mount the root anew, to be written",
           "mount -o remount,rw /", "refused", refused),
    Attack("root-file-system", "what on the root could be written",
           "find / -xdev -writable -not -type l 2>/dev/null"
           " | grep -vxE '/tmp|/workspace|/home/agent|/run/hakoiri/agent|/dev|/dev/shm|/proc.*'"
           " | head -n 5", "nothing", says("")),
]  # fmt: skip


def _socket(name: str, family: int, kind: int, protocol: int) -> Attack:
    code = f"import socket; socket.socket({family}, {kind}, {protocol})"
    return Attack("syscall-filter", name, f"python3 -c '{code}'", "refused",
                  fails("not permitted", "not supported", "permission"))  # fmt: skip


def _call(name: str, number: int, *arguments: int) -> Attack:
    given = ", ".join(map(str, (number, *arguments)))
    code = (
        f"import ctypes, os; l = ctypes.CDLL(None, use_errno=True); r = l.syscall({given}); "
        "print(r, os.strerror(ctypes.get_errno()))"
    )

    def judge(ran: Ran) -> bool:
        killed = ran.code in KILLED
        words = ("Operation not permitted", "Function not implemented")
        return killed or (ran.said.startswith("-1 ") and any(word in ran.said for word in words))

    return Attack("syscall-filter", name, f"python3 -c '{code}'", "refused or killed", judge)


SYSTEM_CALLS: Final = [
    _socket("a packet socket", 17, 3, 768),
    _socket("a raw socket", 2, 3, 1),
    _socket("a netlink socket", 16, 3, 0),
    _socket("a vsock socket", 40, 1, 0),
    _socket("a socket of the kernel's cryptography", 38, 5, 0),
    _call("io_uring_setup", 425, 1, 0),
    _call("bpf", 321, 5, 0, 0),
    _call("userfaultfd", 323, 0),
    _call("keyctl", 250, 0, -3, 0),
    _call("perf_event_open", 298, 0, 0, -1, -1, 0),
    _call("kexec_load", 246, 0, 0, 0, 0),
    _call("init_module", 175, 0, 0, 0),
    _call("open_by_handle_at", 304, 0, 0, 0),
    _call("unshare", 272, 0x10000000),
]
"""The numbers are those of x86_64; the probe has those of both architectures, and more calls."""

ATTACKS: Final = [
    *NETWORK, *METADATA_ADDRESS, *DOCKER_SOCKET, *PROXY_BYPASS, *WHITELIST, *PRIVILEGES,
    *ROOT_FILES, *SYSTEM_CALLS,
]  # fmt: skip
