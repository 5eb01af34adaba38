"""A filter as the kernel has it: classic BPF, read and run purely.

Sources: the kernel's `Documentation/networking/filter.rst` (instructions) and
`include/uapi/linux/seccomp.h` (what a filter reads, what it may answer).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LENGTH_LIMIT: Final = 4096
"""BPF_MAXINSNS: the kernel loads no longer program."""

_INSTRUCTION: Final = struct.Struct("<HBBI")
_DATA: Final = struct.Struct("<iIQ6Q")
_ACCUMULATOR_BITS: Final = 0xFFFFFFFF

LOAD, AND, RETURN, GO = 0x20, 0x54, 0x06, 0x05
EQUAL, GREATER, NOT_LESS, ANY_BIT = 0x15, 0x25, 0x35, 0x45

KILL_PROCESS: Final = 0x80000000
KILL_THREAD: Final = 0
ERRNO: Final = 0x00050000
ALLOW: Final = 0x7FFF0000
_ACTION: Final = 0xFFFF0000
_DETAIL: Final = 0xFFFF


class FilterError(Exception):
    """The program is none that the kernel would take, or does what this does not know."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One step: what to do, how far to jump if it holds or does not, and its number."""

    code: int
    if_true: int
    if_false: int
    number: int


@dataclass(frozen=True, slots=True)
class SystemCall:
    """What a filter sees of a call; on a little-endian machine."""

    number: int
    architecture: int
    arguments: tuple[int, ...] = ()

    def packed(self) -> bytes:
        """Return it as the kernel lays it out."""
        wide = [one & 2**64 - 1 for one in (*self.arguments, 0, 0, 0, 0, 0, 0)[:6]]
        number = (self.number + 2**31) % 2**32 - 2**31
        return _DATA.pack(number, self.architecture, 0, *wide)


def read(text: bytes) -> list[Instruction]:
    """Return the program in the bytes; raise `FilterError` if they are none."""
    whole, rest = divmod(len(text), _INSTRUCTION.size)
    if rest or not 0 < whole <= LENGTH_LIMIT:
        raise FilterError(f"{len(text)} bytes are no program")
    return [Instruction(*step) for step in _INSTRUCTION.iter_unpack(text)]


def write(program: Sequence[Instruction]) -> bytes:
    """Return the program's bytes."""
    return b"".join(
        _INSTRUCTION.pack(one.code, one.if_true, one.if_false, one.number) for one in program
    )


def answer(program: Sequence[Instruction], call: SystemCall) -> int:
    """Return what the program answers to the call: an action and its detail.

    Raises:
        FilterError: it goes past its end, or has an instruction that is not known here.
    """
    data, accumulator, place = call.packed(), 0, 0
    while place < len(program):
        step = program[place]
        place += 1
        if step.code == RETURN:
            return step.number
        if step.code == LOAD:
            if step.number % 4 or step.number + 4 > len(data):
                raise FilterError(f"it reads at {step.number}")
            accumulator = int.from_bytes(data[step.number : step.number + 4], "little")
        elif step.code == AND:
            accumulator &= step.number
        elif step.code == GO:
            place += step.number
        else:
            place += step.if_true if _holds(step, accumulator) else step.if_false
    raise FilterError("it goes past its end")


def _holds(step: Instruction, accumulator: int) -> bool:
    if step.code == EQUAL:
        return accumulator == step.number
    if step.code == GREATER:
        return accumulator > step.number
    if step.code == NOT_LESS:
        return accumulator >= step.number
    if step.code == ANY_BIT:
        return bool(accumulator & step.number)
    raise FilterError(f"there is no instruction {step.code:#x} here")


def meaning(answered: int) -> int | str:
    """Return an errno, "through" or "killed".

    Raises:
        FilterError: it is another action.
    """
    action, detail = answered & _ACTION, answered & _DETAIL
    if action == ALLOW:
        return "through"
    if action in (KILL_PROCESS, KILL_THREAD):
        return "killed"
    if action == ERRNO:
        return detail
    raise FilterError(f"action {answered:#x}")


ASKED: Final = 0x4A554447
"""In the sixth argument, which no rule looks at: the call is only asked about."""

SAID_THROUGH, SAID_KILLED, SAID_REFUSED = 3000, 3001, 2000
"""Errors of `asking`, which no kernel gives; a refusal is 2000 and its errno."""

_SIXTH_ARGUMENT: Final = 16 + 8 * 5


def asking(program: Sequence[Instruction]) -> list[Instruction]:
    """Return a program that tells, to who asks, what `program` would answer; it refuses no other.

    What is asked about is never done: each answer is an errno that only this program gives. So the
    kernel's own reading of every rule can be had, of calls too that end the caller.
    """
    told = {"through": SAID_THROUGH, "killed": SAID_KILLED}

    def marked(step: Instruction) -> Instruction:
        if step.code != RETURN:
            return step
        said = meaning(step.number)
        number = SAID_REFUSED + said if isinstance(said, int) else told[said]
        return Instruction(RETURN, 0, 0, ERRNO | number)

    return [
        Instruction(LOAD, 0, 0, _SIXTH_ARGUMENT),
        Instruction(EQUAL, 1, 0, ASKED),
        Instruction(RETURN, 0, 0, ALLOW),
        *map(marked, program),
    ]


def unmarked(error: int) -> int | str:
    """Return what an error of `asking` tells, as `meaning` does; itself if it tells nothing."""
    if error == SAID_THROUGH:
        return "through"
    if error == SAID_KILLED:
        return "killed"
    return error - SAID_REFUSED if error > SAID_REFUSED else f"not asked: {error}"
