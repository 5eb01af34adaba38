import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.cli.presets.pip_config import parse_pip_config, pip_sources

DEFAULT = ("https://default.example.test/simple", "files.example.test")


def hosts(listed: str) -> set[str]:
    return {source.host for source in pip_sources(listed, built_in=DEFAULT).sources}


def test_without_an_index_pips_own_default_and_the_host_of_its_files_count() -> None:
    listed = ":env:.default-timeout='180'\nglobal.cert='/etc/ssl/certs.pem'\n"
    assert hosts(listed) == {"default.example.test", "files.example.test"}


def test_an_index_takes_the_defaults_place() -> None:
    assert hosts("global.index-url='https://index.example.test/simple'") == {"index.example.test"}


def test_further_indexes_and_link_pages_count_each_for_itself() -> None:
    listed = (
        "global.index-url='https://index.example.test/simple'\n"
        "global.extra-index-url='https://a.example.test/simple\\nhttps://b.example.test/simple'\n"
        "global.find-links='/opt/wheels http://links.example.test/all'\n"
    )
    wanted = {"index.example.test", "a.example.test", "b.example.test", "links.example.test"}
    assert hosts(listed) == wanted


@pytest.mark.parametrize(
    ("sections", "wanted"),
    [
        (("global", "install", ":env:"), ":env:"),
        (("global", "install"), "install"),
        (("global",), "global"),
    ],
)
def test_environment_goes_before_command_before_global(
    sections: tuple[str, ...], wanted: str
) -> None:
    listed = "\n".join(
        f"{name}.index-url='https://{name.strip(':')}.example.test/simple'" for name in sections
    )
    assert hosts(listed) == {f"{wanted.strip(':')}.example.test"}


def test_settings_of_other_commands_do_not_count() -> None:
    listed = "search.index='https://search.example.test'\nlist.index-url='https://l.example.test'"
    assert hosts(listed) == {"default.example.test", "files.example.test"}


@pytest.mark.parametrize("said", ["true", "1", "Yes", "on"])
def test_no_index_leaves_link_pages_alone(said: str) -> None:
    listed = (
        f"global.no-index='{said}'\nglobal.index-url='https://index.example.test'\n"
        "global.find-links='https://links.example.test'"
    )
    assert hosts(listed) == {"links.example.test"}


def test_lines_that_are_no_setting_are_passed_over() -> None:
    listed = "WARNING: something\nglobal.timeout=10\nglobal.index-url=__import__('os')\n=\n.="
    assert parse_pip_config(listed) == {}


@given(st.dictionaries(st.sampled_from(["index-url", "cert", "proxy"]), st.text(), max_size=3))
def test_every_value_that_pip_can_print_comes_back(values: dict[str, str]) -> None:
    listed = "\n".join(f"global.{name}={value!r}" for name, value in values.items())
    assert parse_pip_config(listed) == {f"global.{name}": value for name, value in values.items()}


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    pip_sources(text, built_in=DEFAULT)
    pip_sources(f"global.index-url={text}", built_in=DEFAULT)
