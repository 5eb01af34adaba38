"""What the docker guard lets through: containers like those that the server is set to make."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from hakoiri.docker_guard.rules import DiskRules, DiskSize, LimitCeilings, Rules
from hakoiri.host.containers.box import read_box
from hakoiri.host.settings import Settings
from hakoiri.wire.messages import Runtime

MIB: Final = 1024 * 1024


def disk_rules(settings: Settings) -> DiskRules:
    """Return how large the disks of every box are; the server has no say in it."""
    container, guard = settings.container, settings.guard
    return DiskRules(
        workspace=DiskSize(bytes=container.workspace_mib * MIB, inodes=container.workspace_inodes),
        home=DiskSize(bytes=container.home_mib * MIB, inodes=container.home_inodes),
        floor_bytes=guard.disk_floor_mib * MIB,
        reserve=guard.reserve_disk,
    )


def guard_rules(
    settings: Settings,
    *,
    instances: Sequence[str],
    images: Mapping[str, str],
    runtimes: Sequence[Runtime],
) -> Rules:
    """Return the rules; profiles and ceilings are the settings'.

    `images` are ids by the name that the server asks for (`pinned_image`).

    Raises `BoxError` if a profile cannot be used.
    """
    box = read_box(settings, instance="")
    profiles = {runtime: box.seccomp_profiles[runtime] for runtime in runtimes}
    return Rules(
        instances=tuple(instances),
        images=dict(images),
        image_kept_days=settings.container.image_kept_days,
        runtimes=tuple(runtimes),
        seccomp_profiles=profiles,
        apparmor_profile=settings.container.apparmor_profile,
        ceilings=LimitCeilings.model_validate(dataclasses.asdict(box.limits())),
    )
