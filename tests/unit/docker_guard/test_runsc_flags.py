import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.docker_guard.runsc_flags import why_not_sealed
from hakoiri.wire.guard import RUNSC_FLAGS

SEALED = list(RUNSC_FLAGS)


def test_the_three_flags_in_any_order_and_others_beside_them_are_sealed() -> None:
    assert why_not_sealed(SEALED) is None
    assert why_not_sealed(("--platform=ptrace", *reversed(SEALED), "--debug=true")) is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["-network=none", "-host-uds=all", "-oci-seccomp"],
        ["--network=none", "--host-uds=all", "--oci-seccomp=true"],
        ["--network=none", "--host-uds=all", "--oci-seccomp=1"],
        [*SEALED, *SEALED],
        [*SEALED, "--debug-log=/tmp/--network=host"],
    ],
)
def test_other_spellings_of_the_same_are_sealed(arguments: list[str]) -> None:
    assert why_not_sealed(arguments) is None


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "without --network=none --host-uds=all --oci-seccomp"),
        (SEALED[1:], "without --network=none"),
        ([*SEALED, "--oci-seccomp=false"], "with --oci-seccomp=false, where"),
        (["--oci-seccomp=false", *SEALED], "with --oci-seccomp=false"),
        ([*SEALED, "-oci-seccomp=0"], "with --oci-seccomp=0"),
        ([*SEALED, "--network=host"], "with --network=host, where only --network=none may be"),
        (["--network=host", *SEALED], "with --network=host"),
        ([*SEALED, "-network=sandbox"], "with --network=sandbox"),
        ([*SEALED, "--network=None"], "with --network=None"),
        ([*SEALED, "--network="], "with --network="),
        ([*SEALED, "--host-uds=create"], "with --host-uds=create"),
        # the next word is the value
        ([*SEALED, "-network", "sandbox"], "with '-network', which is not written as"),
        ([*SEALED, "--network", "none"], "with '--network'"),
        # swallows the flag behind it
        (["--debug-log", *SEALED], "with '--debug-log'"),
        # ends the flags
        (["--", *SEALED], "with '--'"),
        (["-", *SEALED], "with '-'"),
        (["", *SEALED], "with ''"),
        (["run", *SEALED], "with 'run'"),
        (["--oci-seccomp", "false", *SEALED], "with 'false'"),
        (["---network=none", *SEALED], "with '---network=none'"),
        (["--=none", *SEALED], "with '--=none'"),
    ],
)
def test_what_opens_or_could_be_read_in_two_ways_is_told(arguments: list[str], why: str) -> None:
    told = why_not_sealed(arguments)
    assert told is not None
    assert told.startswith(why)


def test_what_is_told_is_bounded() -> None:
    for argument in ("x" * 10_000, "--network=" + "x" * 10_000):
        told = why_not_sealed([*SEALED, argument])
        assert told is not None
        assert len(told) < 200


SWITCHES = {"oci-seccomp", "debug", "strace"}
WORDS = st.one_of(
    st.sampled_from(SEALED),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["", "-", "--", "---"]),
        st.sampled_from(["network", "host-uds", "oci-seccomp", "debug", "debug-log", "run", ""]),
        st.sampled_from(
            ["", "=", "=none", "=host", "=all", "=true", "=false", "=1", "=0", "=T", "=a=b"]
        ),
    ),
)


def go_reads(arguments: list[str]) -> dict[str, str]:
    """What Go's `flag.Parse` makes of them, the last of each holding; `ValueError` if it fails."""
    values: dict[str, str] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        if len(word) < 2 or word[0] != "-":
            break
        name = word[2:] if word[1] == "-" else word[1:]
        if not name and word == "--":
            break
        if not name or name[0] in "-=":
            raise ValueError("bad flag syntax")
        name, has_value, value = name.partition("=")
        if name in SWITCHES:
            values[name] = value if has_value else "true"
            continue
        if not has_value:
            if not words:
                raise ValueError("flag needs an argument")
            value = words.pop(0)
        values[name] = value
    return values


@given(st.lists(WORDS, max_size=8))
def test_what_is_taken_for_sealed_is_so_as_go_reads_it(arguments: list[str]) -> None:
    for sealed in (arguments, [*SEALED, *arguments], [*arguments, *SEALED]):
        if why_not_sealed(sealed) is None:
            read = go_reads(sealed)
            assert (read["network"], read["host-uds"]) == ("none", "all")
            assert read["oci-seccomp"] in {"1", "t", "T", "true", "TRUE", "True"}


@given(st.permutations(SEALED), st.sampled_from(["--network=host", "-network=", "--host-uds=none"]))
def test_one_flag_that_opens_is_found_wherever_it_stands(order: list[str], opening: str) -> None:
    for place in range(len(order) + 1):
        assert why_not_sealed([*order[:place], opening, *order[place:]]) is not None
