"""What the rehearsal model and the proxy that calls it must both know."""

import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from hakoiri.cli.supervisor.preparation import PreparationError
from hakoiri.rehearsal.script import ScriptError, read_script


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Where the rehearsal model listens, and the keys it accepts (secret to nobody)."""

    port: int
    access_key_id: str
    secret_access_key: str

    @property
    def environment(self) -> dict[str, str]:
        """What the rehearsal model and the proxy must both know."""
        return {
            "HAKOIRI_REHEARSAL_ACCESS_KEY_ID": self.access_key_id,
            "HAKOIRI_REHEARSAL_SECRET_ACCESS_KEY": self.secret_access_key,
        }


def new_rehearsal(port: int) -> Rehearsal:
    """Make keys for one run; a port of 0 becomes a free one."""
    if port == 0:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    return Rehearsal(port, f"AKIA{secrets.token_hex(8).upper()}", secrets.token_hex(20))


def check_rehearsal_script(content: bytes, path: Path) -> None:
    """Raise `PreparationError`, which names the setting and the file, if it cannot be played."""
    try:
        read_script(content.decode("utf-8"), source=str(path))
    except UnicodeDecodeError as error:
        raise PreparationError(
            f"HAKOIRI_MODEL__REHEARSAL_SCRIPT: {path} is not text (UTF-8)"
        ) from error
    except ScriptError as error:
        raise PreparationError(f"HAKOIRI_MODEL__REHEARSAL_SCRIPT: {error}") from error
