"""The storms of `make test`: short, each of its own kinds, together of all that there are."""

from typing import Final

from tests.chaos.storm import Weather

INSIDE: Final = (
    "container",
    "containers-init",
    "container-with-init",
    "agent",
    "agents-cli",
    "server",
    "server-stands-still",
    "proxy",
    "guard",
    "proxy-with-guard",
    "audit-keeper",
    "all-processes",
    "supervisor",
    "restart",
)
"""What is the installation's own."""

AROUND: Final = ("engine", "store", "redis", "server", "container")
"""What it needs, and those that meet its absence."""

SHORT: Final = (
    Weather(53, seconds=20.0, every_s=1.5, kinds=INSIDE, lull_s=1.0),
    Weather(2, seconds=20.0, every_s=2.0, kinds=AROUND, lull_s=1.0),
)
"""With these seeds each kind strikes within the time."""


def of_seed(seed: int | None) -> tuple[Weather, ...]:
    """Return the storms to have: those of `make test`, or the one of a seed, with everything."""
    return SHORT if seed is None else (Weather(seed, seconds=80.0),)
