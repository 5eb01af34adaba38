"""A preset added to a policy: what the whole then is, and how it is written down."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import tomli_w

from hakoiri.cli.presets.expansion import PresetError
from hakoiri.credential_proxy.errors import ConfigurationError
from hakoiri.credential_proxy.policy_file import parse_policy
from hakoiri.wire.policy import Policy, Rule

RULES_LIMIT: Final = 1000
_WILDCARD: Final = "*."


@dataclass(frozen=True, slots=True)
class Composed:
    """The whole policy, what of the preset is new in it, and what an operator should know."""

    policy: Policy
    added: Policy
    notes: tuple[str, ...]


def compose(base: Policy, preset: Policy, *, replace_model: bool) -> Composed:
    """Add `preset` to `base`; rules that are there already are not repeated.

    Raises:
        PresetError: both lead to a model, and differently, unless the preset's is to replace it;
            or there would be too many rules.
    """
    model = base.model
    if preset.model is not None and preset.model != base.model:
        if base.model is not None and not replace_model:
            raise PresetError(
                f"the policy leads to {base.model.provider} with {base.model.credential!r} already;"
                " --replace-model puts the preset's way in its place"
            )
        model = preset.model
    new = [rule for rule in preset.rules if rule not in base.rules]
    if len(base.rules) + len(new) > RULES_LIMIT:
        raise PresetError(f"the policy would have more than {RULES_LIMIT} rules")
    whole = base.model_copy(update={"model": model, "rules": [*base.rules, *new]})
    added = Policy(model=model if model != base.model else None, rules=new)
    return Composed(whole, added, tuple(_shadowed(base, new)))


def write(composed: Composed, *, text: str, heading: str, remarks: Mapping[str, str]) -> str:
    """Return the whole as text: `text` with the new appended, so that its comments stay.

    Where nothing can be appended (JSON, a rule list written inline, another way to the model), the
    whole is written anew, as TOML or as JSON as it was. `remarks` are told above a host's rule.
    """
    if text.lstrip().startswith("{"):
        return json.dumps(_plain(composed.policy), indent=2) + "\n"
    if composed.added == Policy():
        return text
    appended = _joined(text, _fragment(composed.added, heading=heading, remarks=remarks))
    try:
        if parse_policy(appended) == composed.policy:
            return appended
    except ConfigurationError:
        pass
    return tomli_w.dumps(_plain(composed.policy))


def _fragment(policy: Policy, *, heading: str, remarks: Mapping[str, str]) -> str:
    parts = [f"# {heading}\n"]
    if policy.model is not None:
        model = policy.model.model_dump(mode="json", exclude_defaults=True)
        parts.append(tomli_w.dumps({"model": model}))
    for rule in policy.rules:
        remark = f"# {remarks[rule.host]}\n" if rule.host in remarks else ""
        dumped = rule.model_dump(mode="json", exclude_defaults=True)
        parts.append(remark + tomli_w.dumps({"rules": [dumped]}))
    return "\n".join(parts)


def _joined(text: str, fragment: str) -> str:
    if not text.strip():
        return f"version = 1\n\n{fragment}"
    return f"{text.rstrip()}\n\n{fragment}"


def _plain(policy: Policy) -> dict[str, Any]:
    return {"version": policy.version, **policy.model_dump(mode="json", exclude_defaults=True)}


def _shadowed(base: Policy, new: list[Rule]) -> list[str]:
    """Say where a new rule for an exact host takes it away from a wildcard that covered it."""
    wildcards = [rule for rule in base.rules if rule.host.startswith(_WILDCARD)]
    exact = {rule.host for rule in base.rules}
    notes = []
    for rule in new:
        covered = [one.host for one in wildcards if rule.host.endswith(one.host.removeprefix("*"))]
        if covered and rule.host not in exact and not rule.host.startswith(_WILDCARD):
            notes.append(
                f"{rule.host}: the new rule is more specific than {covered[0]}, whose rules no"
                " longer count for this host; copy what is still needed"
            )
    return notes
