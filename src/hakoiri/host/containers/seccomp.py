"""The system-call filter of a container, purely: from the operator's profile and the runtime.

Under `runc` an absent profile means the engine's default one. Under `runsc` the filter sits before
gVisor's own kernel, and two things differ:

- runsc release 20221219 (Debian 12) does not know `errnoRet`: each refused call gives EPERM. The C
  library asks for `clone3` first and falls back to `clone` only on ENOSYS, so that under the
  engine's default profile no thread can start. gVisor's kernel itself answers `clone3` with ENOSYS;
  the filter therefore lets it through to that answer.
- An absent profile means `GVISOR_FILTER`: what no agent needs is refused before gVisor sees it.
"""

import json
from typing import Any, Final, Literal

CLONE3: Final = "clone3"

GVISOR_FILTER: Final[dict[str, Any]] = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    "syscalls": [
        {
            "action": "SCMP_ACT_ERRNO",
            "names": [
                "add_key",
                "bpf",
                "delete_module",
                "finit_module",
                "fsconfig",
                "fsmount",
                "fsopen",
                "fspick",
                "init_module",
                "io_uring_enter",
                "io_uring_register",
                "io_uring_setup",
                "kexec_file_load",
                "kexec_load",
                "keyctl",
                "mount",
                "mount_setattr",
                "move_mount",
                "open_by_handle_at",
                "open_tree",
                "perf_event_open",
                "pivot_root",
                "process_vm_readv",
                "process_vm_writev",
                "ptrace",
                "reboot",
                "request_key",
                "setns",
                "swapoff",
                "swapon",
                "umount2",
                "unshare",
                "userfaultfd",
            ],
        }
    ],
}


class SeccompProfileError(Exception):
    """The profile is not one; the message says where."""


def filter_for(runtime: Literal["runc", "runsc"], profile: str | None) -> str | None:
    """Return the JSON to give to the engine; None means the engine's default filter.

    `profile` is the operator's file as text. Raises `SeccompProfileError` if it cannot be one, or
    if it lets everything through.
    """
    given = _parse(profile) if profile is not None else None
    if runtime == "runsc":
        return json.dumps(_with_clone3(given) if given is not None else GVISOR_FILTER)
    return json.dumps(given) if given is not None else None


def _parse(profile: str) -> dict[str, Any]:
    try:
        parsed = json.loads(profile)
    except (ValueError, RecursionError) as error:
        raise SeccompProfileError(f"it is not JSON: {error}") from error
    if not isinstance(parsed, dict) or not isinstance(parsed.get("syscalls"), list):
        raise SeccompProfileError('it has no list "syscalls"; give a profile in Docker\'s format')
    if parsed.get("defaultAction") == "SCMP_ACT_ALLOW":
        raise SeccompProfileError('its "defaultAction" allows everything; give a whitelist')
    return parsed


def _with_clone3(profile: dict[str, Any]) -> dict[str, Any]:
    """Let `clone3` through to gVisor's kernel, which does not implement it."""
    others = [
        {**entry, "names": [name for name in entry.get("names", []) if name != CLONE3]}
        for entry in profile["syscalls"]
    ]
    return {
        **profile,
        "syscalls": [
            *(entry for entry in others if entry["names"]),
            {"names": [CLONE3], "action": "SCMP_ACT_ALLOW"},
        ],
    }
