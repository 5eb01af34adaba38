"""Whether AppArmor confines containers, as far as that is known, purely.

The engine says nothing where a profile that it was given does nothing: on a kernel without AppArmor
it runs the container all the same (Docker 20.10). So what is known is put together here, and told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from hakoiri.host.launch import AppArmorKnown

OWN_PROFILE: Final = "workspace-container"
"""The name of the profile that ships."""

ENGINE_OPTION: Final = "apparmor"
"""What `GET /info` of the engine lists in SecurityOptions as `name=apparmor`."""

ENGINE_PROFILE: Final = "docker-default"
"""What the engine makes and applies by itself (Docker's AppArmor page)."""

LOAD: Final = "`deployment/apparmor/load.sh load`"
_NAME: Final = f"HAKOIRI_CONTAINER__APPARMOR_PROFILE={OWN_PROFILE}"


class ConfinementState(StrEnum):
    """How sure the layer is."""

    CONFINED = "confined"
    """Each container is put under the named profile, and the kernel enforces that."""

    DEGRADED = "degraded"
    """It is not, or under the engine's own wider profile; the other layers hold."""

    UNKNOWN = "unknown"
    """It cannot be told."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What is known. `mend` is empty exactly when containers are confined."""

    state: ConfinementState
    profile: str | None
    reason: str
    mend: str = ""


def judge_confinement(
    *,
    profile: str | None,
    kernel: AppArmorKnown,
    engine_options: Sequence[str] | None,
    runtime: Literal["runc", "runsc"] = "runc",
) -> Confinement:
    """Put together what is known.

    `profile` is the setting's, `kernel` what was seen of it, `engine_options` the names of the
    security options that the engine lists, None if it did not answer.
    """
    degraded, unknown = ConfinementState.DEGRADED, ConfinementState.UNKNOWN
    if not kernel.enabled:
        return Confinement(
            degraded,
            profile,
            "the kernel has no AppArmor; containers have the other layers only",
            "boot a kernel with AppArmor (apparmor=1 security=apparmor)",
        )
    if engine_options is None:
        return Confinement(
            unknown, profile, "the engine does not say whether it uses AppArmor", "start the engine"
        )
    if ENGINE_OPTION not in engine_options:
        return Confinement(
            degraded,
            profile,
            "the kernel has AppArmor, the engine does not use it",
            "install the package apparmor and restart the engine",
        )
    if profile is None:
        return Confinement(
            degraded,
            None,
            "no profile is named; containers get the engine's own, which is wider",
            f"{LOAD}, and set {_NAME}",
        )
    if runtime == "runsc":
        return Confinement(
            degraded,
            profile,
            "runsc ignores AppArmor profiles; its own kernel stands in their place",
            "run containers with HAKOIRI_CONTAINER__RUNTIME=runc, if the profile matters more",
        )
    return _of_the_profile(profile, kernel)


def label_of_a_box(
    *, profile: str | None, kernel: AppArmorKnown, engine_options: Sequence[str]
) -> str | None:
    """Return the label that the processes of a box must have; None where the kernel has no labels.

    As apparmor(7) writes labels. An engine that applies AppArmor puts containers under its own
    profile where none is named.
    """
    is_applied = ENGINE_OPTION in engine_options
    label = f"{profile or ENGINE_PROFILE} (enforce)" if is_applied else "unconfined"
    return label if kernel.enabled else None


def _of_the_profile(profile: str, kernel: AppArmorKnown) -> Confinement:
    if kernel.profiles is None:
        return Confinement(
            ConfinementState.UNKNOWN,
            profile,
            f"cannot tell whether {profile} is loaded: the kernel's list cannot be read",
            "run as root, on the host, with securityfs mounted on /sys/kernel/security",
        )
    mode = kernel.profiles.get(profile)
    if mode == "enforce":
        return Confinement(
            ConfinementState.CONFINED, profile, f"the engine applies {profile}, in enforce mode"
        )
    said = "is not loaded, so no container starts" if mode is None else f"is in {mode} mode"
    return Confinement(ConfinementState.DEGRADED, profile, f"{profile} {said}", LOAD)
