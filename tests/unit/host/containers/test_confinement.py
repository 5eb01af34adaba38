import pytest

from hakoiri.host.containers.confinement import (
    OWN_PROFILE,
    Confinement,
    ConfinementState,
    judge_confinement,
    label_of_a_box,
)
from hakoiri.host.launch import AppArmorKnown

LOADED = AppArmorKnown(enabled=True, profiles={OWN_PROFILE: "enforce", "docker-default": "enforce"})
ALL = ("seccomp", "apparmor")


def judged(
    kernel: AppArmorKnown = LOADED,
    options: tuple[str, ...] | None = ALL,
    profile: str | None = OWN_PROFILE,
) -> Confinement:
    return judge_confinement(profile=profile, kernel=kernel, engine_options=options)


def test_a_named_profile_that_the_kernel_enforces_confines() -> None:
    found = judged()
    assert (found.state, found.profile, found.mend) == ("confined", OWN_PROFILE, "")


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        (judged(AppArmorKnown()), "degraded", "the kernel has no AppArmor"),
        (judged(options=("seccomp",)), "degraded", "the engine does not use it"),
        (judged(options=None), "unknown", "does not say"),
        (judged(profile=None), "degraded", "no profile is named"),
        (judged(AppArmorKnown(enabled=True)), "unknown", "cannot tell"),
        (judged(AppArmorKnown(enabled=True, profiles={})), "degraded", "is not loaded"),
        (
            judged(AppArmorKnown(enabled=True, profiles={OWN_PROFILE: "complain"})),
            "degraded",
            "in complain mode",
        ),
    ],
)
def test_whatever_is_missing_is_named_with_a_mend(
    found: Confinement, state: str, said: str
) -> None:
    assert found.state == state
    assert said in found.reason
    assert found.mend


def test_runsc_ignores_profiles_and_that_is_told() -> None:
    found = judge_confinement(
        profile=OWN_PROFILE, kernel=LOADED, engine_options=ALL, runtime="runsc"
    )
    assert found.state is ConfinementState.DEGRADED
    assert "runsc ignores" in found.reason


def test_confined_means_that_kernel_engine_and_profile_are_all_known_to_be_there() -> None:
    lists: list[dict[str, str] | None] = [
        None,
        {},
        {OWN_PROFILE: "enforce"},
        {OWN_PROFILE: "complain"},
        {"other": "enforce"},
    ]
    confined = [
        (enabled, listed, options, profile)
        for enabled in (True, False)
        for listed in lists
        for options in (None, (), ("apparmor",), ("seccomp",), ALL)
        for profile in (OWN_PROFILE, "other", None)
        if judged(AppArmorKnown(enabled=enabled, profiles=listed), options, profile).state
        is ConfinementState.CONFINED
    ]
    assert confined == [
        (True, {name: "enforce"}, options, name)
        for name in (OWN_PROFILE, "other")
        for options in (("apparmor",), ALL)
    ]


@pytest.mark.parametrize(
    ("kernel", "options", "profile", "label"),
    [
        (AppArmorKnown(), ("seccomp",), OWN_PROFILE, None),
        (LOADED, ("seccomp",), OWN_PROFILE, "unconfined"),
        (LOADED, ALL, OWN_PROFILE, f"{OWN_PROFILE} (enforce)"),
        (LOADED, ALL, None, "docker-default (enforce)"),
        (
            AppArmorKnown(enabled=True, profiles={OWN_PROFILE: "complain"}),
            ALL,
            OWN_PROFILE,
            f"{OWN_PROFILE} (enforce)",
        ),
    ],
)
def test_which_label_a_box_must_have(
    kernel: AppArmorKnown, options: tuple[str, ...], profile: str | None, label: str | None
) -> None:
    assert label_of_a_box(profile=profile, kernel=kernel, engine_options=options) == label
