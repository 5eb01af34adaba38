import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.containers.seccomp import (
    ADDABLE,
    SeccompProfileError,
    filter_for,
    parse_profile,
    require_no_wider,
)

NO_NAMESPACES = {"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}
SHIPPED: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "architectures": ["SCMP_ARCH_X86_64"],
    "syscalls": [
        {"names": ["read", "pselect6"], "action": "SCMP_ACT_ALLOW", "comment": "plain"},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [NO_NAMESPACES]},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["bpf", "mount"], "action": "SCMP_ACT_KILL_PROCESS"},
    ],
}


def profile(**changes: Any) -> str:
    return json.dumps(SHIPPED | changes)


def with_rule(**rule: Any) -> str:
    return profile(syscalls=[{"action": "SCMP_ACT_ALLOW", **rule}])


def judge(text: str) -> None:
    require_no_wider(parse_profile(text), shipped=parse_profile(profile()))


def test_the_names_of_a_profile_by_what_happens_to_them() -> None:
    parsed = parse_profile(profile())
    assert parsed.allowed_names() == {"read", "pselect6", "clone"}
    (condition,) = parsed.conditions()["clone"]
    assert [(one.index, one.value, one.valueTwo) for one in condition] == [(0, 0x7E020000, 0)]
    assert set(parsed.conditions()) == {"clone"}


def test_runc_gets_the_profile_as_it_is_but_for_the_comments() -> None:
    rules = [{key: rule[key] for key in rule if key != "comment"} for rule in SHIPPED["syscalls"]]
    assert json.loads(filter_for("runc", parse_profile(profile()))) == SHIPPED | {"syscalls": rules}


def test_runsc_gets_the_actions_and_names_it_knows_and_answers_clone3_itself() -> None:
    fitted = json.loads(filter_for("runsc", parse_profile(profile())))
    assert fitted["syscalls"] == [
        {"names": ["read", "pselect6", "pselect"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [NO_NAMESPACES]},
        {"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["bpf", "mount"], "action": "SCMP_ACT_KILL"},
        {"names": ["clone3"], "action": "SCMP_ACT_ALLOW"},
    ]


@pytest.mark.parametrize("killing", ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD"])
def test_runsc_gets_no_action_that_it_would_not_start_with(killing: str) -> None:
    logging = {"names": ["read"], "action": "SCMP_ACT_LOG"}
    parsed = parse_profile(profile(defaultAction=killing, syscalls=[logging]))
    fitted = json.loads(filter_for("runsc", parsed))
    assert fitted["defaultAction"] == "SCMP_ACT_KILL"
    assert fitted["syscalls"][0]["action"] == "SCMP_ACT_ALLOW"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "JSON"),
        ("[]", "the file"),
        ("{}", "defaultAction"),
        ("[" * 100_000, "JSON"),
        (profile(defaultAction="SCMP_ACT_ALLOW"), "defaultAction"),
        (profile(defaultAction="SCMP_ACT_LOG"), "defaultAction"),
        (profile(defaultAction="SCMP_ACT_TRACE"), "defaultAction"),
        (profile(architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]), "architectures"),
        (profile(architectures=["SCMP_ARCH_X32"]), "architectures"),
        (profile(architectures=[]), "architectures"),
        (profile(archMap=[]), "archMap"),
        (profile(DefaultAction="SCMP_ACT_ALLOW"), "DefaultAction"),
        (profile(listenerPath="/run/x.sock"), "listenerPath"),
        (with_rule(names=["read"], action="SCMP_ACT_NOTIFY"), r"syscalls\.0\.action"),
        (with_rule(names=["read"], action="SCMP_ACT_TRACE"), r"syscalls\.0\.action"),
        (with_rule(names=[]), r"syscalls\.0\.names"),
        (with_rule(name="read"), r"syscalls\.0\.name"),
        (with_rule(names=["socket"], Args=[]), r"syscalls\.0\.Args"),
        (with_rule(names=["socket"], args=[{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]), "ind"),
        (with_rule(names=["socket"], args=[{"index": 0, "value": 1, "op": "EQ"}]), "op"),
    ],
)
def test_what_is_no_whitelist_is_refused_with_the_place(text: str, named: str) -> None:
    with pytest.raises(SeccompProfileError, match=named):
        parse_profile(text)


