import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.cli.presets.npm_config import NpmConfigError, npm_sources
from hakoiri.cli.presets.package_source import PackageSource

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=5,
)


def test_the_registry_and_those_of_scopes_count() -> None:
    listed = {
        "registry": "https://registry.example.test/",
        "@acme:registry": "https://npm.acme.test:8443/team/",
        "cafile": "/etc/ssl/certs.pem",
        "replace-registry-host": "https://other.example.test",
        "access": None,
    }
    assert npm_sources(json.dumps(listed)).sources == [
        PackageSource("registry.example.test", 443, "npm registry"),
        PackageSource("npm.acme.test", 8443, "npm @acme:registry"),
    ]


@pytest.mark.parametrize("listed", ["", "not json", "[]", '"text"', "[" * 100_000])
def test_what_is_no_list_of_settings_is_told(listed: str) -> None:
    with pytest.raises(NpmConfigError, match="did not print"):
        npm_sources(listed)


def test_a_scope_is_shown_on_one_line() -> None:
    found = npm_sources(json.dumps({"@a\nb:registry": "ftp://x.example.test"}))
    assert found.sources == []
    assert found.notes[0].isprintable()


@given(st.dictionaries(st.text(max_size=20) | st.just("registry"), ANY_JSON, max_size=5))
def test_any_settings_are_read_without_an_error(settings: dict[str, Any]) -> None:
    npm_sources(json.dumps(settings))
