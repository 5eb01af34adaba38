"""The domain whitelist: which hosts and ports a policy's rules let through, and by which rules.

A rule is exact or `*.suffix`. Rules add up; nothing subtracts; no rule, no way out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from hakoiri.credential_proxy.authority import Authority
from hakoiri.wire.policy import Rule

_WILDCARD: Final = "*."


@dataclass(frozen=True, slots=True)
class LabelledRule:
    """A rule and its name for logs and metrics: the host pattern, counted when there are more."""

    label: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class WhitelistDecision:
    """Whether a host and port may pass; `rule` names the pattern that decided, `code` is stable.

    `rules` are those of the pattern that are for the port, in the policy's order. One that needs
    interception has all of them intercepted: what is let through raw cannot be held to the others.
    """

    is_allowed: bool
    code: str
    rule: str | None = None
    rules: tuple[LabelledRule, ...] = ()
    is_intercepted: bool = False


_NOT_NAMED: Final = WhitelistDecision(is_allowed=False, code="host-not-allowed")


@dataclass(frozen=True, slots=True)
class DomainWhitelist:
    """A policy's rules, ready to be asked: host pattern to port to what is decided."""

    _by_pattern: Mapping[str, Mapping[int, WhitelistDecision]]

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> Self:
        """Take the rules of a policy; the rules of the same host add up."""
        by_pattern: dict[str, list[LabelledRule]] = {}
        for rule in rules:
            same = by_pattern.setdefault(rule.host, [])
            label = rule.host if not same else f"{rule.host}#{len(same) + 1}"
            same.append(LabelledRule(label, rule))
        return cls({pattern: _by_port(pattern, same) for pattern, same in by_pattern.items()})

    def decide(self, authority: Authority) -> WhitelistDecision:
        """Decide on `authority`, whose host is already in its one canonical spelling.

        An address is matched by a rule of exactly that address, never by a suffix.
        """
        matched: str | None = None
        for pattern in _patterns_for(authority):
            ports = self._by_pattern.get(pattern)
            if ports is None:
                continue
            decision = ports.get(authority.port)
            if decision is not None:
                return decision
            matched = matched or pattern
        if matched is None:
            return _NOT_NAMED
        return WhitelistDecision(is_allowed=False, code="port-not-allowed", rule=matched)


def _by_port(pattern: str, rules: list[LabelledRule]) -> dict[int, WhitelistDecision]:
    decisions = {}
    for port in {port for labelled in rules for port in labelled.rule.ports}:
        here = tuple(labelled for labelled in rules if port in labelled.rule.ports)
        decisions[port] = WhitelistDecision(
            is_allowed=True,
            code="allowed",
            rule=pattern,
            rules=here,
            is_intercepted=any(labelled.rule.needs_interception for labelled in here),
        )
    return decisions


def _patterns_for(authority: Authority) -> Iterable[str]:
    yield authority.host
    if authority.is_literal:
        return
    labels = authority.host.split(".")
    for start in range(1, len(labels)):
        yield _WILDCARD + ".".join(labels[start:])
