"""Why a call does not reach the engine."""

from typing import Final

from hakoiri.wire.problems import AUDIT_TITLE, AUDIT_UNAVAILABLE, Problem

TITLES: Final = {
    400: "Bad request",
    403: "Refused by the docker guard",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    411: "Length required",
    413: "Content too large",
    415: "Unsupported media type",
    500: "The docker guard failed",
    502: "The container engine's answer cannot be used",
    503: "The container engine does not answer",
    507: "The host's disk is full",
}

TITLES_OF_CODES: Final = {AUDIT_UNAVAILABLE: AUDIT_TITLE}
"""Where the status alone would say something else."""


class CallRefusedError(Exception):
    """The call is refused: a stable `code`, an HTTP `status`, a `detail` that names the field."""

    def __init__(self, code: str, detail: str, *, status: int = 403) -> None:
        """Keep what the caller and the log are told."""
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status

    def problem(self) -> Problem:
        """Return it as it goes over the wire."""
        return Problem.of(
            self.code,
            title=TITLES_OF_CODES.get(self.code)
            or TITLES.get(self.status, "The container engine refused"),
            status=self.status,
            detail=self.detail,
        )
