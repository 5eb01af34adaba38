"""Stand-ins for the commands that a build runs: small scripts in a directory on the PATH."""

from pathlib import Path

import pytest

IMAGE_ID = "sha256:" + "ab" * 32
MADE = "2026-01-02T03:04:05.123456789Z"


class Commands:
    """Commands that write down how they were called."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put only these and the shell's own tools on the PATH."""
        self._directory = directory / "bin"
        self._directory.mkdir()
        self._log = directory / "calls.log"
        self._log.touch()
        monkeypatch.setenv("PATH", f"{self._directory}:/usr/bin:/bin")
        monkeypatch.setenv("CALLS", str(self._log))

    def add(self, name: str, script: str = "") -> Path:
        """Add a command; `script` is shell, `$*` its arguments."""
        path = self._directory / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "$CALLS"\n{script}\n')
        path.chmod(0o755)
        return path

    @property
    def calls(self) -> list[str]:
        """The calls so far, each as one line."""
        return self._log.read_text().splitlines()

    def calls_of(self, start: str) -> list[str]:
        """The calls that begin so."""
        return [call for call in self.calls if call.startswith(start)]


def add_engine(
    commands: Commands, *, images: Path, root_directory: Path, buildx: bool = True
) -> None:
    """Add a `docker` that keeps the tags of its images as files below `images`."""
    images.mkdir(exist_ok=True)
    commands.add(
        "docker",
        f"""
        last() {{ for a; do :; done; echo "$a"; }}
        keep() {{ mkdir -p "{images}/$(dirname "$1")"; touch "{images}/$1"; }}
        case "$1 $2" in
          "image inspect") test -e "{images}/$(last "$@")" && echo "{IMAGE_ID} {MADE}" ;;
          "create "*) echo "c0ffee" ;;
          "export c0ffee") tar --create --directory="{images}" . ;;
          "rm --force") ;;
          "info --format") echo "{root_directory}" ;;
          "buildx version") exit {0 if buildx else 1} ;;
          "import "*) keep "$3" ;;
          "build "*)
            echo "Step 1/1 : buildkit=$DOCKER_BUILDKIT host=$DOCKER_HOST"
            for a; do case "$a" in --tag=*) keep "${{a#--tag=}}" ;; esac; done ;;
          *) exit 9 ;;
        esac
        """,
    )
