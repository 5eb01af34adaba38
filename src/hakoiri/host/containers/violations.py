"""Calls for which the filter killed a process, purely: from the kernel's record to whose it was.

The kernel writes an audit record (`type=1326`) for each call that a filter answers with a kill or
a trap; refused calls (`SCMP_ACT_ERRNO`) leave none. Where no audit daemon listens, the record goes
to the kernel log, at most ten within five seconds (`printk_ratelimit`). Sources: the kernel's
`kernel/auditsc.c` (`audit_seccomp`) and Documentation/ABI/testing/dev-kmsg.

A container chooses the name and the path of its program. The kernel writes both in hexadecimal if
they hold a quote, a space or a control character, so that they cannot say another field's value.
"""

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

RECORD_LIMIT_BYTES: Final = 8192
"""The longest record that `/dev/kmsg` gives; a shorter buffer gets an error instead of it."""

REPORTS_A_MINUTE: Final = 60
"""Reported one by one; what is beyond is counted and told as one number."""

_ON_BOTH: Final = {
    428: "open_tree",
    429: "move_mount",
    430: "fsopen",
    431: "fsconfig",
    432: "fsmount",
    433: "fspick",
    442: "mount_setattr",
    467: "open_tree_attr",
}
CALL_NAMES: Final = {
    "c000003e": _ON_BOTH
    | {
        155: "pivot_root",
        165: "mount",
        166: "umount2",
        167: "swapon",
        168: "swapoff",
        169: "reboot",
        174: "create_module",
        175: "init_module",
        176: "delete_module",
        246: "kexec_load",
        304: "open_by_handle_at",
        313: "finit_module",
        320: "kexec_file_load",
        321: "bpf",
    },
    "c00000b7": _ON_BOTH
    | {
        39: "umount2",
        40: "mount",
        41: "pivot_root",
        104: "kexec_load",
        105: "init_module",
        106: "delete_module",
        142: "reboot",
        224: "swapon",
        225: "swapoff",
        265: "open_by_handle_at",
        273: "finit_module",
        280: "bpf",
        294: "kexec_file_load",
    },
}
"""The calls that the profile kills for, by architecture (x86_64, aarch64) and number."""

_RECORD: Final = re.compile(
    rb"(?P<priority>\d{1,5}),\d+,\d+,[^;\n]*;audit: type=1326 audit\([\d.]+:\d+\): "
    rb"[^\n]*? pid=(?P<pid>\d{1,10}) comm=(?:\"[!-~]*\"|[0-9A-F]*|\(null\)) "
    rb"exe=(?:\"[!-~]*\"|[0-9A-F]*|\(null\)) sig=\d+ "
    rb"arch=(?P<architecture>[0-9a-f]{1,8}) syscall=(?P<call>-?\d{1,10}) "
)
_FACILITY_SHIFT: Final = 3
_CONTAINER: Final = re.compile(r"[/-]([0-9a-f]{64})(?:\.scope)?(?:/|$)")


@dataclass(frozen=True, slots=True)
class Violation:
    """One killed process: its id in the host's namespace, and the call by its number."""

    pid: int
    call: int
    architecture: str
    """As the audit's hexadecimal number: `c000003e` is x86_64, `c00000b7` aarch64."""

    @property
    def call_name(self) -> str:
        """The call by its name; by architecture and number if it is none that we kill for."""
        known = CALL_NAMES.get(self.architecture, {})
        return known.get(self.call, f"{self.architecture}:{self.call}")


def parse_record(record: bytes) -> Violation | None:
    """Return the violation that a record of `/dev/kmsg` tells of; None if it tells of none.

    A process with the right to write to the log cannot feign one: its records carry a facility.
    """
    found = _RECORD.match(record[:RECORD_LIMIT_BYTES])
    if found is None or int(found["priority"]) >> _FACILITY_SHIFT:
        return None
    return Violation(
        pid=int(found["pid"]),
        call=int(found["call"]),
        architecture=found["architecture"].decode("ascii"),
    )


def container_in(cgroups: str) -> str | None:
    """Return the engine's id of the container in a process's `/proc/PID/cgroup`; None if unclear.

    Both drivers' forms: `/docker/ID` and `docker-ID.scope`.
    """
    found = {name for line in cgroups.splitlines() for name in _CONTAINER.findall(line)}
    return found.pop() if len(found) == 1 else None


class ReportBound:
    """Lets at most so many reports through in a minute, and counts what it held back."""

    def __init__(self, per_minute: int = REPORTS_A_MINUTE) -> None:
        """Start with nothing reported."""
        self._per_minute = per_minute
        self._reported_s: deque[float] = deque()
        self._held_back = 0

    def admit(self, now_s: float) -> int | None:
        """Return how many were held back before this one; None if this one is held back, too.

        `now_s` is monotonic.
        """
        while self._reported_s and now_s - self._reported_s[0] >= 60:  # noqa: PLR2004 - a minute
            self._reported_s.popleft()
        if len(self._reported_s) >= self._per_minute:
            self._held_back += 1
            return None
        self._reported_s.append(now_s)
        held_back, self._held_back = self._held_back, 0
        return held_back
