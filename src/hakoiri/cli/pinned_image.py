"""What the image's name means at our start: the content id that is held to from then on."""

import asyncio
import re
from http import HTTPStatus
from typing import Final

from hakoiri.cli.workspace_image import image_reference, read_public_key
from hakoiri.docker_guard.engine_client import EngineClient
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.host.settings import Settings
from hakoiri.image.errors import ImageBuildError
from hakoiri.image.signature import (
    SignatureRefusedError,
    directory_of,
    read_signed,
    verify_image,
)

IMAGE_ID: Final = re.compile(r"sha256:[0-9a-f]{64}")
ASK_TIMEOUT_S: Final = 60.0
FIRST_SERVER_ERROR: Final = 500


class EngineSilentError(ImageBuildError):
    """The engine does not answer what it has; a later start may go well."""


def trusted_image(settings: Settings) -> str:
    """Return the id of the image that containers are made of; it is signed, where a key is set.

    The engine is asked once, here, by root's side: a tag may name another image a moment later.

    Raises:
        EngineSilentError: the engine does not answer.
        ImageBuildError: the image is not known or not there, or not signed with the key.
    """
    image_id = image_id_of(image_reference(settings), docker_host=settings.docker_host)
    key = settings.container.image_public_key
    if key is None:
        return image_id
    try:
        verify_image(
            read_signed(directory_of(settings.container.image_signatures, image_id)),
            image_id=image_id,
            public_key=read_public_key(key),
        )
    except SignatureRefusedError as error:
        raise SignatureRefusedError(f"HAKOIRI_CONTAINER__IMAGE_PUBLIC_KEY: {error}") from error
    return image_id


def image_id_of(reference: str, *, docker_host: str) -> str:
    """Return the content id that the engine gives a name; an id is its own, and is not asked about.

    Over the engine's socket: where the guard runs there may be no `docker` command.

    Raises:
        EngineSilentError: the engine does not answer.
        ImageBuildError: it has no such image, or its answer cannot be used.
    """
    if IMAGE_ID.fullmatch(reference) is not None:
        return reference
    try:
        shown = asyncio.run(_inspected(reference, docker_host))
    except TimeoutError:
        raise EngineSilentError(f"{docker_host} did not answer in {ASK_TIMEOUT_S:.0f} s") from None
    except CallRefusedError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise ImageBuildError(
                f"the engine has no image {reference}; `hakoiri image build` makes it"
            ) from error
        judged = EngineSilentError if error.status >= FIRST_SERVER_ERROR else ImageBuildError
        raise judged(f"asking for the image {reference}: {error.detail}") from error
    found = shown.get("Id") if isinstance(shown, dict) else None
    if not isinstance(found, str) or IMAGE_ID.fullmatch(found) is None:
        raise ImageBuildError(f"what the engine answers of the image {reference} cannot be used")
    return found


async def _inspected(reference: str, docker_host: str) -> object:
    async with asyncio.timeout(ASK_TIMEOUT_S), EngineClient(docker_host) as engine:
        return (await engine.call("GET", f"/images/{reference}/json")).document
