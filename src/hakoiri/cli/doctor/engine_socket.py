"""Asks an engine by its socket, where there is no docker command: in the image of the host."""

import socket
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

ANSWER_LIMIT_BYTES: Final = 1024 * 1024
OK: Final = 200


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path, *, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def read_info(path: Path, *, timeout_s: float) -> str:
    """Return what `GET /info` answers. Raises `OSError` if it is no such answer."""
    with closing(_UnixConnection(path, timeout_s=timeout_s)) as connection:
        try:
            connection.request("GET", "/info")
            answer = connection.getresponse()
            content = answer.read(ANSWER_LIMIT_BYTES + 1)
        except HTTPException as error:
            raise OSError(f"{path} does not speak HTTP") from error
    if answer.status != OK or len(content) > ANSWER_LIMIT_BYTES:
        raise OSError(f"{path} answers {answer.status}")
    return content.decode(errors="replace")
