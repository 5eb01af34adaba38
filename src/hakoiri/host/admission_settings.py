"""Settings of admission: who may wait for a container, and what the host bears."""

from typing import Self

from pydantic import Field, model_validator

from hakoiri.host.settings_section import Section


class AdmissionSettings(Section):
    """Who waits when all containers are in use, and when memory counts as short.

    The percentages of `pressure_` are the share of the last 10 s in which some process waited for
    memory; those of `available_` the share of the host's memory that is available.
    """

    wait_s: float = Field(default=60, ge=1, le=3600)
    """A claim that got no container within this time is refused."""

    queue_limit: int = Field(default=256, ge=0, le=10_000)
    """Claims that may wait; more are refused at once. 0: none waits."""

    tenant_limit: int = Field(default=64, ge=0, le=10_000)
    """Claims of one tenant that may wait."""

    memory_overcommit: float = Field(default=8, ge=1, le=64)
    """So many times the host's memory may the limits of all containers be together."""

    memory_reserve_mib: int = Field(default=512, ge=0, le=1_048_576)
    """Memory that no container is counted to."""

    pressure_below_percent: float = Field(default=30, ge=0, le=100)
    """Pressure counts while less than this of the memory is available; 0: never."""

    pressure_hold_percent: float = Field(default=10, gt=0, le=100)
    pressure_drain_percent: float = Field(default=20, gt=0, le=100)
    pressure_wait_percent: float = Field(default=40, gt=0, le=100)
    available_hold_percent: float = Field(default=15, ge=0, lt=75)
    available_drain_percent: float = Field(default=10, ge=0, lt=75)
    available_wait_percent: float = Field(default=5, ge=0, lt=75)
    calm_s: float = Field(default=15, ge=0, le=3600)
    """A level of shortage is left once the host was clearly off its threshold for this long."""

    @model_validator(mode="after")
    def _levels_are_in_order(self) -> Self:
        if not (
            self.pressure_hold_percent <= self.pressure_drain_percent <= self.pressure_wait_percent
        ):
            raise ValueError("pressure_hold_percent <= pressure_drain_percent <= _wait_ is needed")
        if not (
            self.available_hold_percent
            >= self.available_drain_percent
            >= self.available_wait_percent
        ):
            raise ValueError(
                "available_hold_percent >= available_drain_percent >= _wait_ is needed"
            )
        return self
