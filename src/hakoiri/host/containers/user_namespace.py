"""Whether a container's user is nobody on the host: the engine decides, the operator is told."""

import structlog

from hakoiri.host.containers.ports import ContainerEngine

log = structlog.get_logger(__name__)


async def tell_user_namespace(engine: ContainerEngine) -> None:
    """Log whether the engine has userns-remap. Raises `EngineError` if it cannot be asked."""
    if await engine.has_user_namespaces():
        log.info("user_namespace", remapped=True)
    else:
        log.warning(
            "user_namespace",
            remapped=False,
            effect="a container's user ids are the host's",
            mend="docs/operations/userns-remap.md",
        )
