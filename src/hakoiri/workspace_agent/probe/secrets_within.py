"""Secrets that must not be in the box: in any process's environment, or in a file of logins."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hakoiri.workspace_agent.probe.attempt import Attempt, RefusedError

_NAMES: Final = re.compile(
    r"(?i)(^|_)(api_?key|access_?key|secret|token|password|passwd|credential|auth)(_|$|s$)"
)
_HARMLESS_VALUES: Final = frozenset({"", "injected-by-the-credential-proxy"})
_HARMLESS_NAMES: Final = frozenset({"CLAUDE_CODE_SKIP_BEDROCK_AUTH"})
_LOGINS: Final = (
    ".aws/credentials", ".aws/config", ".netrc", ".git-credentials", ".npmrc", ".pypirc",
    ".docker/config.json", ".config/gh/hosts.yml", ".claude/.credentials.json", ".ssh/id_rsa",
    ".ssh/id_ed25519", ".kube/config",
)  # fmt: skip


def secret_attempts() -> list[Attempt]:
    """Return an attempt for each place where a secret could be."""
    home = Path.home()
    return [
        Attempt("secret in the environment", _own_environment),
        Attempt("secret in the environment of another process", _other_environments),
        *(Attempt(f"logins in {name}", _finder(home / name)) for name in _LOGINS),
        Attempt("secret beside the proxy socket", _key_files),
    ]


def _finder(path: Path) -> Callable[[], str]:
    def act() -> str:
        content = path.read_bytes()
        if not content.strip():
            raise RefusedError("it is empty")
        return f"{len(content)} bytes"

    return act


def telling_names(environment: dict[str, str]) -> list[str]:
    """Return the names of variables that seem to hold a secret."""
    return sorted(
        name
        for name, value in environment.items()
        if _NAMES.search(name) and value not in _HARMLESS_VALUES and name not in _HARMLESS_NAMES
    )


def _own_environment() -> str:
    return _tell(telling_names(dict(os.environ)))


def _other_environments() -> str:
    found: set[str] = set()
    looked_at = 0
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            raw = (directory / "environ").read_bytes()
        except OSError:
            continue
        looked_at += 1
        pairs = (entry.partition("=") for entry in raw.decode(errors="replace").split("\0"))
        found.update(telling_names({name: value for name, _, value in pairs}))
    if looked_at == 0:
        raise RefusedError("none can be read")
    return _tell(sorted(found))


def _key_files() -> str:
    for path in Path("/run/hakoiri").rglob("*.pem"):
        if b"PRIVATE KEY" in path.read_bytes():
            return f"a private key in {path}"
    raise RefusedError("no private key")


def _tell(names: list[str]) -> str:
    if not names:
        raise RefusedError("no variable that seems to hold one")
    return ", ".join(names)
