"""The filter of a profile for both machines, made by the library by which `runc` makes it.

Source: the manual pages of libseccomp (`seccomp_init(3)` and its kin), and runc's
`libcontainer/seccomp/seccomp_linux.go` for the order of calls. runc puts a few instructions before
it, by which calls younger than the profile's youngest get ENOSYS; those are not made here.
"""

import ctypes
import ctypes.util
import functools
import os
import tempfile
from typing import Final

from hakoiri.host.containers.seccomp import Condition, Profile, Rule

ARCHITECTURES: Final = {
    "x86_64": 0xC000003E,
    "aarch64": 0xC00000B7,
    "i386": 0x40000003,
    "x32": 0x4000003E,
    "arm": 0x40000028,
}
"""By the machine's name, what the kernel tells a filter (AUDIT_ARCH_*); x32 tells it is x86_64."""

ENGINES_NAMES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
"""What Docker calls a machine in a profile's `arches`."""

_TOKENS: Final = {
    "SCMP_ARCH_X86_64": "x86_64",
    "SCMP_ARCH_AARCH64": "aarch64",
    "SCMP_ARCH_X86": "i386",
    "SCMP_ARCH_ARM": "arm",
}
_ACTIONS: Final = {
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
    "SCMP_ACT_ERRNO": 0x00050000,
}
_OPERATORS: Final = {"SCMP_CMP_MASKED_EQ": 7}
_EPERM: Final = 1
_UNKNOWN: Final = -1


class LibseccompError(Exception):
    """The library is not there, or refused a call."""


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


@functools.cache
def _library() -> ctypes.CDLL:
    name = ctypes.util.find_library("seccomp")
    if name is None:
        raise LibseccompError("there is no libseccomp; install it (Debian: libseccomp2)")
    library = ctypes.CDLL(name, use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_release.restype = None
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_arch_exist.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(_Comparison),
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    return library


def number_of(name: str, machine: str) -> int | None:
    """Return the call's number there; None if that machine has no such call.

    Raises:
        LookupError: the library knows no call of that name on any machine.
    """
    found = int(
        _library().seccomp_syscall_resolve_name_arch(ARCHITECTURES[machine], name.encode("ascii"))
    )
    if found == _UNKNOWN:
        raise LookupError(name)
    return found if found >= 0 else None


def is_known(name: str) -> bool:
    """Tell if the library knows a call of that name; `runc` passes over a name that it does not."""
    return int(_library().seccomp_syscall_resolve_name(name.encode("ascii"))) != _UNKNOWN


def call_numbers(profile: Profile, machine: str) -> dict[str, int]:
    """Return the numbers of the profile's calls on that machine, of those that it has."""
    named = {name for rule in profile.syscalls for name in rule.names if is_known(name)}
    found = {name: number_of(name, machine) for name in sorted(named)}
    return {name: number for name, number in found.items() if number is not None}


def filter_of(profile: Profile, machine: str) -> bytes:
    """Return the program that a machine's engine gets for the profile, made as runc has it made.

    Raises:
        LibseccompError: the profile has no such architecture, or a part that is not understood.
    """
    if machine not in (_TOKENS[name] for name in profile.architectures):
        raise LibseccompError(f"the profile is not for {machine}")
    library = _library()
    context = library.seccomp_init(_action(profile.defaultAction, profile.defaultErrnoRet))
    if not context:
        raise LibseccompError("seccomp_init")
    try:
        for name in profile.architectures:
            token = ARCHITECTURES[_TOKENS[name]]
            if library.seccomp_arch_exist(context, token) != 0:
                _must("seccomp_arch_add", library.seccomp_arch_add(context, token))
        for rule in profile.syscalls:
            if applies(rule, machine):
                _add_rule(context, profile, rule)
        with tempfile.TemporaryFile() as file:
            _must("seccomp_export_bpf", library.seccomp_export_bpf(context, file.fileno()))
            file.seek(0)
            return file.read()
    finally:
        library.seccomp_release(context)


def applies(rule: Rule, machine: str) -> bool:
    """Tell if the engine heeds the rule on that machine; no container has a capability.

    Raises:
        LibseccompError: it depends on the kernel's version.
    """
    if rule.includes.minKernel or rule.excludes.minKernel:
        raise LibseccompError("a rule depends on the kernel's version")
    name = ENGINES_NAMES[machine]
    elsewhere = rule.includes.arches and name not in rule.includes.arches
    return not (elsewhere or name in rule.excludes.arches or rule.includes.caps)


def _add_rule(context: int, profile: Profile, rule: Rule) -> None:
    action = _action(rule.action, rule.errnoRet)
    if action == _action(profile.defaultAction, profile.defaultErrnoRet):
        return
    comparisons = (_Comparison * max(1, len(rule.args)))(*map(_comparison, rule.args))
    for name in rule.names:
        number = _library().seccomp_syscall_resolve_name(name.encode("ascii"))
        if number != _UNKNOWN:
            added = _library().seccomp_rule_add_array(
                context, action, number, len(rule.args), comparisons
            )
            _must(f"seccomp_rule_add_array {name}", added)


def _comparison(condition: Condition) -> _Comparison:
    operator = _OPERATORS[condition.op]
    return _Comparison(condition.index, operator, condition.value, condition.valueTwo)


def _action(name: str, error: int | None) -> int:
    number = _ACTIONS[name]
    return number | (error or _EPERM) if name == "SCMP_ACT_ERRNO" else number


def _must(what: str, code: int) -> None:
    if code != 0:
        raise LibseccompError(f"{what}: {os.strerror(-code)}")