@pytest.mark.parametrize(
    "text",
    [
        profile(),
        profile(defaultAction="SCMP_ACT_KILL_PROCESS"),
        with_rule(names=["read"]),
        with_rule(names=["clone"], args=[NO_NAMESPACES | {"valueTwo": 0}]),
        with_rule(names=["semget", "semop", "semtimedop", "semctl"]),
        # the engine heeds this for containers with the capability, and ours have none
        with_rule(names=["mount"], includes={"caps": ["CAP_SYS_ADMIN"]}),
        with_rule(names=["mount"], action="SCMP_ACT_ERRNO"),
    ],
    ids=["same", "stricter", "fewer", "its condition", "addable", "capability", "refused else"],
)
def test_a_profile_may_be_narrower_and_add_what_may_be_added(text: str) -> None:
    judge(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (with_rule(names=["read", "mount"]), "mount"),
        (with_rule(names=["bpf"], action="SCMP_ACT_LOG"), "bpf"),
        (with_rule(names=["ptrace"], includes={"minKernel": "4.8"}), "ptrace"),
        (with_rule(names=["bpf"], excludes={"caps": ["CAP_SYS_ADMIN"]}), "bpf"),
        (with_rule(names=["clone3"]), "clone3"),
        (with_rule(names=["clone"]), "clone"),
        (with_rule(names=["clone"], args=[NO_NAMESPACES | {"value": 0x10000000}]), "clone"),
        (with_rule(names=["clone"], args=[NO_NAMESPACES | {"op": "SCMP_CMP_NE"}]), "clone"),
    ],
)
def test_a_profile_that_opens_what_ours_closes_is_refused(text: str, named: str) -> None:
    with pytest.raises(SeccompProfileError, match=named):
        judge(text)


SILENT = ("uselib", "query_module", "_sysctl", "mq_open", "listns", "msgget", "some_call_of_2027")


@pytest.mark.parametrize("name", SILENT)
@pytest.mark.parametrize(
    "more",
    [{}, {"args": [NO_NAMESPACES]}, {"action": "SCMP_ACT_LOG"}, {"includes": {"arches": ["x"]}}],
    ids=["always", "under a condition", "with a record", "on some machine"],
)
def test_a_call_on_which_ours_is_silent_is_refused_by_name_with_the_mend(
    name: str, more: dict[str, Any]
) -> None:
    with pytest.raises(SeccompProfileError) as refused:
        judge(with_rule(names=["read", name], **more))
    assert f"it lets through {name}, which" in str(refused.value)
    assert "take that out" in str(refused.value)
    assert ", ".join(ADDABLE) in str(refused.value)


def test_many_names_are_told_bounded() -> None:
    with pytest.raises(SeccompProfileError, match="and 980 more") as refused:
        judge(with_rule(names=[f"call{number}" for number in range(1000)]))
    assert len(str(refused.value)) < 600


def test_what_may_be_added_is_short_and_says_why() -> None:
    """Whoever adds a call here changes this test, and with it what a review looks at."""
    assert set(ADDABLE) == {"semget", "semop", "semtimedop", "semctl"}
    assert all(ADDABLE.values())


NAMES = st.sampled_from(
    ["read", "clone", "clone3", "ptrace", "bpf", "mount", "semget", "uselib", "some_call_of_2027"]
)
RULES = st.lists(
    st.fixed_dictionaries(
        {
            "names": st.lists(NAMES, min_size=1, max_size=3),
            "action": st.sampled_from(
                ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"]
            ),
        },
        optional={"args": st.just([NO_NAMESPACES])},
    ),
    max_size=4,
)


@given(RULES, st.sampled_from(["runc", "runsc"]))
def test_whatever_is_accepted_lets_nothing_through_but_ours_and_what_may_be_added(
    rules: list[dict[str, Any]], runtime: Any
) -> None:
    text = profile(syscalls=rules)
    try:
        judge(text)
    except SeccompProfileError:
        return
    sent = json.loads(filter_for(runtime, parse_profile(text)))["syscalls"]
    through = [rule for rule in sent if rule["action"] in ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")]
    opened = {name for rule in through for name in rule["names"]}
    assert opened - {"clone3"} <= {"read", "clone", *ADDABLE}
    assert ("clone3" in opened) is (runtime == "runsc")
    assert all(rule.get("args") == [NO_NAMESPACES] for rule in through if "clone" in rule["names"])


@given(st.text(max_size=200))
def test_no_text_ends_in_anything_but_a_profile_or_its_error(text: str) -> None:
    with pytest.raises(SeccompProfileError):
        parse_profile(text)
