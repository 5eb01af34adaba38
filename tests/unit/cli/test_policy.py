import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hakoiri.cli.main import app

RUNNER = CliRunner()
POLICY = """
[[rules]]
host = "api.example.test"
methods = ["GET"]
paths = ["/v1/**"]
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return path


def test_a_request_is_explained_by_a_file_without_a_server(policy: Path) -> None:
    url = "https://api.example.test/v1/users"
    told = RUNNER.invoke(app, ["policy", "test", url, "--policy", str(policy)])
    assert told.exit_code == 0, told.output
    assert "allowed (allowed)" in told.output
    assert "interception" in told.output


def test_a_refused_request_tells_why_with_exit_code_1(policy: Path) -> None:
    arguments = ["policy", "test", "https://api.example.test/v2", "--policy", str(policy), "--json"]
    told = RUNNER.invoke(app, arguments)
    assert told.exit_code == 1
    explanation = json.loads(told.output)
    assert (explanation["verdict"], explanation["code"]) == ("refused", "path-not-allowed")


@pytest.mark.parametrize("command", [["set"], ["test", "https://a.test/", "--policy"]])
def test_a_broken_file_is_told_by_its_field(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[[rules]]\nhost = "*.com"\n')
    told = RUNNER.invoke(app, ["policy", *command, str(path)])
    assert told.exit_code == 2
    assert "rules.0.host" in told.output


def test_help_has_examples() -> None:
    for command in (["policy", "test"], ["policy", "set"], ["policy", "get"], ["proxy"]):
        told = RUNNER.invoke(app, [*command, "--help"])
        assert "Example" in told.output


def test_without_the_proxys_file_hosts_are_judged_and_credentials_are_said_to_be_unknown(
    tmp_path: Path,
) -> None:
    policy = tmp_path / "policy.toml"
    model = '[model]\nprovider = "bedrock"\ncredential = "bedrock"\nregion = "eu-west-1"\n'
    rule = '[[rules]]\nhost = "files.example.com"\n'
    policy.write_text(rule + model)
    words = ["policy", "test", "https://files.example.com/", "--policy", str(policy)]
    assert CliRunner().invoke(app, words).exit_code == 0
    policy.write_text(rule + 'credential = "files"\n' + model)
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 1
    assert "--credentials" in refused.stderr
