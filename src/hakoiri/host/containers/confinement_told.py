"""Whether AppArmor confines this server's containers, looked at once and told in the log."""

from typing import Protocol

import structlog

from hakoiri.host.containers.confinement import Confinement, ConfinementState, judge_confinement
from hakoiri.host.containers.ports import EngineError
from hakoiri.host.launch import ServerLaunch

log = structlog.get_logger(__name__)


class EngineOptions(Protocol):
    """The engine, as far as it is asked here. Errors are `EngineError`."""

    async def security_options(self) -> tuple[str, ...]:
        """Return the names of the layers that the engine says it has."""


async def look_at_confinement(launch: ServerLaunch, engine: EngineOptions) -> Confinement:
    """Ask the engine, judge with what root saw of the kernel, and log what is not as it should."""
    try:
        options: tuple[str, ...] | None = await engine.security_options()
    except EngineError:
        options = None
    container = launch.settings.container
    found = judge_confinement(
        profile=container.apparmor_profile,
        kernel=launch.apparmor,
        engine_options=options,
        runtime=container.runtime,
    )
    tell = log.info if found.state is ConfinementState.CONFINED else log.warning
    tell("apparmor", state=found.state.value, reason=found.reason, mend=found.mend)
    return found
