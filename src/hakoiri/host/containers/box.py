"""From the settings to the spec of a container: what every box of this server has in common."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, get_args

from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.environment import agent_environment, reckoned_processors
from hakoiri.host.containers.hardening import ContainerLimits, ContainerSpec
from hakoiri.host.containers.lifecycle import MakeSpec
from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.containers.seccomp import (
    PROFILE_LIMIT_BYTES,
    Profile,
    SeccompProfileError,
    filter_for,
    parse_profile,
    require_no_wider,
)
from hakoiri.host.settings import Settings
from hakoiri.wire.messages import Runtime

SHIPPED_PROFILE: Final = "workspace-seccomp.json"
"""A file of this package, so that it is wherever the code is; `deployment/seccomp` links to it."""


CPUS_USUAL_MAX: Final = 2.0
"""Of one container for which nothing is set, however many processors the host has."""


class BoxError(ContainersError):
    """What the settings name for the box cannot be used."""


@dataclass(frozen=True, slots=True)
class Box:
    """What every container's spec has in common but its image."""

    instance: str
    settings: Settings
    seccomp_profiles: Mapping[Runtime, str]
    """The filter as the engine gets it, for each runtime."""

    cpus: float
    """Processors that one container may use up."""

    def limits(self) -> ContainerLimits:
        """Return how much one container gets."""
        given = self.settings.container
        return ContainerLimits(
            memory_mib=given.memory_mib,
            cpus=self.cpus,
            pids=given.pids,
            tmp_mib=given.tmp_mib,
            shm_mib=given.shm_mib,
            open_files=given.open_files,
            file_limit_bytes=self.settings.files.file_limit_bytes,
        )

    def maker(self, image_id: str) -> MakeSpec:
        """Return the function that completes a container's spec."""
        model = self.settings.model
        environment = agent_environment(
            provider=model.provider,
            region=model.region,
            model=model.name,
            retries=model.retries,
            processors=reckoned_processors(self.cpus, processors=os.cpu_count() or 1),
        )

        def make_spec(container_id: str, runtime: Runtime | None = None) -> ContainerSpec:
            under = runtime or self.settings.container.runtime
            return ContainerSpec(
                instance=self.instance,
                container_id=container_id,
                image_id=image_id,
                runtime=under,
                limits=self.limits(),
                environment=environment,
                seccomp_profile=self.seccomp_profiles[under],
                apparmor_profile=self.settings.container.apparmor_profile,
            )

        return make_spec


def read_box(settings: Settings, *, instance: str) -> Box:
    """Read what the box's settings name; raise `BoxError` if it cannot be used."""
    cpus = box_cpus(settings.container.cpus, processors=os.cpu_count() or 1)
    profile = read_profile(settings.container)
    filters = {runtime: filter_for(runtime, profile) for runtime in get_args(Runtime)}
    return Box(instance, settings, filters, cpus)


def box_cpus(given: float | None, *, processors: int) -> float:
    """Return how many of the host's processors one container may use up.

    Half of them unless it is given, so that no box alone can hold up its neighbours. Raises
    `BoxError` for more than there are: the engine would refuse each container.
    """
    if given is None:
        return min(max(processors / 2, 1.0), CPUS_USUAL_MAX)
    if given > processors:
        raise BoxError(
            f"HAKOIRI_CONTAINER__CPUS: {given:g} are more than this host has; name at most "
            f"{processors}, or leave it out"
        )
    return given


def read_profile(settings: ContainerSettings) -> Profile:
    """Read the seccomp profile that the settings name, or the one that ships.

    Raises `BoxError` if it cannot be read, is no profile, or opens what the shipped one closes.
    """
    shipped = parse_profile(files(__package__).joinpath(SHIPPED_PROFILE).read_text("utf-8"))
    path = settings.seccomp_profile
    if path is None:
        return shipped
    try:
        given = parse_profile(_read_bounded(path))
        require_no_wider(given, shipped=shipped)
    except (OSError, UnicodeDecodeError, SeccompProfileError) as error:
        raise BoxError(f"HAKOIRI_CONTAINER__SECCOMP_PROFILE: cannot use {path}: {error}") from error
    return given


def _read_bounded(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(PROFILE_LIMIT_BYTES + 1)
    if len(content) > PROFILE_LIMIT_BYTES:
        raise SeccompProfileError(f"it has more than {PROFILE_LIMIT_BYTES} bytes")
    return content.decode("utf-8")
