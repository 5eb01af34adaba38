import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hakoiri.cli import policy_preset
from hakoiri.cli.main import app
from hakoiri.cli.presets.package_source import Found, PackageSource
from hakoiri.credential_proxy.policy_file import parse_policy
from hakoiri.wire.policy import Policy

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch) -> Found:
    """What this host's package managers would say."""
    found = Found(
        [PackageSource("index.example.test", 443, "pip index-url")], ["npm: not here; left out"]
    )
    monkeypatch.setattr(policy_preset, "find_sources", lambda *_, **__: found)
    return found


def preset(*arguments: str, given: str | None = None) -> Result:
    return RUNNER.invoke(app, ["policy", "preset", *arguments], input=given)


def policy_of(result: Result) -> Policy:
    assert result.exit_code == 0, result.output
    return parse_policy(result.stdout)


def test_what_is_printed_is_a_policy_and_notes_go_elsewhere() -> None:
    told = preset("packages", "--file-host", "files.example.test:8443")
    policy = policy_of(told)
    assert {rule.host: rule.ports for rule in policy.rules} == {
        "index.example.test": [443],
        "files.example.test": [8443],
    }
    assert "npm: not here" in told.stderr
    assert "# pip index-url" in told.stdout


def test_presets_pass_through_a_pipe() -> None:
    first = preset("bedrock", "--region", "eu-west-1", "--model", "m")
    policy = policy_of(preset("packages", "--into", "-", given=first.stdout))
    assert policy.model is not None
    assert len(policy.rules) == 1


def test_a_file_is_added_to_and_keeps_its_mode_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('# mine\n[[rules]]\nhost = "api.example.test"\n')
    path.chmod(0o640)
    assert preset("packages", "--into", str(path)).stdout == ""
    assert preset("anthropic", "--into", str(path)).exit_code == 0
    assert path.read_text().startswith("# mine\n")
    assert len(parse_policy(path.read_text()).rules) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    assert preset("anthropic", "--into", str(path)).exit_code == 0
    assert parse_policy(path.read_text()).model is not None


def test_a_broken_file_is_told_by_its_field_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[[rules]]\nhost = "*.com"\n')
    told = preset("packages", "--into", str(path))
    assert told.exit_code == 2
    assert "rules.0.host" in told.stderr
    assert path.read_text() == '[[rules]]\nhost = "*.com"\n'


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    told = preset("anthropic", "--into", str(tmp_path / "absent" / "policy.toml"))
    assert told.exit_code == 2
    assert "--into" in told.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bedrock", "--region", "Europe"], "--region"),
        (["packages", "--file-host", "localhost"], "--file-host"),
        (["packages", "--file-host", "https://files.example.test/x"], "--file-host"),
        (["packages", "--file-host", "a:b@files.example.test"], "--file-host"),
        (["packages", "--source", "cargo"], "cargo"),
    ],
)
def test_wrong_options_are_told_with_exit_code_2(arguments: list[str], said: str) -> None:
    told = preset(*arguments)
    assert told.exit_code == 2
    assert said in told.stderr


def test_no_source_is_an_error(configured: Found) -> None:
    configured.sources.clear()
    told = preset("packages")
    assert told.exit_code == 2
    assert "no package source" in told.stderr


def test_help_has_examples() -> None:
    for name in ("bedrock", "anthropic", "packages"):
        assert "Example" in preset(name, "--help").output
