"""Docker Engine behind the `ContainerEngine` port, through aiodocker."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

import aiodocker
import aiohttp
from aiodocker.exceptions import DockerError

from hakoiri.host.containers.hardening import (
    CONTAINER_GID,
    CONTAINER_UID,
    LABEL_CONTAINER,
    LABEL_INSTANCE,
)
from hakoiri.host.containers.ports import EngineContainer, EngineError, ImageMissingError

REQUEST_TIMEOUT_S: Final = 60.0
HTTP_NOT_MODIFIED: Final = 304
HTTP_NOT_FOUND: Final = 404
HTTP_CONFLICT: Final = 409

SOCKET_VOLUME_OPTIONS: Final = (
    f"size=64k,nr_inodes=16,mode=0700,uid={CONTAINER_UID},gid={CONTAINER_GID},nosuid,nodev,noexec"
)
"""A container can put a socket there, and no more: it can fill neither the host's memory nor its
table of inodes."""


class DockerEngine:
    """The engine at `docker_host` (`unix:///…`). Use as an async context manager."""

    def __init__(self, docker_host: str) -> None:
        """Name the engine; nothing is opened yet."""
        self._docker_host = docker_host
        self._client: aiodocker.Docker | None = None

    async def __aenter__(self) -> Self:
        """Open the client; the engine is asked only when a call is made."""
        self._client = aiodocker.Docker(
            url=self._docker_host, timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    @property
    def _docker(self) -> aiodocker.Docker:
        if self._client is None:
            raise EngineError("the engine's client is not open")
        return self._client

    async def create(self, *, name: str, config: Mapping[str, Any]) -> str:
        """Create a container from an engine configuration; return the engine's id."""
        try:
            async with _our_errors(f"create the container {name}"):
                container = await self._docker.containers.create(dict(config), name=name)
                return container.id
        except EngineError as error:
            if _status(error) == HTTP_NOT_FOUND:
                raise ImageMissingError(
                    f"the engine has no image {config['Image']}; run `hakoiri image build`"
                ) from error
            raise

    async def start(self, engine_id: str) -> None:
        """Start it."""
        async with _our_errors(f"start the container {engine_id}"):
            await self._docker.containers.container(engine_id).start()

    async def stop(self, engine_id: str, *, grace_s: float) -> None:
        """Ask it to end, kill it after the grace; nothing happens if it is gone."""
        async with _our_errors(
            f"stop the container {engine_id}", HTTP_NOT_FOUND, HTTP_NOT_MODIFIED
        ):
            await self._docker.containers.container(engine_id).stop(t=round(grace_s))

    async def remove(self, engine_id: str) -> None:
        """Kill and remove it with its anonymous volumes; nothing happens if it is gone."""
        async with _our_errors(f"remove the container {engine_id}", HTTP_NOT_FOUND, HTTP_CONFLICT):
            await self._docker.containers.container(engine_id).delete(force=True, v=True)

    async def is_running(self, engine_id: str) -> bool:
        """Whether it exists and runs."""
        state = await self._state(engine_id)
        return bool(state.get("Running"))

    async def exit_reason(self, engine_id: str) -> str:
        """Say why it ended (exit code, out of memory), for an error message."""
        state = await self._state(engine_id)
        if not state:
            return "the engine has no such container any more"
        if state.get("OOMKilled"):
            return "it was killed for want of memory (HAKOIRI_CONTAINER__MEMORY_MIB)"
        said = str(state.get("Error") or "")
        return f"exit code {state.get('ExitCode')}" + (f": {said}" if said else "")

    async def _state(self, engine_id: str) -> Mapping[str, Any]:
        state: dict[str, Any] = {}
        async with _our_errors(f"inspect the container {engine_id}", HTTP_NOT_FOUND):
            state.update((await self._docker.containers.container(engine_id).show())["State"])
        return state

    async def list_ours(self, instance: str) -> list[EngineContainer]:
        """All containers with our instance's label, running or not."""
        async with _our_errors("list containers"):
            listed = await self._docker._query_json(  # noqa: SLF001 - its list() drops the labels
                "containers/json", method="GET", params={"all": "1", "filters": _ours(instance)}
            )
        return [
            EngineContainer(
                engine_id=entry["Id"],
                container_id=entry["Labels"].get(LABEL_CONTAINER, ""),
                running=entry["State"] == "running",
            )
            for entry in listed
        ]

    async def create_socket_volume(self, name: str, *, labels: Mapping[str, str]) -> Path:
        """Make the small tmpfs volume for `agent.sock`; return where the host sees it."""
        async with _our_errors(f"create the volume {name}"):
            volume = await self._docker.volumes.create(
                {
                    "Name": name,
                    "Driver": "local",
                    "DriverOpts": {"type": "tmpfs", "device": "tmpfs", "o": SOCKET_VOLUME_OPTIONS},
                    "Labels": dict(labels),
                }
            )
            shown = await volume.show()
            return Path(shown["Mountpoint"])

    async def remove_volume(self, name: str) -> None:
        """Remove a volume; nothing happens if it is gone."""
        async with _our_errors(f"remove the volume {name}", HTTP_NOT_FOUND):
            await (await self._docker.volumes.get(name)).delete(force=True)

    async def list_volumes(self, instance: str) -> list[str]:
        """Names of all volumes with our instance's label."""
        async with _our_errors("list volumes"):
            listed = await self._docker._query_json(  # noqa: SLF001 - its list() cannot filter by label value
                "volumes", method="GET", params={"filters": _ours(instance)}
            )
        return [entry["Name"] for entry in listed["Volumes"] or []]

    async def image_id(self, reference: str) -> str:
        """Return the content id of an image; `ImageMissingError` if there is none."""
        try:
            async with _our_errors(f"inspect the image {reference}"):
                shown = await self._docker.images.inspect(reference)
                return str(shown["Id"])
        except EngineError as error:
            if _status(error) == HTTP_NOT_FOUND:
                raise ImageMissingError(
                    f"the engine has no image {reference}; run `hakoiri image build`"
                ) from error
            raise

    async def check(self, *, runtime: str) -> None:
        """Raise `EngineError` if the engine is away or lacks the runtime."""
        async with _our_errors("ask the engine how it is"):
            info = await self._docker.system.info()
        if runtime not in info["Runtimes"]:
            raise EngineError(
                f"the engine has no runtime {runtime}; it has {', '.join(sorted(info['Runtimes']))}"
            )


@asynccontextmanager
async def _our_errors(what: str, *fine: int) -> AsyncIterator[None]:
    """Turn the client's errors into ours; statuses in `fine` end the block without an error."""
    try:
        yield
    except DockerError as error:
        if error.status not in fine:
            raise EngineError(f"cannot {what}: {error.message}") from error
    except (aiohttp.ClientError, OSError) as error:
        said = str(error) or type(error).__name__
        raise EngineError(f"cannot {what}: the container engine does not answer ({said})") from (
            error
        )


def _status(error: EngineError) -> int | None:
    cause = error.__cause__
    return cause.status if isinstance(cause, DockerError) else None


def _ours(instance: str) -> str:
    return f'{{"label":["{LABEL_INSTANCE}={instance}"]}}'
