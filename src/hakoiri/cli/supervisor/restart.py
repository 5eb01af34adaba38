"""When a process that died is started again, purely."""

from dataclasses import dataclass
from typing import Final

FIRST_DELAY_S: Final = 0.1
"""After the second death in a row; the first is answered at once."""

LONGEST_DELAY_S: Final = 5.0
STEADY_AFTER_S: Final = 30.0
"""A process that ran this long is taken to have been well: its next death counts as the first."""

USAGE_EXIT_CODE: Final = 2
"""A process that says its settings are wrong would say so again."""


@dataclass(frozen=True, slots=True)
class RestartState:
    """How often the process has died in a row, soon after its start."""

    failures: int = 0


@dataclass(frozen=True, slots=True)
class Restart:
    """Start it again after `delay_s`."""

    delay_s: float
    state: RestartState


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not start it again: everything ends with this exit code."""

    exit_code: int


def after_exit(state: RestartState, *, exit_code: int, ran_s: float) -> Restart | GiveUp:
    """Decide what follows when a process ended that should not have."""
    if exit_code == USAGE_EXIT_CODE:
        return GiveUp(USAGE_EXIT_CODE)
    failures = 1 if ran_s >= STEADY_AFTER_S else state.failures + 1
    return Restart(_delay_s(failures), RestartState(failures))


def _delay_s(failures: int) -> float:
    if failures == 1:
        return 0.0
    return min(FIRST_DELAY_S * 2.0 ** min(failures - 2, 16), LONGEST_DELAY_S)
