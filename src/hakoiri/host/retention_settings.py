"""How many recovery points a workspace's list holds, and for how long."""

from typing import Self

from pydantic import Field, model_validator

from hakoiri.host.settings_section import Section

AGE_MIN_S = 3600
"""What was there an hour ago can be gone back to, whatever is set."""


class RetentionSettings(Section):
    """What stays in each workspace's list of recovery points; the newest always does."""

    points: int = Field(default=100, ge=1, le=10_000)
    """Beside those that are kept, the newest so many stay."""

    running_points: int = Field(default=20, ge=0, le=10_000)
    """Of these, so many from within turns."""

    age_s: float = Field(default=2_592_000, ge=0, le=315_360_000)
    """One that has not been the newest for longer goes; 0 means that age alone lets none go."""

    kept_points: int = Field(default=100, ge=0, le=1000)
    """So many may be kept for good."""

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.running_points > self.points:
            raise ValueError(
                f"running_points: {self.running_points} of {self.points} points are too many; "
                "lower it, or raise points"
            )
        if 0 < self.age_s < AGE_MIN_S:
            raise ValueError(f"age_s: at least {AGE_MIN_S}, or 0 for no limit")
        return self
