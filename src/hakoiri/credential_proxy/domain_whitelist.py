"""The domain whitelist: which hosts and ports a policy's rules let through.

A rule is exact or `*.suffix`. Rules add up; nothing subtracts; no rule, no way out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from hakoiri.credential_proxy.authority import Authority
from hakoiri.wire.policy import Rule

_WILDCARD = "*."


@dataclass(frozen=True, slots=True)
class WhitelistDecision:
    """Whether a host and port may pass; `rule` names the rule that decided, `code` is stable."""

    is_allowed: bool
    code: str
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class DomainWhitelist:
    """A policy's rules, ready to be asked. Ports are keyed by the rule's host pattern."""

    ports_by_pattern: Mapping[str, frozenset[int]]

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> Self:
        """Take the rules of a policy; the ports of rules with the same host add up."""
        ports: dict[str, frozenset[int]] = {}
        for rule in rules:
            ports[rule.host] = ports.get(rule.host, frozenset()) | frozenset(rule.ports)
        return cls(ports)

    def decide(self, authority: Authority) -> WhitelistDecision:
        """Decide on `authority`, whose host is already in its one canonical spelling.

        An address is matched by a rule of exactly that address, never by a suffix.
        """
        matched: str | None = None
        for pattern in _patterns_for(authority):
            ports = self.ports_by_pattern.get(pattern)
            if ports is None:
                continue
            if authority.port in ports:
                return WhitelistDecision(is_allowed=True, code="allowed", rule=pattern)
            matched = matched or pattern
        if matched is not None:
            return WhitelistDecision(is_allowed=False, code="port-not-allowed", rule=matched)
        return WhitelistDecision(is_allowed=False, code="host-not-allowed")


def _patterns_for(authority: Authority) -> list[str]:
    if authority.is_literal:
        return [authority.host]
    labels = authority.host.split(".")
    suffixes = (".".join(labels[start:]) for start in range(1, len(labels)))
    return [authority.host, *(_WILDCARD + suffix for suffix in suffixes)]
