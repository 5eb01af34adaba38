"""The system-call filter of a container, purely: what a profile may say, and what a runtime gets.

The profile that ships (`workspace-seccomp.json` beside this file, argued in
docs/security/seccomp-syscall-analysis.md) is a whitelist. An operator's own may be narrower, and
let through the few more calls in `ADDABLE`. It may not let through any other call that ours does
not, whether ours refuses it by name or is silent on it, drop a condition that ours puts on
arguments, or add a second architecture. What the engine gets is rendered from the parsed form, so
that it reads what was judged here.

Under `runsc` the filter sits before gVisor's own kernel, which differs in three things (seen with
release 20221219 of Debian 12, and in the sources of 2026, `runsc/specutils/seccomp`):

- It knows of the killing actions only `SCMP_ACT_KILL`, and refuses to start with another.
- It does not know `errnoRet`: each refused call gives EPERM. The C library asks for `clone3` first
  and falls back to `clone` only on ENOSYS, so that no thread could start. `clone3` is let through
  to gVisor's kernel, which answers ENOSYS or, when newer, makes namespaces of its own only.
- The older calls `pselect6` by the name `pselect`.
"""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hakoiri.wire.messages import Runtime

Action = Literal[
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_TRAP",
]
Refusal = Literal[
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",
]
Architecture = Literal["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]
Operator = Literal[
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
]

LETTING_THROUGH: Final = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")
PROFILE_LIMIT_BYTES: Final = 1024 * 1024
"""Far above any real profile; ours has 12 KiB."""

SHOWN_NAMES: Final = 20
GVISOR_KILL: Final = "SCMP_ACT_KILL"
GVISOR_NAMES: Final = {"pselect6": "pselect"}
CLONE3: Final = "clone3"


ADDABLE: Final = {
    "semget": "System V semaphores, with which databases and older servers lock: of the box's own "
    "IPC namespace, as many as that allows (sem(7)), counted as its memory; their sibling, shared "
    "memory, is let through already",
    "semop": "to lock and unlock what semget made",
    "semtimedop": "the same, with a time limit",
    "semctl": "to set, ask and remove what semget made",
}
"""What an operator's profile may let through beyond ours, each with its reason. Short, and reviewed
like the profile that ships: a call that is new to the kernel is on it only once it was looked at.
"""


class SeccompProfileError(Exception):
    """The profile is not one, or opens the box; the message says where."""


class _Part(BaseModel):
    """A part of a profile in Docker's format. The engine ignores what it does not know; we do not.

    `extra="forbid"` also refuses other spellings of a key, which the engine would take for it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class Condition(_Part):
    """What one argument of the call must be; those of one rule must all hold."""

    index: int = Field(ge=0, le=5)
    value: int = Field(ge=0, lt=2**64)
    valueTwo: int = Field(default=0, ge=0, lt=2**64)  # noqa: N815 - Docker's name
    op: Operator


class Circumstances(_Part):
    """When the engine heeds a rule: by the container's capabilities, architecture, kernel."""

    caps: tuple[str, ...] = ()
    arches: tuple[str, ...] = ()
    minKernel: str | None = None  # noqa: N815 - Docker's name


class Rule(_Part):
    """What happens to calls of these names whose arguments meet all conditions."""

    names: tuple[str, ...] = Field(min_length=1)
    action: Action
    comment: str | None = Field(default=None, exclude=True)
    errnoRet: int | None = Field(default=None, ge=1, le=4095)  # noqa: N815 - Docker's name
    args: tuple[Condition, ...] = ()
    includes: Circumstances = Circumstances()
    excludes: Circumstances = Circumstances()

    @property
    def lets_through(self) -> bool:
        """Whether it applies to a container without capabilities, and lets calls through."""
        return self.action in LETTING_THROUGH and not self.includes.caps


class Profile(_Part):
    """A whole profile: what is in no rule gets the default action, which refuses."""

    defaultAction: Refusal  # noqa: N815 - Docker's name
    defaultErrnoRet: int | None = Field(default=None, ge=1, le=4095)  # noqa: N815 - Docker's name
    architectures: tuple[Architecture, ...] = Field(min_length=1)
    syscalls: tuple[Rule, ...]

    def allowed_names(self) -> frozenset[str]:
        """Return the calls that are let through, whatever the condition."""
        return frozenset(name for rule in self.syscalls if rule.lets_through for name in rule.names)

    def conditions(self) -> dict[str, frozenset[tuple[Condition, ...]]]:
        """Return what is let through under conditions only, each with its alternatives."""
        found: dict[str, set[tuple[Condition, ...]]] = {}
        for rule in self.syscalls:
            for name in rule.names if rule.lets_through else ():
                found.setdefault(name, set()).add(rule.args)
        return {name: frozenset(rules) for name, rules in found.items() if () not in rules}


def parse_profile(text: str) -> Profile:
    """Parse a profile in Docker's format; raise `SeccompProfileError` with what is wrong first."""
    try:
        return Profile.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        raise SeccompProfileError(f"{where}: {problem['msg']}") from error


def require_no_wider(given: Profile, *, shipped: Profile) -> None:
    """Raise `SeccompProfileError` if `given` lets through more than `shipped` and `ADDABLE`."""
    opened = given.allowed_names() - shipped.allowed_names() - ADDABLE.keys()
    if opened:
        shown = sorted(opened)[:SHOWN_NAMES]
        more = f" and {len(opened) - len(shown)} more" if len(opened) > len(shown) else ""
        raise SeccompProfileError(
            f"it lets through {', '.join(shown)}{more}, which the profile that ships does not; "
            f"take that out (all that may be added is {', '.join(ADDABLE)})"
        )
    conditions = shipped.conditions()
    for rule in given.syscalls:
        for name in rule.names if rule.lets_through else ():
            if name in conditions and rule.args not in conditions[name]:
                raise SeccompProfileError(
                    f"it lets {name} through with other arguments than the profile that ships; "
                    "use that one's rules for it, or fewer"
                )


def filter_for(runtime: Runtime, profile: Profile) -> str:
    """Return the JSON to give to the engine, for a runtime."""
    fitting = _for_gvisor(profile) if runtime == "runsc" else profile
    return fitting.model_dump_json(exclude_defaults=True)


def _for_gvisor(profile: Profile) -> Profile:
    rules = [_rule_for_gvisor(rule) for rule in profile.syscalls]
    through = Rule(names=(CLONE3,), action="SCMP_ACT_ALLOW")
    return Profile(
        defaultAction=GVISOR_KILL if "KILL" in profile.defaultAction else profile.defaultAction,
        defaultErrnoRet=profile.defaultErrnoRet,
        architectures=profile.architectures,
        syscalls=(*(rule for rule in rules if rule is not None), through),
    )


def _rule_for_gvisor(rule: Rule) -> Rule | None:
    others = [name for name in rule.names if name != CLONE3]
    if not others:
        return None
    aliases = [GVISOR_NAMES[name] for name in others if name in GVISOR_NAMES]
    action: Action = rule.action
    if "KILL" in action:
        action = GVISOR_KILL
    elif action == "SCMP_ACT_LOG":
        action = "SCMP_ACT_ALLOW"
    return rule.model_copy(update={"names": (*others, *aliases), "action": action})
