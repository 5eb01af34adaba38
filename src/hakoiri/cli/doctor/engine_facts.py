"""What the container engine says of itself."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hakoiri.cli.doctor.engine_socket import read_info

ANSWER_TIMEOUT_S = 20.0
UNIX = "unix://"

LIMIT_FIELDS = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "PidsLimit": "pids",
    "CpuCfsQuota": "cpu",
}
"""Fields of the engine's `GET /info` (Docker Engine API v1.41) that our limits rely on."""


class EngineUnknownError(Exception):
    """The engine could not be asked; the message says why."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What the checks need of the engine's `GET /info`."""

    version: str
    storage_driver: str
    cgroup_version: str
    lacking_limits: tuple[str, ...]
    security_options: tuple[str, ...]
    runtimes: Mapping[str, tuple[str, ...]]
    """The arguments of each registered runtime."""

    root_directory: str

    def security_option_names(self) -> tuple[str, ...]:
        """Return the names of the security options: apparmor, seccomp, userns and the like."""
        fields = (part for option in self.security_options for part in option.split(","))
        return tuple(part.removeprefix("name=") for part in fields if part.startswith("name="))

    def security_option(self, name: str) -> dict[str, str] | None:
        """Return the fields of a security option such as `name=seccomp,profile=default`."""
        for option in self.security_options:
            fields = dict(part.partition("=")[::2] for part in option.split(","))
            if fields.get("name") == name:
                return fields
        return None


def parse_info(raw: str) -> EngineFacts:
    """Read the JSON of `GET /info`. Raises `EngineUnknownError` if it is something else."""
    try:
        info = json.loads(raw)
    except ValueError as error:
        raise EngineUnknownError("the docker command gave no JSON") from error
    if not isinstance(info, dict) or not info.get("ServerVersion"):
        raise EngineUnknownError("no engine answers")
    runtimes = info.get("Runtimes") or {}
    return EngineFacts(
        version=str(info["ServerVersion"]),
        storage_driver=str(info.get("Driver", "")),
        # absent before API v1.41, where it was always 1
        cgroup_version=str(info.get("CgroupVersion") or "1"),
        lacking_limits=tuple(
            limit for field, limit in LIMIT_FIELDS.items() if info.get(field) is not True
        ),
        security_options=tuple(str(option) for option in info.get("SecurityOptions") or ()),
        runtimes={name: _arguments(runtime) for name, runtime in runtimes.items()},
        root_directory=str(info.get("DockerRootDir", "")),
    )


def _arguments(runtime: Any) -> tuple[str, ...]:
    arguments = runtime.get("runtimeArgs") if isinstance(runtime, dict) else None
    return tuple(str(argument) for argument in arguments or ())


def read_engine(docker_host: str) -> EngineFacts:
    """Ask the engine at `docker_host` (`unix:///…`). Raises `EngineUnknownError`."""
    if shutil.which("docker") is None and docker_host.startswith(UNIX):
        try:
            path = Path(docker_host.removeprefix(UNIX))
            return parse_info(read_info(path, timeout_s=ANSWER_TIMEOUT_S))
        except OSError as error:
            raise EngineUnknownError(str(error)) from error
    return parse_info(run_docker(docker_host, "info", "--format", "{{json .}}"))


def has_image(docker_host: str, reference: str) -> bool:
    """Whether the engine has an image of that name. Raises `EngineUnknownError`."""
    return bool(run_docker(docker_host, "image", "ls", "--quiet", reference).strip())


def run_docker(docker_host: str, *arguments: str) -> str:
    """Return the output of the docker command. Raises `EngineUnknownError` with its last line."""
    command = ["docker", "--host", docker_host, *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - the command is ours, the host is the operator's
            command, capture_output=True, text=True, timeout=ANSWER_TIMEOUT_S, check=True
        )
    except FileNotFoundError as error:
        raise EngineUnknownError("there is no docker command") from error
    except subprocess.TimeoutExpired as error:
        raise EngineUnknownError(f"no answer within {ANSWER_TIMEOUT_S:.0f} s") from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        raise EngineUnknownError(lines[-1] if lines else "the docker command failed") from error
    return done.stdout
