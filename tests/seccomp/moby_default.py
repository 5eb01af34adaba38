"""The default filter of current moby, from the facts in `moby_default.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.seccomp.libseccomp import ENGINES_NAMES, number_of

FACTS: Final = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())


@dataclass(frozen=True, slots=True)
class MobyDefault:
    """What it lets through on one machine (`x86_64`, `aarch64`), without capabilities."""

    machine: str

    @property
    def plain(self) -> set[str]:
        """Names that pass whatever the arguments."""
        names = FACTS["names"]
        return {*names["always"], *names[ENGINES_NAMES[self.machine]]}

    @property
    def names(self) -> set[str]:
        """All names, also those of which only some arguments pass."""
        return self.plain | {one["name"] for one in FACTS["condition"]}

    def calls(self) -> set[str]:
        """Names of which the machine has a call."""
        return {name for name in self.names if self._has(name)}

    def lets_through(self, name: str, *arguments: int) -> bool:
        """Whether a call with these arguments passes."""
        if name in self.plain:
            return True
        rules = [one for one in FACTS["condition"] if one["name"] == name]
        return any(_holds(rule, arguments[rule["argument"]]) for rule in rules)

    def _has(self, name: str) -> bool:
        names = FACTS["names"]
        if name in names["younger_on_both"]:
            return True
        if name in (*names["younger_on_amd64"], *names["younger_elsewhere"]):
            return self.machine == "x86_64" and name in names["younger_on_amd64"]
        return number_of(name, self.machine) is not None


def _holds(rule: dict[str, Any], value: int) -> bool:
    if "below" in rule:
        return value < int(rule["below"])
    if "above" in rule:
        return value > int(rule["above"])
    if "is" in rule:
        return value == int(rule["is"])
    return value & int(rule["none_of_the_bits"]) == 0
