"""The container engine, through the `docker` command."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hakoiri.image.command import OnLine, answer, run
from hakoiri.image.errors import ImageBuildError

SHORT_TIMEOUT_S: Final = 30.0
BUILD_TIMEOUT_S: Final = 1800.0
_MEND: Final = "see whether `docker info` answers; DOCKER_HOST names another engine"


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
