"""What the guest's containers are given."""

import struct

from tests.guest_aarch64.boxes import (
    honest_programs,
    program_of_32_bits,
    seccomp,
    trials,
    workloads,
)

BOXES = {box["name"]: box["configuration"] for box in (*trials(), *honest_programs())}


def test_the_filter_is_all_of_the_profile_that_ships_and_in_the_form_of_oci() -> None:
    given = seccomp()
    assert set(given) == {"defaultAction", "architectures", "syscalls"}
    keys = set().union(*(rule for rule in given["syscalls"]))
    assert keys == {"names", "action", "errnoRet", "args"}


def test_one_box_lacks_what_the_other_has_so_that_the_filter_alone_makes_the_difference() -> None:
    bare = BOXES["bare"]
    assert "seccomp" not in bare["linux"]
    assert BOXES["root"] == bare | {"linux": bare["linux"] | {"seccomp": seccomp()}}


def test_programs_run_as_an_agent_would() -> None:
    for name in ("agent", "condition", "of-32-bits", "turn", *workloads()):
        process = BOXES[name]["process"]
        assert process["user"]["uid"] == 1000
        assert process["noNewPrivileges"] is True
        assert not any(process["capabilities"].values())
        assert BOXES[name]["linux"]["seccomp"]


def test_a_program_of_32_bits_is_one_and_begins_in_its_code() -> None:
    program = program_of_32_bits()
    assert program[:7] == b"\x7fELF\1\1\1"
    kind, machine = struct.unpack_from("<HH", program, 16)
    (entry,) = struct.unpack_from("<I", program, 24)
    _, offset, address, _, size = struct.unpack_from("<5I", program, 52)
    assert (kind, machine, offset) == (2, 40, 0)
    assert size == len(program)
    assert program[entry - address :][:4] == bytes.fromhex("1470a0e3")
