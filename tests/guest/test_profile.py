"""The profile in a kernel that has AppArmor: what it refuses, that nothing else did, what works."""

from collections.abc import Sequence

import pytest
from tests.guest.judgement import Record, confined, not_refused, of_kind, refused_by
from tests.guest.mutants import MUTANTS, opened_by
from tests.guest.trials import PROFILE, programs

from hakoiri.wire.probe import ProbeReport

pytestmark = [pytest.mark.guest, pytest.mark.engine, pytest.mark.root, pytest.mark.timeout(3600)]

ENFORCED = f"{PROFILE} (enforce)"


def test_the_guest_did_all_that_was_planned(records: Sequence[Record]) -> None:
    assert [one for one in records if one["kind"] == "broken"] == []
    (engine,) = (one for one in records if one["kind"] == "engine")
    assert "name=apparmor" in engine["SecurityOptions"]
    assert engine["CgroupVersion"] == "2"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("check", 0, "can be compiled"),
        ("verify before", 1, "is not loaded"),
        ("load", 0, "is loaded, in enforce mode"),
        ("load again", 0, "is loaded, in enforce mode"),
        ("verify", 0, "is loaded, in enforce mode"),
        ("unload in use", 1, "processes have the profile"),
        ("unload", 0, "is not loaded"),
        ("unload again", 0, "is not loaded"),
        ("verify after", 1, "is not loaded"),
    ],
)
def test_the_loader_says_and_does_what_it_should(
    records: Sequence[Record], command: str, code: int, said: str
) -> None:
    done = of_kind(records, "script", command)
    assert done["code"] == code, done
    assert said in done["out"] + done["err"]


def test_every_process_of_a_sealed_container_is_in_the_profile(records: Sequence[Record]) -> None:
    container = of_kind(records, "container", "sealed")
    assert container["status"] == 204, container
    assert confined(container["labels"]) == {ENFORCED}
    assert f"{PROFILE} (enforce)" in next(
        one["listed"] for one in records if one["kind"] == "profiles"
    )


def test_each_rule_refuses_what_works_without_the_profile(records: Sequence[Record]) -> None:
    faults = not_refused(
        "with-capabilities",
        control=of_kind(records, "acts", "unconfined"),
        tried=of_kind(records, "acts", "with-capabilities"),
    )
    assert faults == {}


def test_root_has_no_right_of_root_under_the_profile(records: Sequence[Record]) -> None:
    control = of_kind(records, "acts", "capable-unconfined")
    tried = of_kind(records, "acts", "capable-confined")
    assert not_refused(PROFILE, control=control, tried=tried) == {}
    assert all("capable" in line for line in refused_by(PROFILE, tried).values())


def test_without_the_rule_of_capabilities_its_acts_are_seen_to_work(
    records: Sequence[Record],
) -> None:
    control = of_kind(records, "acts", "capable-unconfined")
    opened = of_kind(records, "acts", "capable-opened")
    faults = not_refused("with-capabilities", control=control, tried=opened)
    assert set(faults) == {act["act"] for act in control["acts"]}


@pytest.mark.parametrize("mutant", sorted(MUTANTS))
def test_a_rule_that_is_opened_is_seen(records: Sequence[Record], mutant: str) -> None:
    faults = not_refused(
        mutant,
        control=of_kind(records, "acts", "unconfined"),
        tried=of_kind(records, "acts", mutant),
    )
    assert set(faults) == opened_by(mutant)


def test_a_profile_that_only_complains_is_seen(records: Sequence[Record]) -> None:
    control = of_kind(records, "acts", "unconfined")
    tried = of_kind(records, "acts", "complaining")
    faults = not_refused("complaining", control=control, tried=tried)
    assert set(faults) == {act["act"] for act in control["acts"]}
    labels = confined(of_kind(records, "container", "complaining")["labels"])
    assert labels == {"complaining (complain)"}


def test_a_sealed_container_can_do_none_of_it(records: Sequence[Record]) -> None:
    tried = of_kind(records, "acts", "sealed")
    assert len(tried["acts"]) == len(of_kind(records, "acts", "unconfined")["acts"])
    assert [act["act"] for act in tried["acts"] if act["error"] == 0] == []


def test_the_agent_answers_through_its_socket(records: Sequence[Record]) -> None:
    agent = of_kind(records, "agent", "sealed")
    assert (agent["status"], agent["health"]["state"]) == (200, "ready")


@pytest.mark.parametrize("program", sorted(programs()))
def test_honest_programs_work_and_nothing_of_theirs_is_refused(
    records: Sequence[Record], program: str
) -> None:
    done = of_kind(records, "program", program)
    assert (done["code"], done["trial"]) == (0, "sealed"), (done["out"], done["err"])
    assert f"{program}: all done" in done["out"]
    assert done["log"] == []


def test_the_probe_finds_nothing_open_under_the_profile(records: Sequence[Record]) -> None:
    report = ProbeReport.model_validate_json(of_kind(records, "program", "probe")["out"])
    # the guest has no proxy, and one that could not be asked has refused nothing
    assert [one.name for one in report.open] == ["proxy socket: speak without a policy"]
    label = next(one for one in report.findings if one.name == "posture: AppArmor label")
    assert (label.result, label.how) == ("refused", ENFORCED)
    assert len(report.findings) > 200
