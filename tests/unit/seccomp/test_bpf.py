import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.seccomp import bpf
from tests.seccomp.bpf import FilterError, Instruction, SystemCall, answer, asking, meaning

GETPID = SystemCall(39, 7, (1, 2**64 - 1))
THROUGH = Instruction(bpf.RETURN, 0, 0, bpf.ALLOW)
REFUSED = Instruction(bpf.RETURN, 0, 0, bpf.ERRNO | 13)
KILLED = Instruction(bpf.RETURN, 0, 0, bpf.KILL_PROCESS)


def loads(place: int) -> Instruction:
    return Instruction(bpf.LOAD, 0, 0, place)


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 39), (4, 7), (8, 0), (16, 1), (20, 0), (24, 2**32 - 1), (28, 2**32 - 1), (60, 0)],
)
def test_what_it_reads_is_where_the_kernel_puts_it(place: int, value: int) -> None:
    program = [loads(place), Instruction(bpf.EQUAL, 1, 0, value), KILLED, THROUGH]
    assert meaning(answer(program, GETPID)) == "through"


@pytest.mark.parametrize(
    ("code", "number", "holds"),
    [
        *((bpf.EQUAL, 39, True), (bpf.EQUAL, 40, False)),
        *((bpf.GREATER, 38, True), (bpf.GREATER, 39, False)),
        *((bpf.NOT_LESS, 39, True), (bpf.NOT_LESS, 40, False)),
        *((bpf.ANY_BIT, 0xF1, True), (bpf.ANY_BIT, 0xD8, False)),
    ],
)
def test_a_jump_goes_where_its_condition_says(code: int, number: int, *, holds: bool) -> None:
    program = [loads(0), Instruction(code, 0, 1, number), THROUGH, REFUSED]
    assert meaning(answer(program, GETPID)) == ("through" if holds else 13)


def test_bits_are_masked_and_steps_passed_over() -> None:
    masked = [loads(0), Instruction(bpf.AND, 0, 0, 0x20), Instruction(bpf.EQUAL, 0, 1, 0x20)]
    program = [*masked, Instruction(bpf.GO, 0, 0, 1), KILLED, THROUGH]
    assert meaning(answer(program, GETPID)) == "through"


@pytest.mark.parametrize(
    "program",
    [
        [loads(0)],
        [loads(64), THROUGH],
        [loads(2), THROUGH],
        [Instruction(bpf.GO, 0, 0, 9), THROUGH],
        [Instruction(0x80, 0, 0, 0), THROUGH],
    ],
)
def test_a_program_that_is_not_understood_is_no_answer(program: list[Instruction]) -> None:
    with pytest.raises(FilterError):
        answer(program, GETPID)


@pytest.mark.parametrize("text", [b"", b"1234567", bytes(8 * 4097)])
def test_bytes_that_are_no_program_are_refused(text: bytes) -> None:
    with pytest.raises(FilterError):
        bpf.read(text)


@pytest.mark.parametrize("answered", [0x7FFC0000, 0x00030000, 0x7FF00001])
def test_other_actions_are_no_answer(answered: int) -> None:
    with pytest.raises(FilterError, match="action"):
        meaning(answered)


@given(st.binary(min_size=8, max_size=800))
def test_whatever_it_is_it_ends_and_keeps_its_bytes(text: bytes) -> None:
    program = bpf.read(text[: len(text) // 8 * 8])
    assert bpf.write(program) == text[: len(text) // 8 * 8]
    try:
        answered = answer(program, GETPID)
    except FilterError:
        return
    assert answered in {step.number for step in program}


@pytest.mark.parametrize(
    ("step", "said"), [(THROUGH, "through"), (KILLED, "killed"), (REFUSED, 13)]
)
def test_who_asks_is_told_and_who_does_not_goes_through(step: Instruction, said: int | str) -> None:
    program = asking([step])
    asked = SystemCall(39, 7, (0, 0, 0, 0, 0, bpf.ASKED))
    told = meaning(answer(program, asked))
    assert isinstance(told, int)
    assert bpf.unmarked(told) == said
    assert meaning(answer(program, GETPID)) == "through"


def test_an_error_of_the_kernels_own_tells_nothing() -> None:
    assert bpf.unmarked(14) == "not asked: 14"
