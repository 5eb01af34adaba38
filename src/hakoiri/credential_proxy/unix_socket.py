"""Listening Unix sockets, put in place at once."""

import os
import socket
from pathlib import Path
from typing import Final

from hakoiri.credential_proxy.errors import CredentialProxyError

PATH_LIMIT_BYTES: Final = 107
"""`sun_path` less its closing NUL (unix(7))."""

BACKLOG: Final = 1024
"""A full one fails a connect at once on a Unix socket, it does not wait (unix(7), EAGAIN)."""
_NEW_SUFFIX: Final = ".new"


class SocketPathError(CredentialProxyError):
    """A socket cannot be made at its path; the message tells the mend."""


def listen_at(path: Path, *, mode: int) -> socket.socket:
    """Listen at `path` with `mode`, replacing what is there without a gap.

    The socket is bound beside `path` and moved over it, so whoever connects finds the old one or
    the new one, never none and never one with the wrong mode.

    Raises:
        SocketPathError: the path is too long, or the directory does not take it.
    """
    new_path = path.with_name(path.name + _NEW_SUFFIX)
    if len(os.fsencode(new_path)) > PATH_LIMIT_BYTES:
        raise SocketPathError(
            f"{path}: a socket's path has at most {PATH_LIMIT_BYTES - len(_NEW_SUFFIX)} bytes;"
            " choose a shorter directory"
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        new_path.unlink(missing_ok=True)
        listener.bind(os.fspath(new_path))
        new_path.chmod(mode)
        listener.listen(BACKLOG)
        new_path.rename(path)
    except OSError as error:
        listener.close()
        raise SocketPathError(f"{path}: cannot listen there: {error.strerror}") from error
    return listener
