"""What a profile says to a call, read from its rules alone: neither libseccomp nor BPF has a part.

And the calls that are asked about: every number, and every argument that a rule looks at.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Final

from hakoiri.host.containers.seccomp import Condition, Profile, Rule

EPERM: Final = 1
NUMBERS: Final = range(1024)
"""All that the kernel has, with room for what it will have."""

PAST_EVERY_FILTER: Final = {"x86_64": frozenset({335, 336}), "aarch64": frozenset[int]()}
"""`uretprobe` and `uprobe`: a young kernel (seen: 6.18) asks no filter about them, since it has put
them into the program itself; who makes them unasked gets SIGILL and ENXIO."""

FAMILIES, KINDS = range(64), range(16)
PROTOCOLS: Final = (0, 1, 6, 17, 58, 132, 255, 262)
NEW_NAMESPACES: Final = (0x20000, *(1 << bit for bit in range(25, 31)))
"""The CLONE_NEW* flags of clone(2); CLONE_NEWTIME has a bit of the exit signal and is clone3's."""

_SIGCHLD: Final = 17
_UPPER: Final = 1 << 32
_ALL_BITS: Final = (2**64 - 1,) * 5

Call = tuple[int, ...]
"""A number and up to five arguments."""

Answer = int | str
"""An errno, "through" or "killed"."""

Says = Callable[..., Answer]


def reading_of(profile: Profile) -> Says:
    """Return what tells the profile's answer to a call by its name and arguments."""
    rules: dict[str, list[Rule]] = {}
    for rule in profile.syscalls:
        for name in rule.names:
            rules.setdefault(name, []).append(rule)

    def says(name: str, arguments: tuple[int, ...] = ()) -> Answer:
        padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
        found = {
            _effect(rule)
            for rule in rules.get(name, ())
            if all(_holds(one, padded) for one in rule.args)
        }
        if len(found) > 1:
            raise ValueError(f"the profile says {found} to {name}")
        return found.pop() if found else profile.defaultErrnoRet or EPERM

    return says


def _holds(condition: Condition, arguments: tuple[int, ...]) -> bool:
    if condition.op != "SCMP_CMP_MASKED_EQ":
        raise ValueError(f"{condition.op} is not read here")
    return arguments[condition.index] & condition.value == condition.valueTwo


def _effect(rule: Rule) -> Answer:
    if rule.action == "SCMP_ACT_ALLOW":
        return "through"
    return "killed" if "KILL" in rule.action else rule.errnoRet or EPERM


def calls_to_ask(numbers: Mapping[str, int]) -> Iterator[Call]:
    """Give every call to ask about on a machine whose calls have these numbers."""
    for number in NUMBERS:
        yield (number,)
        yield (number, *_ALL_BITS)
    for name in ("socket", "socketpair"):
        for family, kind, protocol in product(FAMILIES, KINDS, PROTOCOLS):
            yield (numbers[name], family, kind, protocol)
        for family in FAMILIES:
            yield (numbers[name], family | _UPPER, 1 | 0o2000000, 0)
            yield (numbers[name], family, 1 | 0o4000, 1 << 8)
    for bit in range(64):
        yield (numbers["clone"], 1 << bit | _SIGCHLD)
        yield (numbers["clone"], 1 << bit)
        yield (numbers["personality"], 1 << bit)
    yield (numbers["personality"], 2**32 - 1)
    for kind in range(16):
        yield (numbers["mknodat"], 2**64 - 100, 1, kind << 12 | 0o644)
        if "mknod" in numbers:
            yield (numbers["mknod"], 1, kind << 12 | 0o644)
