import pytest

from hakoiri.workspace_agent.probe.secrets_within import telling_names


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "ANTHROPIC_API_KEY",
        "GITHUB_TOKEN",
        "DB_PASSWORD",
        "TOKEN",
        "npm_config__auth",
        "API_KEYS",
        "MY_CREDENTIALS",
    ],
)
def test_a_variable_that_tells_of_a_secret_is_named(name: str) -> None:
    assert telling_names({name: "anything", "PATH": "/bin"}) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTHROPIC_API_KEY", "injected-by-the-credential-proxy"),
        ("CLAUDE_CODE_SKIP_BEDROCK_AUTH", "1"),
        ("EMPTY_TOKEN", ""),
        ("KEYBOARD", "us"),
        ("MONKEY", "1"),
        ("GLOBAL_AGENT_HTTP_PROXY", "http://127.0.0.1:3128"),
    ],
)
def test_what_only_sounds_so_is_not(name: str, value: str) -> None:
    assert telling_names({name: value}) == []
