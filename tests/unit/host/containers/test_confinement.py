import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.containers.confinement import (
    OWN_PROFILE,
    Confinement,
    ConfinementState,
    judge_confinement,
)
from hakoiri.host.settings import AppArmorKnown

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


@given(
    profile=st.sampled_from([OWN_PROFILE, "other", None]),
    kernel=st.builds(
        AppArmorKnown,
        enabled=st.booleans(),
        profiles=st.none()
        | st.dictionaries(
            st.sampled_from([OWN_PROFILE, "other"]),
            st.sampled_from(["enforce", "complain", "kill"]),
        ),
    ),
    options=st.none() | st.lists(st.sampled_from(["apparmor", "seccomp"])).map(tuple),
)
def test_confined_means_that_kernel_engine_and_profile_are_all_known_to_be_there(
    profile: str | None, kernel: AppArmorKnown, options: tuple[str, ...] | None
) -> None:
    found = judged(kernel, options, profile)
    is_so = (
        kernel.enabled
        and "apparmor" in (options or ())
        and profile is not None
        and (kernel.profiles or {}).get(profile) == "enforce"
    )
    assert (found.state is ConfinementState.CONFINED) == is_so
    assert bool(found.mend) != is_so
