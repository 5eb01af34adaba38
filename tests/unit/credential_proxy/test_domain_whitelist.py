import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.authority import Authority, AuthorityError, parse_authority
from hakoiri.credential_proxy.domain_whitelist import DomainWhitelist
from hakoiri.wire.policy import Rule

WHITELIST = DomainWhitelist.of(
    [
        Rule(host="exact.test"),
        Rule(host="*.allowed.test"),
        Rule(host="127.0.0.1", ports=[9999]),
        Rule(host="*.0.1", ports=[9998]),
        Rule(host="exact.test", ports=[8443]),
    ]
)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("exact.test:443", "exact.test"),
        ("EXACT.test.:8443", "exact.test"),
        ("a.allowed.test:443", "*.allowed.test"),
        ("a.b.allowed.test:443", "*.allowed.test"),
        ("127.0.0.1:9999", "127.0.0.1"),
    ],
)
def test_what_a_rule_names_passes_and_the_rule_is_told(text: str, rule: str) -> None:
    decision = WHITELIST.decide(parse_authority(text))
    assert (decision.is_allowed, decision.rule) == (True, rule)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("allowed.test:443", "host-not-allowed"),
        ("evilallowed.test:443", "host-not-allowed"),
        ("a.allowed.test.evil.test:443", "host-not-allowed"),
        ("sub.exact.test:443", "host-not-allowed"),
        ("exact.test:22", "port-not-allowed"),
        ("127.0.0.1:9998", "port-not-allowed"),
        ("10.0.0.1:9998", "host-not-allowed"),
    ],
)
def test_what_no_rule_names_is_refused(text: str, code: str) -> None:
    decision = WHITELIST.decide(parse_authority(text))
    assert (decision.is_allowed, decision.code) == (False, code)


@given(st.from_regex(r"[a-z0-9.-]{1,30}", fullmatch=True), st.integers(1, 65535))
def test_an_empty_whitelist_refuses_everything(host: str, port: int) -> None:
    try:
        authority = parse_authority(f"{host}:{port}")
    except AuthorityError:
        return
    assert not DomainWhitelist.of([]).decide(authority).is_allowed


@given(st.from_regex(r"[a-z0-9.-]{1,20}", fullmatch=True))
def test_only_hosts_under_the_suffix_pass_a_wildcard(host: str) -> None:
    decision = DomainWhitelist.of([Rule(host="*.a.test")]).decide(Authority(host, 443))
    assert decision.is_allowed == host.endswith(".a.test")
