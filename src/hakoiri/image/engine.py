"""The container engine, through the `docker` command."""

import os
import re
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Final

from hakoiri.image.command import OnLine, answer, run
from hakoiri.image.errors import ImageBuildError

SHORT_TIMEOUT_S: Final = 30.0
BUILD_TIMEOUT_S: Final = 1800.0
_MEND: Final = (
    "see whether `docker info` answers; --docker-host (HAKOIRI_DOCKER_HOST) names another engine"
)


@dataclass(frozen=True, slots=True)
class ImageDescription:
    """An image as the engine names it: its content id (`sha256:…`), and when it was made."""

    image_id: str
    made: datetime


def _parse_time(text: str) -> datetime:
    """Parse RFC 3339 as the engine writes it: with up to nine digits of a second."""
    return datetime.fromisoformat(re.sub(r"(\.\d{1,6})\d*", r"\1", text))


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine at `docker_host`, or the default one."""

    docker_host: str | None
    environment: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Prepare the environment of each `docker` command."""
        host = {} if self.docker_host is None else {"DOCKER_HOST": self.docker_host}
        object.__setattr__(self, "environment", host)

    def has_image(self, tag: str) -> bool:
        """Tell if the engine has the image; `ImageBuildError` if the engine does not answer."""
        if self._ask("image", "inspect", "--format", "{{.Id}}", tag) is not None:
            return True
        self.root_directory()
        return False

    def root_directory(self) -> Path:
        """Return where the engine keeps images; `ImageBuildError` if it does not answer."""
        directory = self._ask("info", "--format", "{{.DockerRootDir}}")
        if not directory:
            raise ImageBuildError(f"no container engine answers; {_MEND}")
        return Path(directory)

    def describe(self, tag: str) -> ImageDescription:
        """Return what the engine knows of an image; `ImageBuildError` if it has none such."""
        said = self._ask("image", "inspect", "--format", "{{.Id}} {{.Created}}", tag)
        if said is None:
            self.root_directory()
            raise ImageBuildError(f"the engine has no image {tag}; `hakoiri image build` makes it")
        image_id, _, made = said.partition(" ")
        return ImageDescription(image_id=image_id, made=_parse_time(made))

    @contextmanager
    def saved(self, image_id: str) -> Iterator[IO[bytes]]:
        """Give the archive of an image's layers (`docker save`), to be read once.

        Raises:
            ImageBuildError: the engine broke off.
        """
        with self._output("save", image_id) as archive:
            yield archive

    @contextmanager
    def exported(self, image_id: str) -> Iterator[IO[bytes]]:
        """Give the archive of an image's file system (`docker export`), to be read once.

        Through a container that is never started, and removed afterwards.
        """
        name = f"hakoiri-export-{secrets.token_hex(8)}"
        container = self._ask("create", f"--name={name}", "--network=none", image_id)
        if container is None:
            raise ImageBuildError(f"cannot make a container of {image_id} to look into; {_MEND}")
        try:
            with self._output("export", container) as archive:
                yield archive
        finally:
            self._ask("rm", "--force", container)

    @contextmanager
    def _output(self, *arguments: str) -> Iterator[IO[bytes]]:
        command = ["docker", *arguments]
        with subprocess.Popen(  # noqa: S603 - our own fixed commands, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, **self.environment},
        ) as process:
            if process.stdout is None:
                raise ImageBuildError(f"docker {arguments[0]} gives no output")
            try:
                yield process.stdout
                process.stdout.read()  # what follows an archive's end mark
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            raise ImageBuildError(f"docker {arguments[0]} failed ({process.returncode}); {_MEND}")

    def import_root(self, archive: Path, *, tag: str) -> None:
        """Make an image of one layer from a root filesystem's tar archive."""
        run(
            ["docker", "import", str(archive), tag],
            what="importing the root filesystem",
            mend=_MEND,
            timeout_s=BUILD_TIMEOUT_S,
            environment=self.environment,
        )

    def build(
        self,
        context: Path,
        *,
        dockerfile: str,
        tag: str,
        arguments: Mapping[str, str],
        network: str,
        mend: str,
        on_line: OnLine,
    ) -> None:
        """Build an image from the context directory."""
        build_arguments = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        run(
            [
                *("docker", "build", "--force-rm", f"--network={network}", f"--tag={tag}"),
                *(f"--file={context / dockerfile}", *build_arguments, str(context)),
            ],
            what=f"building {tag}",
            mend=mend,
            timeout_s=BUILD_TIMEOUT_S,
            environment={**self.environment, "DOCKER_BUILDKIT": self._buildkit()},
            on_line=on_line,
        )

    def _buildkit(self) -> str:
        # a newer client without the buildx plugin refuses to build unless told to do it the old way
        return "0" if self._ask("buildx", "version") is None else "1"

    def _ask(self, *arguments: str) -> str | None:
        return answer(
            ["docker", *arguments], timeout_s=SHORT_TIMEOUT_S, environment=self.environment
        )
