"""Docker Engine behind the `ContainerEngine` port, through aiodocker and the docker guard."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Self, TypeVar

import aiodocker
import aiohttp
from aiodocker.exceptions import DockerError
from pydantic import ValidationError

from hakoiri.host.containers.ports import (
    EngineAwayError,
    EngineContainer,
    EngineError,
    EngineFaultError,
    ImageMissingError,
)
from hakoiri.tracing.spans import spanned
from hakoiri.wire.guard import (
    API_VERSION,
    LABEL_CONTAINER,
    LABEL_INSTANCE,
    LABEL_RUNTIME,
    BoxDirectories,
    BoxList,
    CollectedImages,
)
from hakoiri.wire.messages import Message
from hakoiri.wire.problems import Problem

REQUEST_TIMEOUT_S: Final = 60.0
BOX_REMOVAL_TIMEOUT_S: Final = 130.0
"""Longer than the guard itself gives a removal: a workspace may hold a million files."""

HTTP_NOT_MODIFIED: Final = 304
HTTP_NOT_FOUND: Final = 404
HTTP_CONFLICT: Final = 409
HTTP_FAULT: Final = 500
HTTP_UNAVAILABLE: Final = 503
"""The guard's word for an engine that does not answer."""

CLIENT_NO_CONNECTION: Final = 900
"""What aiodocker says instead of a status."""

Told = TypeVar("Told", bound=Message)


class DockerEngine:
    """The engine behind the guard at `guard` (`unix:///…`). Use as an async context manager."""

    def __init__(self, guard: str) -> None:
        """Name the guard's socket; nothing is opened yet."""
        self._guard = guard
        self._client: aiodocker.Docker | None = None

    async def __aenter__(self) -> Self:
        """Open the client; the engine is asked only when a call is made."""
        self._client = aiodocker.Docker(
            url=self._guard,
            api_version=API_VERSION,
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
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

    @spanned("guard create", kind="client")
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

    @spanned("guard start", kind="client")
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

    async def pause(self, engine_id: str) -> None:
        """Freeze all its processes."""
        async with _our_errors(f"freeze the container {engine_id}"):
            await self._docker.containers.container(engine_id).pause()

    @spanned("guard thaw", kind="client")
    async def unpause(self, engine_id: str) -> None:
        """Let them run again; nothing happens if they do."""
        try:
            async with _our_errors(f"thaw the container {engine_id}"):
                await self._docker.containers.container(engine_id).unpause()
        except EngineError as error:
            if _status(error) is None or (await self._state(engine_id)).get("Paused"):
                raise

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
                # one that is frozen is there as well, with all its processes
                running=entry["State"] in ("running", "paused"),
                runtime="runsc" if entry["Labels"].get(LABEL_RUNTIME) == "runsc" else "runc",
            )
            for entry in listed
        ]

    @spanned("guard make box", kind="client")
    async def make_box(self, container_id: str) -> BoxDirectories:
        """Have the guard make the directories of a container that is to be created."""
        async with _our_errors(f"make the directories of {container_id}"):
            made = await self._docker._query_json(  # noqa: SLF001 - a call of the guard's own
                f"boxes/{container_id}", method="PUT", versioned_api=False
            )
        return _read(BoxDirectories, made)

    async def find_box(self, container_id: str) -> BoxDirectories | None:
        """Return where its directories are; None if there are none."""
        found: list[BoxDirectories] = []
        async with _our_errors(f"find the directories of {container_id}", HTTP_NOT_FOUND):
            told = await self._docker._query_json(  # noqa: SLF001 - a call of the guard's own
                f"boxes/{container_id}", method="GET", versioned_api=False
            )
            found.append(_read(BoxDirectories, told))
        return found[0] if found else None

    async def remove_box(self, container_id: str) -> None:
        """Have the guard remove its directories; nothing happens if they are gone."""
        async with (
            _our_errors(f"remove the directories of {container_id}"),
            self._docker._query(  # noqa: SLF001 - a call of the guard's own
                f"boxes/{container_id}",
                method="DELETE",
                versioned_api=False,
                timeout=aiohttp.ClientTimeout(total=BOX_REMOVAL_TIMEOUT_S),
            ),
        ):
            pass

    async def list_boxes(self) -> list[str]:
        """Ids of the containers that have directories."""
        return (await self._boxes()).containers

    async def _boxes(self) -> BoxList:
        async with _our_errors("list the containers' directories"):
            listed = await self._docker._query_json(  # noqa: SLF001 - a call of the guard's own
                "boxes", method="GET", versioned_api=False
            )
        return _read(BoxList, listed)

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

    async def collect_images(self) -> CollectedImages:
        """Have the guard take away old images of ours; tell which went."""
        async with _our_errors("take away old images"):
            told = await self._docker._query_json(  # noqa: SLF001 - a call of the guard's own
                "images/old", method="DELETE", versioned_api=False
            )
        return _read(CollectedImages, told)

    async def has_user_namespaces(self) -> bool:
        """Whether the engine gives containers users that are nobody on the host."""
        return "name=userns" in (await self._info())["SecurityOptions"]

    async def check(self, *, runtime: str) -> None:
        """Raise `EngineError` if the engine is away, lacks the runtime, or no box can be made."""
        info = await self._info()
        if runtime not in info["Runtimes"]:
            raise EngineError(
                f"the engine has no runtime {runtime}; it has {', '.join(sorted(info['Runtimes']))}"
            )
        if (trouble := (await self._boxes()).trouble) is not None:
            raise EngineError(f"no container can be made: {trouble}")

    async def _info(self) -> Mapping[str, Any]:
        info: dict[str, Any] = {}
        async with _our_errors("ask the engine how it is"):
            info.update(await self._docker.system.info())
        return info

    async def security_options(self) -> tuple[str, ...]:
        """Return the layers that the engine says it has: apparmor, seccomp, userns, cgroupns."""
        async with _our_errors("ask the engine how it is"):
            info = await self._docker.system.info()
        return tuple(
            str(option).removeprefix("name=") for option in info.get("SecurityOptions") or ()
        )


@asynccontextmanager
async def _our_errors(what: str, *fine: int) -> AsyncIterator[None]:
    """Turn the client's errors into ours; statuses in `fine` end the block without an error."""
    try:
        yield
    except DockerError as error:
        if error.status == CLIENT_NO_CONNECTION:
            raise EngineAwayError(f"cannot {what}: the docker guard does not answer") from error
        if error.status == HTTP_UNAVAILABLE:
            raise EngineAwayError(f"cannot {what}: {_said(error.message)}") from error
        if error.status not in fine:
            kind = EngineFaultError if error.status == HTTP_FAULT else EngineError
            raise kind(f"cannot {what}: {_said(error.message)}") from error
    except (aiohttp.ClientError, OSError) as error:
        said = str(error) or type(error).__name__
        raise EngineAwayError(
            f"cannot {what}: the docker guard does not answer ({said})"
        ) from error


def _read(form: type[Told], answer: object) -> Told:
    try:
        return form.model_validate(answer)
    except ValidationError as error:
        raise EngineError(f"the docker guard's answer cannot be used: {error}") from error


def _said(message: str) -> str:
    """Return a problem's own words; the client gives its whole document."""
    try:
        return Problem.model_validate_json(message).detail or message
    except ValidationError:
        return message


def _status(error: EngineError) -> int | None:
    cause = error.__cause__
    return cause.status if isinstance(cause, DockerError) else None


def _ours(instance: str) -> str:
    return f'{{"label":["{LABEL_INSTANCE}={instance}"]}}'
