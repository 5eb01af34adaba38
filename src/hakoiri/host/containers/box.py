"""From the settings to the spec of a container: what every box of this server has in common."""

from dataclasses import dataclass

from hakoiri.host.containers.environment import agent_environment
from hakoiri.host.containers.hardening import ContainerLimits, ContainerSpec
from hakoiri.host.containers.lifecycle import MakeSpec
from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.containers.seccomp import SeccompProfileError, filter_for
from hakoiri.host.settings import Settings


class BoxError(ContainersError):
    """What the settings name for the box cannot be used."""


@dataclass(frozen=True, slots=True)
class Box:
    """What every container's spec has in common but its image."""

    instance: str
    settings: Settings
    seccomp_profile: str | None

    def limits(self) -> ContainerLimits:
        """Return how much one container gets."""
        given = self.settings.container
        return ContainerLimits(
            memory_mib=given.memory_mib,
            cpus=given.cpus,
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
        )

        def make_spec(container_id: str) -> ContainerSpec:
            return ContainerSpec(
                instance=self.instance,
                container_id=container_id,
                image_id=image_id,
                runtime=self.settings.container.runtime,
                limits=self.limits(),
                environment=environment,
                seccomp_profile=self.seccomp_profile,
                apparmor_profile=self.settings.container.apparmor_profile,
            )

        return make_spec


def read_box(settings: Settings, *, instance: str) -> Box:
    """Read what the box's settings name; raise `BoxError` if it cannot be used."""
    given = settings.container
    path = given.seccomp_profile
    try:
        text = path.read_text(encoding="utf-8") if path is not None else None
        profile = filter_for(given.runtime, text)
    except (OSError, UnicodeDecodeError, SeccompProfileError) as error:
        raise BoxError(f"HAKOIRI_CONTAINER__SECCOMP_PROFILE: cannot use {path}: {error}") from error
    return Box(instance, settings, profile)
