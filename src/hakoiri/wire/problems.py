"""Problem documents (RFC 9457), the one shape in which every process refuses a request."""

from typing import Final

from pydantic import Field

from hakoiri.wire.messages import LenientMessage, ShortText

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
PROBLEM_TYPE_PREFIX: Final = "urn:hakoiri:problem:"
OVER_BUDGET: Final = "over-budget"
"""The code of a refusal because a budget is used up. In words for people it ends in brackets."""

AUDIT_UNAVAILABLE: Final = "audit-unavailable"
"""The code of a refusal because what is asked could not be recorded, or the record not be read."""

AUDIT_TITLE: Final = "The audit log cannot be used"


class Problem(LenientMessage):
    """`type` is stable and ends in the problem's code; `detail` names the field and the mend."""

    type: ShortText
    title: ShortText
    status: int = Field(ge=400, le=599)
    detail: ShortText = ""

    @classmethod
    def of(cls, code: str, *, title: str, status: int, detail: str = "") -> "Problem":
        """Build the problem whose stable `type` ends in `code`."""
        return cls(
            type=PROBLEM_TYPE_PREFIX + code, title=title, status=status, detail=detail[:4096]
        )

    @property
    def code(self) -> str:
        """The stable code, without the prefix."""
        return self.type.removeprefix(PROBLEM_TYPE_PREFIX)
