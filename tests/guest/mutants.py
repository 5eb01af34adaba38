"""Profiles in which a line is another: what the trials must see.

Each change names the acts that are open then. Changes of one mutant do not touch each other's acts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

WITH_CAPABILITIES: Final = {"  audit deny capability,": "  capability,"}
"""Under this the other rules are tried: most acts need a capability, too, and without this change
the rule of capabilities would hide that another is missing."""


@dataclass(frozen=True, slots=True)
class Change:
    """`find`, which is once in the profile, becomes `replace`, and these acts work."""

    find: str
    replace: str
    opens: tuple[str, ...]


_HIDDEN = "/proc/{kcore,kmsg,kallsyms,keys,key-users,modules,timer_list,sched_debug}"
_OWN = "/proc/[0-9]*/{,task/[0-9]*/}"
_MARKS = "{attr/**,clear_refs,gid_map,map_files/**,oom_*,projid_map,setgroups,uid_map}"

FILES: Final = (
    Change(
        "audit deny /{boot,etc,opt,root,usr,var}/** wkl,",
        "/{boot,etc,opt,root,usr,var}/** wkl,",
        tuple(
            f"write {path}/new"
            for path in ("/boot", "/etc", "/opt/hakoiri", "/root", "/usr/bin", "/var/tmp")  # noqa: S108 - the container's own
        ),
    ),
    Change("audit deny /etc/{g,}shadow{,-} r,", "", ("read /etc/shadow", "read /etc/gshadow")),
    Change("  /run/ r,", "  /run/* rw,", ("write /run/new",)),
    Change("  /home/ r,", "  /home/* rw,", ("write /home/new",)),
    Change("  / r,", "  /{,new} rw,", ("write /new",)),
    Change("  /*/ r,", "  /{,srv/*} rw,", ("write /srv/new",)),
    Change("  /dev/ r,", "  /dev/new rw,", ("write /dev/new",)),
    Change(
        "audit deny /run/hakoiri/** mxl,",
        "/run/hakoiri/** mix,",
        ("run a program beside the agent's socket",),
    ),
    Change(
        "/run/hakoiri/proxy/proxy.sock rw,",
        "/run/hakoiri/proxy/* rw,",
        ("write /run/hakoiri/proxy/new", "put a socket beside the proxy's"),
    ),
    Change("audit deny /dev/{k,}mem rwklm,", "/dev/{k,}mem rw,", ("read /dev/mem",)),
    Change(
        "audit deny /dev/{kmsg,port,kvm,fuse,net/*,vhost-*,vfio/**,bus/**} rwklm,",
        "/dev/kmsg r,",
        ("read /dev/kmsg",),
    ),
    Change(
        "audit deny /dev/{loop*,sd*,vd*,nvme*,dm-*} rwklm,",
        "/dev/vd* r,",
        ("read /dev/vda",),  # what the guest itself runs from
    ),
    Change("audit deny /proc/sys/** wkl,", "/proc/sys/** w,", ("write a setting of the kernel",)),
    Change("/proc/sys/ r,", "/proc/sys/** r,", ("read /proc/sys/kernel/core_pattern",)),
    Change(
        "audit deny /proc/{sysrq-trigger,scsi/**,fs/**,irq/**,bus/**,acpi/**} wkl,",
        "/proc/{sysrq-trigger,irq/**} w,",
        ("ask the kernel by sysrq", "choose who answers interrupts"),
    ),
    Change(
        f"audit deny {_HIDDEN} rwklm,",
        f"{_HIDDEN} r,",
        tuple(
            f"read /proc/{name}"
            for name in (
                *("kcore", "kmsg", "kallsyms", "keys", "key-users", "modules", "timer_list"),
            )
        ),
    ),
    Change(
        "audit deny /proc/{config.gz,kpage*,vmallocinfo,interrupts} rwklm,",
        "/proc/{config.gz,kpage*,vmallocinfo,interrupts} r,",
        ("read /proc/kpagecount", "read /proc/vmallocinfo", "read /proc/interrupts"),
    ),
    Change(
        "/proc/{cgroups,cpuinfo,",
        "/proc/{slabinfo,cmdline,cgroups,cpuinfo,",
        ("read /proc/slabinfo", "read /proc/cmdline"),
    ),
    Change(
        f"audit deny {_OWN}mem rwklm,",
        f"{_OWN}mem rw,",
        ("read memory through /proc", "write memory through /proc"),
    ),
    Change(
        f"audit deny {_OWN}{_MARKS} wkl,",
        f"{_OWN}{_MARKS} w,\n  change_profile,",
        ("set how soon it is killed", "forget what it read", "change the profile"),
    ),
    Change("audit deny /sys/** wkl,", "/sys/** w,", ("write /sys", "make a control group")),
    Change(
        "audit deny /sys/{firmware,kernel/debug,kernel/security,kernel/tracing,module}/** rm,",
        "/sys/{kernel/security,module}/** r,",
        ("read /sys/kernel/security/lsm", "read /sys/module/apparmor/parameters/mode"),
    ),
    Change("  /sys/ r,", "  /sys/kernel/* r,", ("read /sys/kernel/uevent_seqnum",)),
)

_OF_MOUNTS = (
    "mount memory",
    "mount a directory elsewhere",
    "mount anew",
    "unmount",
    "pivot the root",
)
_MOUNTS = "  # --- Mounts stay"

OTHERS: Final = (
    Change(_MOUNTS, f"  mount,\n  umount,\n  remount,\n  pivot_root,\n{_MOUNTS}", _OF_MOUNTS),
    *(
        Change(f"audit deny network {kind},", f"network {kind},", (f"open {act}",))
        for kind, act in (
            ("raw", "a raw socket"),
            ("packet", "a packet socket"),
            ("netlink", "a netlink socket"),
            ("alg", "a socket of the kernel's ciphers"),
            ("vsock", "a socket to the host machine"),
        )
    ),
    Change(
        "signal (send, receive) peer=workspace-container,",
        "signal (send, receive),",
        ("send a signal to the host",),
    ),
    Change(
        "ptrace (read, readby) peer=workspace-container,",
        "ptrace (read, readby),",
        ("read what a process of the host was started with",),
    ),
    Change(
        "audit deny ptrace (trace),",
        "ptrace (trace, tracedby),",
        ("trace a process of its own", "trace a process of the host"),
    ),
)

MOUNTS_DENIED: Final = (
    Change(
        _MOUNTS,
        "".join(f"  audit deny {one},\n" for one in ("mount", "remount", "umount", "pivot_root"))
        + _MOUNTS,
        _OF_MOUNTS,
    ),
)
"""What looks stricter, and opens all of them."""

MUTANTS: Final[Mapping[str, tuple[Change, ...]]] = {
    "files-open": FILES,
    "others-open": OTHERS,
    "mounts-denied": MOUNTS_DENIED,
}
COMPLAIN: Final = {"flags=(mediate_deleted)": "flags=(mediate_deleted, complain)"}


def changes_of(mutant: str) -> dict[str, str]:
    """Return the mutant's changes, for `profile_text`."""
    return {one.find: one.replace for one in MUTANTS[mutant]}


def opened_by(mutant: str) -> set[str]:
    """Return the acts that work under the mutant."""
    return {act for one in MUTANTS[mutant] for act in one.opens}
